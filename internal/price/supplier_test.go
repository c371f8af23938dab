package price

import (
	"net/url"
	"testing"
)

// TestPlaces: each row is whole, leads to a host that the table of prices knows the
// supplier by, and has prices.
func TestPlaces(t *testing.T) {
	places, err := Places()
	if err != nil || len(places) < 4 {
		t.Fatal(places, err)
	}
	classes, _, err := Table(t.TempDir() + "/none")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range places {
		if p.ID == "" || p.Name == "" || p.Rights == "" || p.Date.IsZero() || len(p.Regions) == 0 || len(p.Keys) < 2 {
			t.Errorf("%+v lacks something", p)
		}
		if u, err := url.Parse(p.Source); err != nil || u.Scheme != "https" {
			t.Errorf("%s: its source is %q", p.ID, p.Source)
		}
		at := p.At(p.Regions[0], "0123abc")
		if u, err := url.Parse(at); err != nil || p.Endpoint != "" && (u.Scheme != "https" || u.Host == "") {
			t.Errorf("%s: is at %q", p.ID, at)
		}
		if got := Supplier(at); got != p.Prices {
			t.Errorf("%s: who is at %q is called %q", p.ID, at, got)
		}
		found := false
		for _, c := range classes {
			found = found || c.Supplier == p.Prices
		}
		if !found {
			t.Errorf("%s: has no price", p.ID)
		}
	}
}
