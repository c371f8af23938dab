package main

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// TestLimitGivesWay: the limit of memory is what it is meant to be while little is in use, and
// leaves room where much is; what sets it runs after each collection.
func TestLimitGivesWay(t *testing.T) {
	const beside = 9 << 20
	for live, want := range map[int64]int64{0: memoryLimit, 30 << 20: memoryLimit, 40 << 20: 59 << 20, 50 << 20: 71<<20 + 1<<19, 400 << 20: 509 << 20} {
		if got := limitFor(live, beside); got != want {
			t.Errorf("%d MiB in use: limit %d MiB, want %d", live>>20, got>>20, want>>20)
		}
	}
	for live, want := range map[int64]int{0: 400, 4 << 20: 300, 8 << 20: 100, 12 << 20: gcPercent, 40 << 20: gcPercent} {
		if got := percentFor(live); got != want {
			t.Errorf("%d MiB in use: collected after another %d %%, want %d", live>>20, got, want)
		}
	}
	if live, beside := inUse(); beside < 1<<18 || beside > 64<<20 || live < 0 {
		t.Errorf("%d bytes are in use, and %d beside", live, beside)
	}
	var n atomic.Int32
	afterEachGC(func() { n.Add(1) })
	for seen := range int32(2) {
		for end := time.Now().Add(time.Minute); n.Load() <= seen; time.Sleep(time.Millisecond) {
			if runtime.GC(); time.Now().After(end) {
				t.Fatalf("not called again after %d times", seen)
			}
		}
	}
}
