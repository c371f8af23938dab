package web

import (
	"slices"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/catalog"
	"github.com/tunesafe/tunesafe/internal/control"
)

func TestFoldersOf(t *testing.T) {
	for _, c := range []struct{ tracks, want []string }{
		{[]string{"A/One/1", "A/One/2"}, []string{"/A/One"}},
		{[]string{"A/One/CD1/1", "A/One/CD2/1"}, []string{"/A/One", "/A/One/CD1", "/A/One/CD2"}},
		{[]string{"A/One/1", "A/One/Extra/2"}, []string{"/A/One", "/A/One/Extra"}},
		{[]string{"A/One/1", "Ab/One/2"}, []string{"/A/One", "/Ab/One"}},
		{[]string{"1"}, []string{"/"}},
		{[]string{"1", "A/2"}, []string{"/", "/A"}},
		{nil, nil},
	} {
		var tracks []catalog.Track
		for _, p := range c.tracks {
			tracks = append(tracks, catalog.Track{Path: p})
		}
		if got := foldersOf(tracks); !slices.Equal(got, c.want) {
			t.Errorf("%q lie in %q, not %q", c.tracks, got, c.want)
		}
	}
}

// TestLastOf: a night is its last moment, and where it changed nothing that before it.
func TestLastOf(t *testing.T) {
	day := func(d, hour int) time.Time { return time.Date(2026, 3, d, hour, 0, 0, 0, time.Local) }
	all := []control.Snapshot{{Name: "a", Time: day(2, 1)}, {Name: "b", Time: day(2, 23)}, {Name: "c", Time: day(5, 0)}}
	for d, want := range map[int]string{1: "", 2: "b", 3: "b", 4: "b", 5: "c", 9: "c"} {
		if got := lastOf(all, day(d, 0)); got != want {
			t.Errorf("on day %d it is %q, not %q", d, got, want)
		}
	}
}
