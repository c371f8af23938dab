package price

import (
	_ "embed"
	"fmt"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

//go:embed suppliers.toml
var supplierTable string

// Place is a supplier to choose: a row of suppliers.toml, which tells what its
// fields mean.
type Place struct {
	ID       string    `toml:"id"`
	Name     string    `toml:"name"`
	Prices   string    `toml:"prices"` // what the table of prices calls it
	Endpoint string    `toml:"endpoint"`
	Account  string    `toml:"account"`
	Regions  []string  `toml:"regions"`
	Keys     []string  `toml:"keys"`
	Rights   string    `toml:"rights"`
	Source   string    `toml:"source"`
	Date     time.Time `toml:"date"`
}

// Places lists the suppliers that are known.
func Places() ([]Place, error) {
	var t struct {
		Supplier []Place `toml:"supplier"`
	}
	meta, err := toml.Decode(supplierTable, &t)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTable, err)
	}
	if odd := meta.Undecoded(); len(odd) > 0 {
		return nil, fmt.Errorf("%w: %s is not known", ErrTable, odd[0])
	}
	return t.Supplier, nil
}

// At fills in where the store of a region and an account is; empty is Amazon's.
func (p Place) At(region, account string) string {
	return strings.NewReplacer("{region}", region, "{account}", account).Replace(p.Endpoint)
}
