package split_test

import (
	"bytes"
	"io"
	"testing"

	"pgregory.net/rapid"

	"github.com/tunesafe/tunesafe/internal/split"
)

// counter counts what is read of a file.
type counter struct {
	r     io.ReaderAt
	bytes int64
	reads int
}

func (c *counter) ReadAt(b []byte, off int64) (int, error) {
	c.bytes += int64(len(b))
	c.reads++
	return c.r.ReadAt(b, off)
}

// bounded fails if a cut of b reads out of proportion: more than a few times
// the file and the windows at its ends.
func bounded(t failer, b []byte) {
	t.Helper()
	c := &counter{r: bytes.NewReader(b)}
	if _, err := split.Split(c, int64(len(b))); err != nil {
		t.Fatal(err)
	}
	if most := int64(8*len(b) + 512<<10); c.bytes > most {
		t.Fatalf("%d bytes read of %d in %d reads", c.bytes, len(b), c.reads)
	}
}

// FuzzSplit cuts arbitrary bytes: it must not panic, and always make the same
// partition, in proportionate work.
func FuzzSplit(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		cut(t, b)
		bounded(t, b)
	})
}

// TestMutations damages real files as disks, transfers and bad taggers do. They
// must join again, whatever they are taken for.
func TestMutations(t *testing.T) {
	files := seeds(t)
	var names []string
	for name := range files {
		names = append(names, name)
	}
	rapid.Check(t, func(t *rapid.T) {
		b := bytes.Clone(files[rapid.SampledFrom(names).Draw(t, "file")])
		for range rapid.IntRange(1, 4).Draw(t, "mutations") {
			b = mutate(t, b, files[rapid.SampledFrom(names).Draw(t, "other")])
		}
		cut(t, b)
		bounded(t, b)
	})
}

// mutate damages b in one way; other is another file to take pieces of.
func mutate(t *rapid.T, b, other []byte) []byte {
	at := rapid.IntRange(0, len(b)).Draw(t, "at")
	n := min(rapid.IntRange(0, 2000).Draw(t, "n"), len(b)-at)
	switch rapid.IntRange(0, 6).Draw(t, "mutation") {
	case 0: // truncate
		return b[:at]
	case 1: // lose the beginning
		return b[at:]
	case 2: // a hole
		return cat(b[:at], b[at+n:])
	case 3: // zeros where a block was
		return cat(b[:at], zeros(n), b[at+n:])
	case 4: // extreme sizes
		v := rapid.SampledFrom([]string{"\xff\xff\xff\xff", "\x00\x00\x00\x00", "\x7f\xff\xff\xff", "\x00\x00\x00\x01", "\x80\x00\x00\x00"}).Draw(t, "size")
		return cat(b[:at], v, b[min(at+4, len(b)):])
	case 5: // another file in the middle
		return cat(b[:at], other, b[at:])
	}
	return cat(b, other)
}
