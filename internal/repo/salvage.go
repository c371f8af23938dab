package repo

import (
	"bytes"
	"context"
)

// Salvage reads a blob as [Reader.Blob] does, but of a pack nothing more than the frame that
// it lies in: of a damaged pack that gives what is whole, as each chunk authenticates by
// itself, whatever became of the others.
func (r *Reader) Salvage(ctx context.Context, id ID) ([]byte, error) {
	p, err := r.lookup(id)
	if err != nil {
		return nil, err
	}
	if p.FrameLen == 0 {
		return r.rawBlob(ctx, id, p)
	}
	key := frameKey{p.Object, p.FrameOff}
	frame, ok := r.frames.get(key)
	if !ok {
		size, err := r.frameSize(p)
		if err != nil {
			return nil, err
		}
		if frame, err = r.readFrame(p, r.bucket(p), size, nil); err != nil {
			return nil, err
		}
		r.frames.add(key, frame)
	}
	blob, err := p.in(frame)
	if err == nil {
		err = r.verifyBlob(p, id, blob)
	}
	if err != nil {
		return nil, err
	}
	return bytes.Clone(blob), nil
}
