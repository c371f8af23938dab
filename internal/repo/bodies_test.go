package repo

import (
	"runtime"
	"testing"
)

// inUse is how many bytes of the heap are.
func inUse() int64 {
	runtime.GC()
	runtime.GC() // what is pooled goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestForgetBodies: what waits for the next object is lent again, and is given up when asked for.
func TestForgetBodies(t *testing.T) {
	ForgetBodies()
	none := inUse()
	body := bodies.get(largePack)
	first := &body[:1][0]
	bodies.release(body)
	if again := bodies.get(largePack); &again[:1][0] != first {
		t.Error("it was not lent again")
	} else {
		bodies.release(again)
	}
	body, first = nil, nil
	if waits := inUse() - none; waits < largePack {
		t.Errorf("%d bytes wait, want %d", waits, largePack)
	}
	ForgetBodies()
	if left := inUse() - none; left > 1<<20 {
		t.Errorf("%d bytes are left", left)
	}
}

// TestCommitTextsAreNotKept: a decoder keeps what it gave last, so of many commits that are
// decoded one text is kept and no more.
func TestCommitTextsAreNotKept(t *testing.T) {
	const size = 4 << 20
	packed := quick().EncodeAll(make([]byte, size), nil)
	before := inUse()
	for range 4 {
		if text, err := uncommitText(packed); err != nil || len(text) != size {
			t.Fatal(len(text), err)
		}
	}
	if kept := inUse() - before; kept > size*3/2 {
		t.Errorf("%d bytes are kept of texts of %d", kept, size)
	}
}
