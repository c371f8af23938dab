package repo

import (
	"fmt"
	"io"
)

// LoadedAudio is a blob of sound in the memory of the object that it may become. It is
// read and named at once; if nobody has it, it is sealed where it lies, so that a backup
// holds each byte that is on its way once.
type LoadedAudio struct {
	k    *Keys
	id   ID
	size int64
	body []byte // chunks of plaintext, each where it will lie sealed
}

// LoadedSize is the memory that [Keys.LoadAudio] takes for n bytes of sound, and the
// object made of it.
func LoadedSize(n int64) int64 {
	size, _ := bodyFor(sealedSize(paddedSize(n)))
	return size
}

// LoadAudio reads a blob of n bytes, at most MaxBlob, from r.
func (k *Keys) LoadAudio(r io.Reader, n int64) (*LoadedAudio, error) {
	if n <= 0 || n > MaxBlob {
		return nil, fmt.Errorf("audio object of %d bytes: %w", n, ErrTooLarge)
	}
	size := sealedSize(paddedSize(n))
	a := &LoadedAudio{k: k, size: n, body: bodies.get(size)[:size]}
	hash := k.NewHash()
	for at := int64(0); at < n; at += chunkSize {
		p := a.chunk(at / chunkSize)
		blob := p[:min(chunkSize, n-at)]
		if _, err := io.ReadFull(r, blob); err != nil {
			a.Release()
			return nil, err
		}
		hash.Write(blob)
		clear(p[len(blob):]) // padding
	}
	a.id = hash.Sum()
	return a, nil
}

// chunk is the plaintext of chunk i, padding included.
func (a *LoadedAudio) chunk(i int64) []byte {
	at := pinnedSize + i*sealedChunk
	return a.body[at : at+min(chunkSize, paddedSize(a.size)-i*chunkSize)]
}

// ID is that of the blob.
func (a *LoadedAudio) ID() ID { return a.id }

// Seal makes the object, in the same memory: nothing else is to be done with a.
func (a *LoadedAudio) Seal() (*Sealed, ObjectRow, error) {
	row := ObjectRow{Kind: Audio, Raw: []BlobRef{{a.id, a.size}}}
	w, err := a.k.sealerInto(a.body)
	if err != nil {
		return nil, row, err
	}
	last := chunkCount(paddedSize(a.size)) - 1
	for i := range last {
		w.chunk(a.chunk(i), false)
	}
	w.open = a.chunk(last)
	s := w.finish()
	s.Name = objectName("audio", s.sum)
	row.describe(s)
	a.body = nil
	return s, row, nil
}

// Release gives the memory back, where Seal was not called.
func (a *LoadedAudio) Release() {
	bodies.release(a.body)
	a.body = nil
}
