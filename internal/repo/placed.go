package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/tunesafe/tunesafe/internal/store"
)

// Listed is an object that commits place, beside what the bucket's listing tells.
type Listed struct {
	Name string
	Size int64 // as the log has it
	Err  error // ErrMissing or ErrCorrupt; nil if it is there with this size
}

// ListPlaced compares the bucket's listing with the objects that commits place and
// none condemns, as far as the index knows them, and yields these, by name. It reads no commit and
// holds little in memory, whatever the size of the repository.
func ListPlaced(ctx context.Context, st store.Store, x *Index) iter.Seq2[Listed, error] {
	return func(yield func(Listed, error) bool) {
		next, stop := iter.Pull2(listObjects(ctx, st))
		defer stop()
		there, err, more := next()
		for row, rowErr := range x.Objects() {
			if rowErr != nil {
				yield(Listed{}, rowErr)
				return
			}
			used, usedErr := x.InUse(row.Name)
			if usedErr != nil {
				yield(Listed{}, usedErr)
				return
			}
			if !used {
				continue
			}
			for more && err == nil && there.Key < row.Name {
				there, err, more = next()
			}
			if err != nil {
				yield(Listed{}, err)
				return
			}
			l := Listed{Name: row.Name, Size: row.Size}
			if !more || there.Key != row.Name || there.Size != row.Size {
				gone := false
				if l.Err, gone, err = lookAgain(ctx, st, x, &row); err != nil {
					yield(Listed{}, err)
					return
				}
				if gone {
					continue
				}
			}
			if !yield(l, nil) {
				return
			}
		}
	}
}

// listObjects lists what is below audio/ and meta/, in the order of the index.
func listObjects(ctx context.Context, st store.Store) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		for _, folder := range []string{"audio/", "meta/"} {
			for info, err := range st.List(ctx, folder, "") {
				if !yield(info, err) || err != nil {
					return
				}
			}
		}
	}
}

// lookAgain asks for an object that the listing lacks, or has in another size: it
// may be newer than the listing, or condemned since, which gone tells.
func lookAgain(ctx context.Context, st store.Store, x *Index, row *ObjectRow) (found error, gone bool, err error) {
	info, err := st.Stat(ctx, row.Name)
	missing := errors.Is(err, store.ErrNotExist)
	if err != nil && !missing {
		return nil, false, err
	}
	if used, err := x.InUse(row.Name); err != nil || !used {
		return nil, true, err
	}
	switch {
	case missing:
		return fmt.Errorf("%s: %w", row.Name, ErrMissing), false, nil
	case info.Size != row.Size:
		return fmt.Errorf("%s: %w: %d bytes, was written with %d", row.Name, ErrCorrupt, info.Size, row.Size), false, nil
	}
	return nil, false, nil
}

// VerifyObject fetches an object and verifies all of it: its name, its age chunks,
// and each blob in it. used is false, and nothing is said of it, if it is not in use
// any more. [IsFinding] tells what is wrong with the object from a trouble on the way
// to it.
func VerifyObject(ctx context.Context, st store.Store, k *Keys, x *Index, name string) (used bool, err error) {
	row, used, err := x.Object(name)
	if err != nil || !used {
		return used, err
	}
	err = readWhole(ctx, st, k, &row)
	used, xerr := x.InUse(name)
	if xerr != nil || !used {
		return used, xerr
	}
	return true, err
}

// IsFinding tells an error that is about an object from one about the way to it.
func IsFinding(err error) bool {
	return errors.Is(err, ErrMissing) || errors.Is(err, ErrCorrupt) || errors.Is(err, store.ErrArchived)
}

// readWhole downloads one object and verifies all of it.
func readWhole(ctx context.Context, st store.Store, k *Keys, row *ObjectRow) error {
	if _, err := plainSize(row.Size); err != nil {
		return fmt.Errorf("%s: %w: %w", row.Name, ErrCorrupt, err)
	}
	r, err := st.Get(ctx, row.Name, 0, row.Size)
	if err != nil {
		return rangeError(row.Name, err)
	}
	defer r.Close()
	body := make([]byte, row.Size)
	if err := readAll(r, body); err != nil {
		return rangeError(row.Name, err)
	}
	if n, _ := io.CopyN(io.Discard, r, 1); n > 0 {
		return fmt.Errorf("%s: %w: longer than it was written", row.Name, ErrCorrupt)
	}
	return k.verifyObject(row, body)
}
