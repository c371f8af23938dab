package crash

import (
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/tests/tools"
)

// TestLossIsCounted has a writer work on a local disk, then does behind its back
// what a drive may never do: the account must tell each, and nothing else.
func TestLossIsCounted(t *testing.T) {
	w := newWriter(t.TempDir(), uint64(tools.Seed(t)), new(atomic.Bool))
	if err := unix.Setxattr(w.root, attributes[0], []byte("1"), 0); errors.Is(err, unix.ENOTSUP) {
		t.Skip("no extended attributes in ", w.root)
	}
	for len(w.now.list(false)) < most/2 || w.steps.Load() < 500 {
		if err := w.ops[w.rng.IntN(len(w.ops))](w); err != nil {
			t.Fatal(err)
		}
	}
	data := []byte("the bytes that were acknowledged")
	for _, p := range []string{"torn", "removed", "marked"} {
		f, id, err := w.add(p)
		if err == nil {
			err = errors.Join(w.writeAt(f, id, 0, data, false), w.end(f))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.settle(); err != nil || w.amiss != 0 {
		t.Fatalf("%d lost of what is there: %v", w.amiss, err)
	}
	for i, loss := range []struct {
		what string
		do   func() error
	}{
		{"torn", func() error { return os.WriteFile(w.path("torn"), append(data[:8:8], make([]byte, len(data)-8)...), 0) }},
		{"removed", func() error { return os.Remove(w.path("removed")) }},
		{"marked", func() error { return unix.Setxattr(w.path("marked"), attributes[1], []byte("old"), 0) }},
		{"back", func() error { return os.Mkdir(w.path("back"), 0o755) }},
	} {
		if err := loss.do(); err != nil {
			t.Fatal(err)
		}
		err := w.settle()
		if err == nil || w.amiss != i+1 || !strings.Contains(err.Error(), "\t"+loss.what+":") {
			t.Errorf("%s: %d lost, not %d: %v", loss.what, w.amiss, i+1, err)
		}
	}
}
