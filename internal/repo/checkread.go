package repo

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
)

// readObjects reads every object that is there, if asked to.
func (c *checker) readObjects(ctx context.Context) error {
	if !c.opts.Read {
		return nil
	}
	var all []*checkedObject
	var total int64
	for _, name := range slices.Sorted(maps.Keys(c.objects)) {
		if o := c.objects[name]; o.good {
			all = append(all, o)
			total += o.row.Size
		}
	}
	var mu sync.Mutex // of findings, sum and Progress
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(3) // each holds an object sealed and open: up to 34 MiB
	for _, o := range all {
		g.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			err := readWhole(ctx, c.st, c.k, &o.row)
			mu.Lock()
			defer mu.Unlock()
			if c.opts.Verified != nil && (err == nil || IsFinding(err)) {
				c.opts.Verified(o.row.Name, err)
			}
			if err != nil {
				o.good = false
				return c.findError(o.row.Name, err)
			}
			c.sum.Read++
			c.sum.ReadBytes += o.row.Size
			if c.opts.Progress != nil {
				c.opts.Progress(c.sum.Read, int64(len(all)), c.sum.ReadBytes, total)
			}
			return nil
		})
	}
	return g.Wait()
}

// verifyObject verifies an object and every blob in it.
func (k *Keys) verifyObject(row *ObjectRow, body []byte) error {
	plain, err := k.OpenObject(row.Name, body)
	if err != nil {
		return err
	}
	if sha256.Sum256(body[:pinnedSize]) != row.Head {
		return fmt.Errorf("%s: %w: its first %d bytes are not those that were written", row.Name, ErrCorrupt, pinnedSize)
	}
	if row.Raw != nil {
		return k.verifyBlobs(row.Name, row.Raw, plain)
	}
	for _, f := range row.Frames {
		if f.Packed > int64(len(plain)) {
			return fmt.Errorf("%s: %w: cut short", row.Name, ErrCorrupt)
		}
		unpacked, err := unpackFrame(plain[:f.Packed], f.Size())
		if err != nil {
			return fmt.Errorf("%s: %w: %w", row.Name, ErrCorrupt, err)
		}
		if err := k.verifyBlobs(row.Name, f.Blobs, unpacked); err != nil {
			return err
		}
		plain = plain[f.Packed:]
	}
	return nil
}

func (k *Keys) verifyBlobs(name string, refs []BlobRef, plain []byte) error {
	for _, b := range refs {
		if b.Size > int64(len(plain)) {
			return fmt.Errorf("%s: %w: cut short", name, ErrCorrupt)
		}
		if k.BlobID(plain[:b.Size]) != b.ID {
			return fmt.Errorf("%s: %w: blob %s is not what lies there", name, ErrCorrupt, b.ID)
		}
		plain = plain[b.Size:]
	}
	return nil
}
