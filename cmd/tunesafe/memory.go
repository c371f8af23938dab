package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// It stays small beside what people run: garbage is collected early, and from memoryLimit
// bytes on as often as it takes. Where so much is in use that this would be all the time, as
// in the catalog of a million tracks, the limit gives way. A heap below smallHeap is not worth
// collecting: a start would do so every three milliseconds.
const (
	gcPercent   = 50
	smallHeap   = 16 << 20
	memoryLimit = 56 << 20
	leastSlack  = 8 << 20 // of the limit above what is in use
	heapMinimum = 4 << 20 // the runtime's, where garbage may be as much as is in use
)

var staySmall = sync.OnceFunc(func() {
	debug.SetGCPercent(percentFor(0))
	debug.SetMemoryLimit(memoryLimit)
	afterEachGC(func() {
		live, beside := inUse()
		debug.SetMemoryLimit(limitFor(live, beside))
		debug.SetGCPercent(percentFor(live))
	})
})

// percentFor is by how many percent of so many bytes in use the heap may grow before it is
// collected.
func percentFor(live int64) int {
	return int(max(gcPercent, min(100*smallHeap/heapMinimum, 100*(smallHeap-live)/max(live, 1))))
}

// limitFor is the limit that suits so many bytes in use, and so many that the limit counts
// beside the heap.
func limitFor(live, beside int64) int64 {
	return max(memoryLimit, live+beside+max(leastSlack, live/4))
}

// inUse is what the last collection found in use, and what the runtime takes beside the heap
// and for it: stacks, what it notes down, and the room between objects.
func inUse() (live, beside int64) {
	s := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
	}
	metrics.Read(s)
	at := func(i int) int64 { return int64(s[i].Value.Uint64()) }
	return at(0), at(1) - at(2) - at(3) - at(4)
}

// afterEachGC calls fn behind each collection, for ever.
func afterEachGC(fn func()) {
	type canary struct{ _ [16]byte }
	var again func()
	again = func() {
		runtime.AddCleanup(new(canary), func(struct{}) { fn(); again() }, struct{}{})
	}
	again()
}
