package sync

import (
	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/repo"
)

// slicer puts a part together, from its start to its end: of slices of the blobs
// it had, of zeros, and of blobs in which what changed is gathered.
type slicer struct {
	w   *Worker
	out []cache.Blob

	old    []cache.Blob // what the part had, from
	oldOff int64        // this offset in it on
	asked  repo.ID      // the blob last looked up,
	known  bool         // and whether the bucket has it

	fresh []byte // of the blob being gathered
	waits []int  // slices of it, in out: it has no name yet
}

// append adds a slice, to the last if it goes on there.
func (b *slicer) append(s cache.Blob) {
	if n := len(b.out); n > 0 && !b.gathering() {
		last := &b.out[n-1]
		if last.ID == s.ID && (s.IsZeros() || s.Off > 0 && last.Off+last.Size == s.Off) {
			last.Size += s.Size
			return
		}
	}
	b.out = append(b.out, s)
}

// gathering reports whether the last slice is of the blob being gathered.
func (b *slicer) gathering() bool {
	n := len(b.waits)
	return n > 0 && b.waits[n-1] == len(b.out)-1
}

func (b *slicer) zeros(n int64) { b.append(cache.Blob{Size: n}) }

// kept adds n bytes that the part had at off. If the bucket lacks one of the blobs
// its bytes go into another, from data; without data that is errElsewhere.
func (b *slicer) kept(off, n int64, data []byte) error {
	for n > 0 {
		for len(b.old) > 0 && b.oldOff+b.old[0].Size <= off {
			b.oldOff += b.old[0].Size
			b.old = b.old[1:]
		}
		if len(b.old) == 0 {
			return errElsewhere
		}
		was := b.old[0]
		at := off - b.oldOff
		k := min(n, was.Size-at)
		known, err := b.has(was.ID)
		switch {
		case err != nil:
			return err
		case known && was.IsZeros():
			b.zeros(k)
		case known:
			b.append(cache.Blob{ID: was.ID, Size: k, Off: was.Off + at})
		case data == nil:
			return errElsewhere
		default:
			b.changed(data[:k])
		}
		if data != nil {
			data = data[k:]
		}
		off, n = off+k, n-k
	}
	return nil
}

// has looks whether the bucket has a blob.
func (b *slicer) has(id repo.ID) (bool, error) {
	if id == (repo.ID{}) || id == b.asked {
		return b.known || id == repo.ID{}, nil
	}
	_, ok, err := b.w.o.Index.Lookup(id)
	b.asked, b.known = id, ok
	return ok, err
}

// changed adds bytes that go into a blob of their own.
func (b *slicer) changed(data []byte) {
	for len(data) > 0 {
		n := min(len(data), gathered-len(b.fresh))
		if b.gathering() {
			b.out[len(b.out)-1].Size += int64(n)
		} else {
			b.waits = append(b.waits, len(b.out))
			b.out = append(b.out, cache.Blob{Size: int64(n), Off: int64(len(b.fresh))})
		}
		b.fresh = append(b.fresh, data[:n]...)
		data = data[n:]
		if len(b.fresh) == gathered {
			b.flush()
		}
	}
}

// flush gives the gathered blob its name.
func (b *slicer) flush() {
	if len(b.waits) == 0 {
		return
	}
	id := b.w.o.Keys.BlobID(b.fresh)
	for _, i := range b.waits {
		b.out[i].ID = id
	}
	b.fresh, b.waits = b.fresh[:0], b.waits[:0]
}

// worth reports errElsewhere if the part, of size bytes, is in too many pieces, or
// if less than half of what its blobs hold is used.
func (b *slicer) worth(size int64) error {
	if n := int64(len(b.out)); n > mostSlices || n > 1024 && size/n < leastSlice {
		return errElsewhere
	}
	var used, held int64
	seen := map[repo.ID]bool{}
	for _, s := range b.out {
		if s.IsZeros() {
			continue
		}
		used += s.Size
		if seen[s.ID] {
			continue
		}
		seen[s.ID] = true
		p, ok, err := b.w.o.Index.Lookup(s.ID)
		if err != nil {
			return err
		}
		if ok {
			held += p.Size
		}
	}
	if used < held/2 {
		return errElsewhere
	}
	return nil
}
