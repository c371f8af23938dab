package split_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tunesafe/tunesafe/internal/split"
)

// cutting is a file's layout and what its parts hold.
type cutting struct {
	split.Layout
	parts [][]byte
}

// failer is a test, or one of rapid's.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// cut splits b, and fails the test unless the parts are what a caller relies on:
// a partition that joins again byte for byte, the same every time.
func cut(t failer, b []byte) cutting {
	t.Helper()
	l, err := split.Split(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	c := cutting{Layout: l, parts: make([][]byte, len(l.Parts))}
	if err := l.Check(int64(len(b))); err != nil {
		t.Fatal(err)
	}
	for i := range l.Parts {
		for off, n := range l.Extents(i) {
			c.parts[i] = append(c.parts[i], b[off:off+n]...)
		}
		if int64(len(c.parts[i])) != l.PartSize(i) {
			t.Fatalf("part %d has %d bytes, PartSize says %d", i, len(c.parts[i]), l.PartSize(i))
		}
	}
	if !bytes.Equal(join(c), b) {
		t.Fatal("the parts do not join to the file")
	}
	again, err := split.Split(bytes.NewReader(b), int64(len(b)))
	if err != nil || !cmp.Equal(l, again) {
		t.Fatalf("a second cut differs (%v)", err)
	}
	return c
}

// join puts a file together again, as a reader does that knows only runs.
func join(c cutting) []byte {
	var b []byte
	at := make([]int64, len(c.parts))
	for _, r := range c.Runs {
		b = append(b, c.parts[r.Part][at[r.Part]:at[r.Part]+r.Length]...)
		at[r.Part] += r.Length
	}
	return b
}

// part returns the bytes of the first part of a kind.
func (c cutting) part(k split.Kind) []byte {
	for i, p := range c.Parts {
		if p == k {
			return c.parts[i]
		}
	}
	return nil
}

// art returns the pictures.
func (c cutting) art() [][]byte {
	var bs [][]byte
	for i, k := range c.Parts {
		if k == split.Art {
			bs = append(bs, c.parts[i])
		}
	}
	return bs
}

// sound returns probe and audio in file order.
func (c cutting) sound() []byte {
	var b []byte
	at := make([]int64, len(c.parts))
	for _, r := range c.Runs {
		if k := c.Parts[r.Part]; k == split.Probe || k == split.Audio {
			b = append(b, c.parts[r.Part][at[r.Part]:at[r.Part]+r.Length]...)
		}
		at[r.Part] += r.Length
	}
	return b
}

// sketch writes the runs as kind:length, for comparison.
func (c cutting) sketch() string {
	var s []string
	for _, r := range c.Runs {
		s = append(s, c.Parts[r.Part].String()+":"+itoa(r.Length))
	}
	return strings.Join(s, " ")
}

func TestKindString(t *testing.T) {
	for k, want := range map[split.Kind]string{split.Tags: "tags", split.Data: "data", 0: "kind(0)", 9: "kind(9)"} {
		if got := k.String(); got != want {
			t.Errorf("Kind(%d) is %q, want %q", k, got, want)
		}
	}
	for k := split.Tags; k <= split.Data; k++ {
		if got := split.KindOf(k.String()); got != k {
			t.Errorf("%v is read as %v", k, got)
		}
	}
	for _, name := range []string{"", "lyrics", "kind(0)"} {
		if got := split.KindOf(name); got != split.Audio {
			t.Errorf("%q is read as %v, want audio", name, got)
		}
	}
}

func TestExtents(t *testing.T) {
	l := split.Layout{
		Parts: []split.Kind{split.Tags, split.Audio},
		Runs:  []split.Run{{0, 10}, {1, 20}, {0, 5}},
	}
	var got [][2]int64
	for off, n := range l.Extents(0) {
		got = append(got, [2]int64{off, n})
	}
	if diff := cmp.Diff([][2]int64{{0, 10}, {30, 5}}, got); diff != "" {
		t.Error(diff)
	}
	if n := l.PartSize(0); n != 15 {
		t.Errorf("PartSize is %d, want 15", n)
	}
	for range l.Extents(0) { // must stop when told
		break
	}
}

func TestCheck(t *testing.T) {
	tags, both := []split.Kind{split.Tags}, []split.Kind{split.Tags, split.Audio}
	for name, c := range map[string]struct {
		l    split.Layout
		want string
	}{
		"sound":        {split.Layout{Parts: both, Runs: []split.Run{{0, 4}, {1, 6}}}, ""},
		"short":        {split.Layout{Parts: tags, Runs: []split.Run{{0, 4}}}, "early"},
		"long":         {split.Layout{Parts: tags, Runs: []split.Run{{0, 14}}}, "length"},
		"empty run":    {split.Layout{Parts: both, Runs: []split.Run{{0, 10}, {1, 0}}}, "length"},
		"neighbours":   {split.Layout{Parts: tags, Runs: []split.Run{{0, 5}, {0, 5}}}, "same part"},
		"no such part": {split.Layout{Parts: tags, Runs: []split.Run{{1, 10}}}, "no part"},
		"unused part":  {split.Layout{Parts: both, Runs: []split.Run{{0, 10}}}, "no runs"},
		"two tags": {split.Layout{Parts: []split.Kind{split.Tags, split.Tags},
			Runs: []split.Run{{0, 4}, {1, 6}}}, "two parts"},
		"no such kind": {split.Layout{Parts: []split.Kind{99}, Runs: []split.Run{{0, 10}}}, "kind(99)"},
	} {
		err := c.l.Check(10)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestEmpty(t *testing.T) {
	if c := cut(t, nil); len(c.Parts) != 0 || len(c.Runs) != 0 {
		t.Errorf("an empty file has %v", c.Layout)
	}
}

// TestReadErrors has the reader fail: at once, and by ending early.
func TestReadErrors(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		r    io.ReaderAt
		want error
	}{
		{failing{broken}, broken},
		{strings.NewReader("short"), io.ErrUnexpectedEOF},
		{failing{nil}, io.ErrUnexpectedEOF},
	} {
		l, err := split.Split(c.r, 1<<20)
		if !errors.Is(err, c.want) || len(l.Runs) != 0 {
			t.Errorf("got %v and %v, want %v", l, err, c.want)
		}
	}
}

type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }

// TestLateReadErrors fails the nth read of a real file, for every n.
func TestLateReadErrors(t *testing.T) {
	for name, b := range seeds(t) {
		for n := 0; ; n++ {
			r := &failLater{bytes.NewReader(b), n}
			_, err := split.Split(r, int64(len(b)))
			if err == nil {
				if n == 0 {
					t.Errorf("%s was cut without a read", name)
				}
				break
			}
			if !errors.Is(err, io.ErrClosedPipe) {
				t.Fatalf("%s, read %d: %v", name, n, err)
			}
		}
	}
}

// failLater fails once left reads are done.
type failLater struct {
	io.ReaderAt
	left int
}

func (f *failLater) ReadAt(b []byte, off int64) (int, error) {
	if f.left--; f.left < 0 {
		return 0, io.ErrClosedPipe
	}
	return f.ReaderAt.ReadAt(b, off)
}
