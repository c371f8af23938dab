package repo

import (
	"context"
	"errors"
	"io"

	"github.com/tunesafe/tunesafe/internal/store"
)

// ReaderOptions are the sizes of a [Reader]; zero means the default.
type ReaderOptions struct {
	Frames int64 // memory for decoded frames, in bytes; 32 MiB
	Packs  int64 // disk for packs of kinds other than tags and probe, in bytes; 1 GiB
}

// Reader reads blobs.
type Reader struct {
	st store.Store
	k  *Keys
	x  *Index
}

// NewReader makes a reader.
func NewReader(st store.Store, k *Keys, x *Index, packDir string, opts ReaderOptions) *Reader {
	return &Reader{st: st, k: k, x: x}
}

// Blob reads a whole blob and verifies it by its id.
func (r *Reader) Blob(ctx context.Context, id ID) ([]byte, error) { return nil, errors.ErrUnsupported }

// Range streams verified bytes of a blob.
func (r *Reader) Range(ctx context.Context, ref BlobRef, off, n int64) (io.ReadCloser, error) {
	return nil, errors.ErrUnsupported
}

// Keep stores a pack that was just uploaded, so that it need not be fetched.
func (r *Reader) Keep(s *Sealed) error { return errors.ErrUnsupported }
