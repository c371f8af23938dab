package sync

import (
	"context"

	"github.com/tunesafe/tunesafe/cache"
)

// Absent gives the name and the size of the pack that a blob lies in, if it is neither
// here nor on its way; else "".
func (f *Fetcher) Absent(b cache.Blob) (pack string, size int64, err error) {
	p, is, err := f.r.Absent(b.ID)
	if err != nil || !is {
		return "", 0, err
	}
	return p.Name, p.Size, nil
}

// Bring has the pack that a blob lies in come whole, before somebody asks for it. It
// takes turns with what somebody waits for, and is given up when ctx ends unless
// somebody waits for the pack by then.
func (f *Fetcher) Bring(ctx context.Context, b cache.Blob) error {
	p, is, err := f.r.Absent(b.ID)
	if err != nil || !is {
		return err
	}
	return f.r.Bring(ctx, p)
}

// Missed counts what was asked for of packs, and was not here.
func (f *Fetcher) Missed() uint64 { return f.r.Missed() }
