package crash

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
)

// TestKillInTruncate kills the program in the midst of changing the length of a
// file: it has the old length and bytes afterwards, or the new ones, and what a
// later growth uncovers are zeros.
func TestKillInTruncate(t *testing.T) {
	s := realserver.StartEmbedded(t)
	h, _, off := crashing(t, s, "", 1)
	h.Run(initArgs(s)...)
	old := make([]byte, 600_000)
	for i := range old {
		old[i] = byte(i%251) + 1
	}
	for i, c := range []struct {
		name, point string
		partial     bool // of the content only the first bytes are here
		size        int  // of the file then; negative: so much is appended
	}{
		{"whole, shorter", "truncate.content", false, 1000},
		{"whole, empty", "truncate.content", false, 0},
		{"whole, longer", "truncate.content", false, 700_000},
		{"whole, marked", "truncate.marked", false, 1000},
		{"partial, shorter", "truncate.content", true, 1000},
		{"partial, empty", "truncate.content", true, 0},
		{"partial, longer", "truncate.content", true, 700_000},
		{"partial, marked", "truncate.marked", true, 1000},
		{"partial, appended", "write.landed", true, -5000},
	} {
		t.Run(c.name, func(t *testing.T) {
			off()
			name := filepath.Join(h.At, fmt.Sprint(i))
			h.Mount(quickSettle)
			if err := os.WriteFile(name, old, 0o644); err != nil {
				t.Fatal(err)
			}
			h.Run("unmount", "--wait", h.At)
			if c.partial {
				h.Mount(quickSettle, smallCache)
				eventually(t, "the content is evicted", deathPatience, func() bool {
					left, err := filepath.Glob(filepath.Join(h.Dir, "cache", "content", "*", "*"))
					return err == nil && len(left) == 0
				})
				h.Run("unmount", h.At)
				h.Mount(quickSettle)
				readStart(t, name)
				h.Run("unmount", h.At) // which keeps what was fetched
			}
			h.Setenv(crashVariable + c.point + ":1")
			h.Mount("--settle=1h")
			pid := h.Pid()
			want := resized(old, c.size)
			if err := change(name, c.size, want); err == nil {
				t.Errorf("the program did not die at %s", c.point)
			}
			h.AwaitEnd(pid)
			off()
			h.Mount("--settle=1h")
			defer h.Run("unmount", h.At)
			got := readWithin(t, name)
			if !bytes.Equal(got, old) && !bytes.Equal(got, want) {
				t.Fatalf("torn: %s", where(old, got))
			}
			if err := os.Truncate(name, int64(len(got)+9000)); err != nil {
				t.Fatal(err)
			}
			if grown := readWithin(t, name); !bytes.Equal(grown, resized(got, len(got)+9000)) {
				t.Errorf("grown: %s", where(resized(got, len(got)+9000), grown))
			}
		})
	}
}

// resized is old with another length.
func resized(old []byte, size int) []byte {
	if size < 0 {
		return append(bytes.Clone(old), bytes.Repeat([]byte("x"), -size)...)
	}
	p := make([]byte, size)
	copy(p, old)
	return p
}

// change gives the file a size, or appends what want has more.
func change(name string, size int, want []byte) error {
	if size >= 0 {
		return os.Truncate(name, int64(size))
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Write(want[len(want)+size:])
	return err
}

func readStart(t *testing.T, name string) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.ReadAt(make([]byte, 20_000), 0); err != nil {
		t.Fatal(err)
	}
}

// readWithin reads a file, which must not take for ever.
func readWithin(t *testing.T, name string) []byte {
	t.Helper()
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		data, err := os.ReadFile(name)
		done <- result{data, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			t.Fatal(r.err)
		}
		if info, err := os.Stat(name); err != nil || info.Size() != int64(len(r.data)) {
			t.Fatalf("%d bytes were read, stat tells %v, %v", len(r.data), info, err)
		}
		return r.data
	case <-time.After(deathPatience):
		t.Fatal("reading does not end")
		return nil
	}
}
