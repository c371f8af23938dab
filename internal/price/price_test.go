package price

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestEmbeddedTable(t *testing.T) {
	list, _, err := Table(filepath.Join(t.TempDir(), "none"))
	if err != nil || len(list) < 10 {
		t.Fatal(len(list), err)
	}
	for _, c := range list {
		if c.Date.Before(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)) || c.Source == "" || c.Storage < 0 || c.Storage > 0.1 {
			t.Errorf("%s %s: %+v", c.Supplier, c.Name, c)
		}
	}
}

func TestOwnTable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "prices.toml")
	for text, good := range map[string]bool{
		"[[class]]\nsupplier = \"x\"\ndate = 2026-01-01\ncurrency = \"EUR\"\nstorage = 1\n":  true,
		"[[class]]\nsupplier = \"x\"\ndate = 2026-01-01\ncurrency = \"EUR\"\nstorrage = 1\n": false,
		"[[class]]\nsupplier = \"x\"\ndate = 2026-01-01\nstorage = 1\n":                      false,
		"[[class]\n": false,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		list, _, err := Table(path)
		if good != (err == nil && len(list) == 1) || err != nil && (!errors.Is(err, ErrTable) || !strings.Contains(err.Error(), path)) {
			t.Errorf("%q: %v, %v", text, list, err)
		}
	}
}

// TestOf works prices out by hand.
func TestOf(t *testing.T) {
	u := Use{Stored: 100e9, Puts: 20_000, Gets: 30_000, Sizes: []Size{{5e6, 19_000}, {1000, 1000}}}
	for _, tt := range []struct {
		name string
		c    Class
		want Cost
	}{
		{"plain", Class{Storage: 0.02, Put: 0.005, Get: 0.0004, Egress: 0.09, FreeOut: 20}, Cost{0.1, 2, 0.012 + 7.2}},
		{"gib", Class{Storage: 0.02, GiB: true}, Cost{0, 0.02 * 100e9 / (1 << 30), 0}},
		{"least charge", Class{Storage: 0.007, Month: 6.99}, Cost{0, 6.99, 0}},
		{"small objects", Class{Storage: 1, Object: 100_000}, Cost{0, 100 + 0.099, 0}},
		{"free", Class{Storage: 0.006, FreeGB: 10, Egress: 0.01, FreeTimes: 3, Retrieval: 0.5}, Cost{0, 0.54, 50}},
	} {
		got := tt.c.Of(u)
		for _, d := range []float64{got.Upload - tt.want.Upload, got.Month - tt.want.Month, got.Restore - tt.want.Restore} {
			if math.Abs(d) > 1e-9 {
				t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
				break
			}
		}
	}
}

// TestDearestRead: who has the endpoint is known, and who is not is taken to be dear.
func TestDearestRead(t *testing.T) {
	list, _, err := Table(filepath.Join(t.TempDir(), "none"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		endpoint, currency, supplier string
		ok                           bool
	}{
		{"", "USD", "Amazon S3", true},
		{"https://s3.eu-central-003.backblazeb2.com", "USD", "Backblaze B2", true},
		{"https://fsn1.your-objectstorage.com", "EUR", "Hetzner", true},
		{"http://127.0.0.1:7070", "USD", "Amazon S3", true},
		{"", "ZWL", "", false},
	} {
		c, ok := DearestRead(list, tt.endpoint, tt.currency)
		if c.Supplier != tt.supplier || ok != tt.ok {
			t.Errorf("%q in %s: %s %s, %v", tt.endpoint, tt.currency, c.Supplier, c.Name, ok)
		}
	}
	c := Class{Get: 0.5, Retrieval: 0.01, Egress: 0.09}
	if got := c.Read(2e9); math.Abs(got-0.2005) > 1e-9 {
		t.Errorf("two GB for %v", got)
	}
}
