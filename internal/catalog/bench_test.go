package catalog

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/label"
)

const many = 100_000

// BenchmarkMake makes a catalog of 100,000 tracks, and tells the memory it holds.
func BenchmarkMake(b *testing.B) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var c *Catalog
	for b.Loop() {
		c = made(many)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB")
	runtime.KeepAlive(c)
}

// BenchmarkRetag tells a catalog of 100,000 tracks of one that changed.
func BenchmarkRetag(b *testing.B) {
	c := made(many)
	began := spent(b)
	defer func() { b.ReportMetric(float64((spent(b)-began).Microseconds())/1000/float64(b.N), "cpu-ms") }()
	for i := 0; b.Loop(); i++ {
		c.Put(uint64(7<<32+1+i%many), label.Label{Format: "FLAC", Title: "Another", Artist: "Somebody else", Album: "Else"}, false)
		c.Settle()
	}
}

// spent is the time of a processor that the process has had: on a machine with other
// things to do the clock on the wall tells of them.
func spent(b *testing.B) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		b.Skip(err)
	}
	return time.Duration(t.Nano())
}

// BenchmarkKeystroke searches as somebody types, and tells the slowest of a hundred.
func BenchmarkKeystroke(b *testing.B) {
	c := made(many)
	var took []time.Duration
	typed := []string{"e", "so", "son", "sonata no", "bjork", "b", "strasse love", "the blue night of", "zzz", "golden 7"}
	for i := 0; b.Loop(); i++ {
		began := spent(b)
		c.Search(typed[i%len(typed)], 0, 50)
		took = append(took, spent(b)-began)
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-cpu-ms")
}

// BenchmarkPages shows what pages show.
func BenchmarkPages(b *testing.B) {
	c := made(many)
	b.Run("albums", func(b *testing.B) {
		for b.Loop() {
			c.Albums(ByArtist, 4000, 60)
		}
	})
	b.Run("person", func(b *testing.B) {
		list, _ := c.People(Artist, 2000, 1)
		for b.Loop() {
			c.Person(list[0].ID)
		}
	})
}
