package browse

import (
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/catalog"
	"github.com/tunesafe/tunesafe/internal/label"
)

// filled is a cache that knows n tracks, with their labels.
func filled(b *testing.B, n int) *cache.Cache {
	c, err := cache.Open(b.TempDir(), cache.Options{InoBase: 7 << 32, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	const dirs = 1 << 20
	part := func(kind string, id int, size int64) cache.Part {
		return cache.Part{Kind: kind, Size: size, Blobs: []cache.Blob{{ID: [16]byte{byte(id), byte(id >> 8), byte(id >> 16), byte(len(kind))}, Size: size}}}
	}
	for i := 0; i < n; i += 3000 {
		var rows []cache.Row
		var names []cache.NameRow
		for k := i; k < min(i+3000, n); k++ {
			dir := cache.Ino(dirs + k/12)
			if k%12 == 0 {
				rows = append(rows, cache.Row{Ino: dir, Mode: 0o040755, Parent: cache.Root, Name: fmt.Sprintf("Artist %05d - Album of the year", k/12), Base: "b:1"})
			}
			r := &cache.Recipe{Size: 4 << 20, Parts: []cache.Part{part("tags", k, 1<<10), part("audio", k, 4<<20-1<<10)}, Runs: []cache.Run{{Part: 0, Length: 1 << 10}, {Part: 1, Length: 4<<20 - 1<<10}}}
			rows = append(rows, cache.Row{Ino: cache.Ino(2*dirs + k), Mode: 0o100644, Recipe: r, Base: "b:1"})
			names = append(names, cache.NameRow{Parent: dir, Name: fmt.Sprintf("%02d Title of a song %d.flac", k%12, k), Ino: cache.Ino(2*dirs + k)})
		}
		if err := c.Absorb(rows, names, "b:1"); err != nil {
			b.Fatal(err)
		}
		for _, row := range rows {
			if row.Recipe == nil {
				continue
			}
			k := int(row.Ino) - 2*dirs
			l := label.Label{Format: "FLAC", Title: fmt.Sprint("Title of a song ", k), Artist: fmt.Sprint("Artist ", k/120), Album: fmt.Sprint("Album of the year ", k/12),
				AlbumArtist: fmt.Sprint("Artist ", k/120), Composer: fmt.Sprint("Composer ", k/500), Track: k%12 + 1, Year: 1990, Seconds: 200, Art: 40000}
			if err := c.SetLabel(row.Ino, row.Recipe, l.Encode()); err != nil {
				b.Fatal(err)
			}
		}
	}
	return c
}

// anonymous is the memory of the process that is no file, in MiB.
func anonymous(b *testing.B) float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip(err)
	}
	_, rest, _ := strings.Cut(string(text), "RssAnon:")
	var kib float64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		b.Fatal(err)
	}
	return kib / 1024
}

// BenchmarkRead makes the catalog of a drive of 100,000 tracks, then follows the retag of
// one. It tells what is held in memory for it.
func BenchmarkRead(b *testing.B) {
	const n = 100_000
	c := filled(b, n)
	held := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / (1 << 20)
	}
	read := func(l *Library, fn func(*catalog.Catalog)) {
		if err := l.Read(b.Context(), fn); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("make", func(b *testing.B) {
		// As the program keeps itself small.
		defer debug.SetGCPercent(debug.SetGCPercent(50))
		defer debug.SetMemoryLimit(debug.SetMemoryLimit(96 << 20))
		var with, without, most float64
		for b.Loop() {
			l := New(Options{Cache: c})
			read(l, func(c *catalog.Catalog) {
				if c.Tracks() != n {
					b.Error(c.Tracks())
				}
			})
			most = max(most, anonymous(b))
			with = held()
			l.Close()
			without = held()
		}
		b.ReportMetric(with-without, "MiB")
		b.ReportMetric(most, "process-MiB")
	})
	b.Run("follow", func(b *testing.B) {
		l := New(Options{Cache: c})
		defer l.Close()
		read(l, func(*catalog.Catalog) {})
		made := l.made
		const ino = 2<<20 + 5000
		r, _, err := c.RecipeOf(ino)
		if err != nil {
			b.Fatal(err)
		}
		for i := 0; b.Loop(); i++ {
			title := fmt.Sprint("Another title ", i)
			if err := c.SetLabel(ino, r, label.Label{Format: "FLAC", Title: title, Artist: "Another"}.Encode()); err != nil {
				b.Fatal(err)
			}
			l.followed = time.Time{}
			read(l, func(c *catalog.Catalog) {
				if t, _ := c.Track(ino); t.Title != title {
					b.Error(t)
				}
			})
		}
		if l.made != made {
			b.Error("it was made anew")
		}
	})
}
