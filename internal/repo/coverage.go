package repo

import (
	"math/bits"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
)

// coverage finds out which objects were read whole from the bucket, in whatever
// pieces: the header, which is pinned by the log, and every chunk, which is
// authenticated by what is in the header. So there is no other byte left to doubt.
type coverage struct {
	verified func(object string)

	mu      sync.Mutex
	objects *lru.Cache[string, *covered]
}

// covered is what was read of an object: a bit a chunk, and its header.
type covered struct {
	chunks [(MaxObject/chunkSize + 64) / 64]uint64
	header bool
}

// coveredObjects are watched at a time; what is beyond is forgotten.
const coveredObjects = 2048

func newCoverage(verified func(object string)) *coverage {
	c := &coverage{verified: verified}
	c.objects, _ = lru.New[string, *covered](coveredObjects)
	return c
}

// of gives what is told of the chunks of the object of p; nil if nobody asks.
func (c *coverage) of(p *Placement) func(chunk int64) {
	if c.verified == nil {
		return nil
	}
	return func(chunk int64) {
		c.read(p, func(o *covered) { o.chunks[chunk/64] |= 1 << (chunk % 64) })
	}
}

// header says that the header of the object of p came from the bucket. Whether it is
// right is known before any chunk is opened by it.
func (c *coverage) header(p *Placement) {
	if c.verified != nil {
		c.read(p, func(o *covered) { o.header = true })
	}
}

func (c *coverage) read(p *Placement, what func(*covered)) {
	c.mu.Lock()
	o, ok := c.objects.Get(p.Object)
	if !ok {
		o = &covered{}
		c.objects.Add(p.Object, o)
	}
	what(o)
	n := 0
	for _, word := range o.chunks {
		n += bits.OnesCount64(word)
	}
	size, err := plainSize(p.ObjectSize)
	all := err == nil && o.header && int64(n) == chunkCount(size)
	if all {
		c.objects.Remove(p.Object)
	}
	c.mu.Unlock()
	if all {
		c.verified(p.Object)
	}
}

// whole says that an object was read whole.
func (c *coverage) whole(object string) {
	if c.verified != nil {
		c.verified(object)
	}
}
