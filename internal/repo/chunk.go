package repo

import (
	"io"
	"iter"
	"strings"

	chunkers "github.com/PlakarKorp/go-cdc-chunkers"
	_ "github.com/PlakarKorp/go-cdc-chunkers/chunkers/fastcdc" // registers the algorithm
)

// Sizes of chunks that a long part is cut into by content. A reader needs none
// of them; a writer that changed them would share less with what is stored.
const (
	AudioMin, AudioNormal, AudioMax = 4 << 20, 8 << 20, 16 << 20    // audio over MaxBlob
	DataMin, DataNormal, DataMax    = 4 << 10, 16 << 10, 64 << 10   // data up to LargeData
	LargeMin, LargeNormal, LargeMax = 256 << 10, 1 << 20, 4 << 20   // data from LargeData
	RowsMin, RowsNormal, RowsMax    = 16 << 10, 64 << 10, 256 << 10 // rows of a checkpoint
	LargeData                       = 32 << 20
	HugeData                        = 64 << 30 // data from here on is cut as sound is: a row names every chunk
)

// Chunks cuts the bytes of r where their content says (FastCDC), so that equal
// stretches give equal chunks wherever they lie. A chunk is valid until the
// next is asked for. The sequence ends at the first error.
func Chunks(r io.Reader, minSize, normal, maxSize int) iter.Seq2[[]byte, error] {
	return NewChunker(minSize, normal, maxSize).Chunks(r)
}

// Chunker cuts one stream after another, with one buffer.
type Chunker struct {
	c   *chunkers.Chunker
	err error
}

// NewChunker makes a chunker that cuts to these sizes.
func NewChunker(minSize, normal, maxSize int) *Chunker {
	opts := &chunkers.ChunkerOpts{MinSize: minSize, NormalSize: normal, MaxSize: maxSize}
	// Room behind the longest chunk saves moving bytes; a mebibyte of it is enough of that.
	buf := make([]byte, maxSize+min(maxSize, 1<<20))
	c, err := chunkers.NewChunkerBuffer("fastcdc-v1.0.0", strings.NewReader(""), opts, buf)
	return &Chunker{c, err}
}

// Chunks cuts r; see the function of that name.
func (c *Chunker) Chunks(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		if c.err != nil {
			yield(nil, c.err)
			return
		}
		c.c.Reset(r)
		for {
			chunk, err := c.c.Next()
			if len(chunk) > 0 && !yield(chunk, nil) {
				return
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
		}
	}
}
