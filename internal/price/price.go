// Package price says what a repository costs with common suppliers, from a dated
// table that its user may replace.
package price

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

//go:embed prices.toml
var embedded string

// Class is a class of storage of a supplier: a row of prices.toml, which tells
// what its fields mean.
type Class struct {
	Supplier  string    `toml:"supplier"`
	Name      string    `toml:"class"`
	Region    string    `toml:"region"`
	Date      time.Time `toml:"date"`
	Source    string    `toml:"source"`
	Currency  string    `toml:"currency"`
	GiB       bool      `toml:"gib"`
	Storage   float64   `toml:"storage"`
	Put       float64   `toml:"put"`
	Get       float64   `toml:"get"`
	Retrieval float64   `toml:"retrieval"`
	Egress    float64   `toml:"egress"`
	Month     float64   `toml:"month"`
	FreeGB    float64   `toml:"free_gb"`
	FreeOut   float64   `toml:"free_egress"`
	FreeTimes float64   `toml:"free_egress_times"`
	Days      int       `toml:"days"`
	Object    int64     `toml:"object"`
	Note      string    `toml:"note"`
}

// ErrTable: a table of prices cannot be made sense of.
var ErrTable = errors.New("cannot be read as a table of prices")

// Table reads the table at path, or, if there is none, the one of this program.
func Table(path string) (list []Class, text string, err error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		list, err = parse(embedded)
		return list, embedded, err
	}
	if err != nil {
		return nil, "", err
	}
	list, err = parse(string(b))
	if err != nil {
		err = fmt.Errorf("%s %w", path, err)
	}
	return list, string(b), err
}

func parse(text string) ([]Class, error) {
	var t struct {
		Class []Class `toml:"class"`
	}
	if err := decode(text, &t); err != nil {
		return nil, err
	}
	for i, c := range t.Class {
		if c.Supplier == "" || c.Currency == "" || c.Date.IsZero() {
			return nil, fmt.Errorf("%w: row %d lacks its supplier, currency or date", ErrTable, i+1)
		}
	}
	return t.Class, nil
}

// decode reads a table that has nothing but what the fields of t are for.
func decode(text string, t any) error {
	meta, err := toml.Decode(text, t)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrTable, err)
	}
	if odd := meta.Undecoded(); len(odd) > 0 {
		return fmt.Errorf("%w: %s is not known", ErrTable, odd[0])
	}
	return nil
}

// Use is what a repository asks of a store.
type Use struct {
	Sizes  []Size // of the objects
	Puts   int64  // to write it
	Gets   int64  // to read all of it back
	Stored int64  // bytes
}

// Size says that so many objects have so many bytes, about.
type Size struct{ Bytes, Count int64 }

// Cost is what a use costs, in the currency of the class.
type Cost struct {
	Upload  float64 // once, to write it
	Month   float64 // to keep it
	Restore float64 // once, to read all of it back
}

// gb is how many bytes a GB has in the prices of the class.
func (c Class) gb() float64 {
	if c.GiB {
		return 1 << 30
	}
	return 1e9
}

// Read is what it costs to read an object of so many bytes, as if nothing was free.
func (c Class) Read(size int64) float64 {
	return c.Get/1000 + (c.Retrieval+c.Egress)*float64(size)/c.gb()
}

// suppliers are known by the hosts of their stores.
var suppliers = []struct{ host, supplier string }{
	{"amazonaws.com", "Amazon S3"}, {"backblazeb2.com", "Backblaze B2"}, {"r2.cloudflarestorage.com", "Cloudflare R2"},
	{"wasabisys.com", "Wasabi"}, {"your-objectstorage.com", "Hetzner"}, {"scw.cloud", "Scaleway"}, {"ovh.net", "OVHcloud"}, {"cloud.ovh", "OVHcloud"},
}

// Supplier gives who has an endpoint; "" if that is not known. An empty endpoint is
// Amazon's.
func Supplier(endpoint string) string {
	if endpoint == "" {
		endpoint = "amazonaws.com"
	}
	for _, s := range suppliers {
		if strings.Contains(endpoint, s.host) {
			return s.supplier
		}
	}
	return ""
}

// DearestRead gives of the classes in a currency the one that is the dearest to read
// from: of the supplier who has the endpoint, or of all where that is unknown. ok is
// false if none has the currency.
func DearestRead(list []Class, endpoint, currency string) (dearest Class, ok bool) {
	supplier := Supplier(endpoint)
	if !slices.ContainsFunc(list, func(c Class) bool { return c.Supplier == supplier && c.Currency == currency }) {
		supplier = ""
	}
	for _, c := range list {
		if c.Currency == currency && (supplier == "" || c.Supplier == supplier) && (!ok || c.Read(1<<20) > dearest.Read(1<<20)) {
			dearest, ok = c, true
		}
	}
	return dearest, ok
}

// Of is what the use costs in the class.
func (c Class) Of(u Use) Cost {
	gb := c.gb()
	charged := float64(u.Stored)
	for _, s := range u.Sizes {
		charged += float64(max(0, c.Object-s.Bytes) * s.Count)
	}
	stored := float64(u.Stored) / gb
	out := max(0, stored-max(c.FreeOut, c.FreeTimes*stored))
	return Cost{
		Upload:  c.Put * float64(u.Puts) / 1000,
		Month:   max(c.Month, c.Storage*max(0, charged/gb-c.FreeGB)),
		Restore: c.Get*float64(u.Gets)/1000 + c.Retrieval*stored + c.Egress*out,
	}
}
