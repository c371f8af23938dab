package cache

import (
	"sync/atomic"
	"testing"
	"time"
)

// A new file is in use from the moment that it can be seen: a worker that finds
// it between its making and its opening must not take it, still empty, for
// finished.
func TestNewFileIsNotCutBeforeItIsWritten(t *testing.T) {
	c := openCache(t, t.TempDir(), newBucket())
	defer c.Close()
	c.leases = false       // on a disk that grants some the open content is one more guard
	var next atomic.Uint64 // numbers are given out in turn
	next.Store(uint64(Root))
	stop, done := make(chan struct{}), make(chan struct{})
	defer func() { close(stop); <-done }()
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			s, err := c.Snapshot(next.Load())
			if err != nil {
				continue // not made yet, or in use
			}
			if s.Size == 0 {
				_ = s.SetRecipe(Recipe{}) // or it was opened meanwhile
			}
			s.Close()
		}
	}()
	name := []byte("a0000000")
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
		for i := len(name) - 1; ; i-- {
			if name[i]++; name[i] <= '9' {
				break
			}
			name[i] = '0'
		}
		a, h, err := c.Create(Root, string(name), 0o644, Owner{}, OpenFlags{Write: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.WriteAt([]byte("labour"), 0); err != nil {
			t.Fatal(err)
		}
		if err := h.Release(); err != nil {
			t.Fatal(err)
		}
		if a, err := c.Attr(a.Ino); err != nil || a.Size != 6 {
			t.Fatalf("%s: %d bytes, %v; 6 were written", name, a.Size, err)
		}
		next.Store(a.Ino + 1)
		if err := c.Unlink(Root, string(name)); err != nil {
			t.Fatal(err)
		}
	}
}
