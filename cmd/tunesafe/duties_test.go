package main

import (
	"testing"

	"github.com/tunesafe/tunesafe/internal/home"
	"github.com/tunesafe/tunesafe/internal/price"
)

// TestNightlyPart: what is read of a store each night costs little where it is paid
// for, unless somebody said how much to read.
func TestNightlyPart(t *testing.T) {
	list, _, err := price.Table("")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		check string
		store home.Store
		part  int
		money float64
		in    string
	}{
		{"", home.Store{}, 30, nightlyCost, "USD"},
		{"", home.Store{Endpoint: "https://s3.eu-central-003.backblazeb2.com"}, 30, nightlyCost, "USD"},
		{"", home.Store{Endpoint: "https://fsn1.your-objectstorage.com"}, 30, nightlyCost, "EUR"},
		{"", home.Store{Endpoint: "http://nas.local:9000"}, 30, 0, ""},
		{"", home.Store{Kind: home.KindLocal, Dir: "/srv/music"}, 30, 0, ""},
		{"1/90", home.Store{}, 90, 0, ""},
		{"0.05USD", home.Store{}, 0, 0.05, "USD"},
	} {
		plan, err := planOf(home.Agent{Check: tt.check})
		if err != nil {
			t.Fatal(err)
		}
		p := nightlyPart(plan, tt.store, list)
		if p.Part != tt.part || p.Money != tt.money || p.Currency != tt.in {
			t.Errorf("%q at %q: %+v", tt.check, tt.store.Endpoint, p)
		}
	}
}
