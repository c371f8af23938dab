package main

import (
	"fmt"
	"testing"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/label"
)

// BenchmarkCollect adds up 100,000 tracks.
func BenchmarkCollect(b *testing.B) {
	const n = 100_000
	rows := make([][]byte, n)
	for i := range rows {
		rows[i] = label.Label{
			Format: "MP3", Title: fmt.Sprintf("A title of some length %d", i), Artist: fmt.Sprintf("Artist %d", i/120),
			Album: fmt.Sprintf("The album %d", i/12), AlbumArtist: fmt.Sprintf("Artist %d", i/120), Genre: "Classical",
			Year: 1998, Track: i%12 + 1, Disc: 1, Seconds: 241.345, Art: 120_000,
		}.Encode()
	}
	for b.Loop() {
		c := newCollector()
		for i, row := range rows {
			c.add(cache.Track{Ino: cache.Ino(i), Size: 5 << 20, Sound: 4 << 20, Label: row})
		}
		if p := c.done(); p.Tracks != n || p.Artists != 834 || p.Albums != 8334 {
			b.Fatalf("%+v", p)
		}
	}
}
