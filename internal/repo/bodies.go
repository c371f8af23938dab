package repo

import (
	"slices"
	"sync"
	"time"
)

// bodies lends the bodies of objects, as a first backup would make garbage of the whole
// library otherwise. A sync.Pool would hold what two collections of garbage leave it,
// which was as much again as is on its way.
var bodies bodyPool

// bodyUnits are the sizes of the bodies lent: of so many sixteenths of the largest blob.
// Small objects get one of their own size, as many of them may be kept.
var bodyUnits = [...]int64{1, 2, 3, 4, 6, 8, largePack / (MaxBlob / 16), 12, 16}

const (
	// freeBodies is how many bytes wait to be lent again at most, beside those that are lent.
	freeBodies = 8 << 20
	// bodiesIdle is how long they do.
	bodiesIdle = 10 * time.Second
)

// bodyPool is safe to use at once.
type bodyPool struct {
	mu    sync.Mutex
	free  [][]byte // the last given back at the end
	bytes int64    // of free
	drop  *time.Timer
}

func bodySize(class int) int64 { return sealedSize(MaxBlob / 16 * bodyUnits[class]) }

// bodyFor is the capacity of a body for n bytes, and whether it is lent.
func bodyFor(n int64) (size int64, lent bool) {
	if n <= bodySize(0)/2 {
		return n, false
	}
	for i := range bodyUnits {
		if size := bodySize(i); n <= size {
			return size, true
		}
	}
	return n, false
}

// get is an empty buffer for n bytes.
func (p *bodyPool) get(n int64) []byte {
	size, lent := bodyFor(n)
	if !lent {
		return make([]byte, 0, size)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.free) - 1; i >= 0; i-- {
		if b := p.free[i]; int64(cap(b)) == size {
			p.remove(i)
			return b
		}
	}
	return make([]byte, 0, size)
}

// longer takes a buffer back for a longer one that holds the same.
func (p *bodyPool) longer(body []byte) []byte {
	defer p.release(body)
	return append(p.get(int64(cap(body))+largePiece), body...)
}

func (p *bodyPool) remove(i int) {
	p.bytes -= int64(cap(p.free[i]))
	p.free = slices.Delete(p.free, i, i+1) // which forgets it, too
}

// release takes a buffer back that nobody uses any more.
func (p *bodyPool) release(body []byte) {
	size := int64(cap(body))
	if fit, lent := bodyFor(size); !lent || fit != size {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, body[:0])
	for p.bytes += size; p.bytes > freeBodies && len(p.free) > 1; {
		p.remove(0)
	}
	if p.drop == nil {
		p.drop = time.AfterFunc(bodiesIdle, p.clear)
	}
	p.drop.Reset(bodiesIdle)
}

// ForgetBodies gives up the memory that waits for the next objects. Who makes none for a while
// has a use for it.
func ForgetBodies() { bodies.clear() }

// clear gives all up.
func (p *bodyPool) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free, p.bytes = nil, 0
}
