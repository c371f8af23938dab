package sync

import (
	"context"
	"fmt"

	"github.com/tunesafe/tunesafe/cache"
)

// Recover looks at the contents that a lost database left behind, once the
// bucket was taken in: those that the bucket has go, all others become files of
// the drive's folder lost+found. names are what the lost database still told. It
// returns the names of these files. It may be called again after a crash.
func (w *Worker) Recover(ctx context.Context, names map[cache.Ino]string) (found []string, err error) {
	inos, err := w.cache.Strays()
	if err != nil || len(inos) == 0 {
		return nil, err
	}
	known, err := w.cache.NamesOf(inos)
	if err != nil {
		return nil, err
	}
	id := func(p []byte) [16]byte { return w.o.Keys.BlobID(p) }
	for _, ino := range inos {
		has, err := w.cache.StrayIsKnown(ctx, ino, id)
		if err == nil && has {
			err = w.cache.DropStray(ino)
		}
		if err != nil {
			return found, err
		}
		if has {
			continue
		}
		name := fmt.Sprintf("%016x", ino)
		for _, from := range []map[cache.Ino]string{names, known} {
			if n := from[ino]; n != "" {
				name = n
			}
		}
		if name, err = w.cache.Adopt(ino, name); err != nil {
			return found, err
		}
		w.log.Warn("a file was not uploaded when the local database was lost", "kept as", name)
		found = append(found, name)
	}
	return found, nil
}
