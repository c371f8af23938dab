package price

import (
	_ "embed"
	"strings"
	"time"
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
	err := decode(supplierTable, &t)
	return t.Supplier, err
}

// At fills in where the store of a region and an account is; empty is Amazon's.
func (p Place) At(region, account string) string {
	return strings.NewReplacer("{region}", region, "{account}", account).Replace(p.Endpoint)
}
