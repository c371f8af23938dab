package sync

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/repo"
)

// Rescue brings to light what is shown nowhere since commits were given up: files whose
// name, or whose folder, only a lost commit told. They get a second row in the folder
// lost+found, and wait for the next commit. It returns their paths, and those of the names
// of which nothing else is known.
func (w *Worker) Rescue(ctx context.Context) (found, names []string, err error) {
	r := &rescue{rows: map[cache.Ino]cache.Row{}, named: map[cache.Ino]cache.NameRow{}}
	err = w.cache.Each(func(row cache.Row) error {
		r.rows[row.Ino] = row
		return ctx.Err()
	}, func(n cache.NameRow) error {
		if row, ok := r.rows[n.Ino]; !ok {
			names = append(names, r.path(n))
		} else if r.named[n.Ino].Name == "" || r.shown(n) {
			r.named[row.Ino] = n
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, nil, err
	}
	for ino, row := range r.rows {
		n, ok := r.named[ino]
		switch {
		case row.Mode&unix.S_IFMT == unix.S_IFDIR, ok && r.shown(n):
			continue
		case !ok:
			n.Name = fmt.Sprintf("file %016x", ino)
		}
		at := n.Name
		if ok {
			at = r.path(n)
		}
		err := w.toLostAndFound(at, row)
		if errors.Is(err, cache.ErrOwed) {
			continue // nothing but its tags, and its sound will not come
		}
		if err != nil {
			return found, names, err
		}
		found = append(found, path.Join(cache.LostAndFound, at))
	}
	slices.Sort(found)
	return found, names, nil
}

type rescue struct {
	rows  map[cache.Ino]cache.Row
	named map[cache.Ino]cache.NameRow // one name of each file
}

// shown tells whether all folders above a name are there.
func (r *rescue) shown(n cache.NameRow) bool {
	dir := n.Parent
	for range repo.MaxDepth { // what was lost may have taken a folder out of itself
		row, ok := r.rows[dir]
		if dir == cache.Root || !ok {
			return dir == cache.Root
		}
		dir = row.Parent
	}
	return false
}

// path is where a name is, as far as the folders above it are known.
func (r *rescue) path(n cache.NameRow) string {
	at, dir := n.Name, n.Parent
	for range repo.MaxDepth {
		row, ok := r.rows[dir]
		if dir == cache.Root {
			return at
		}
		if !ok {
			return path.Join(fmt.Sprintf("folder %016x", dir), at)
		}
		at, dir = path.Join(row.Name, at), row.Parent
	}
	return n.Name
}

// toLostAndFound puts a row at a path below the folder lost+found.
func (w *Worker) toLostAndFound(at string, row cache.Row) error {
	dir := cache.Root
	folders := strings.Split(path.Join(cache.LostAndFound, at), "/")
	for _, name := range folders[:len(folders)-1] {
		a, err := w.cache.Lookup(dir, name)
		if errors.Is(err, cache.ErrNotExist) {
			a, err = w.cache.Mkdir(dir, name, 0o700, cache.Owner{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())})
		}
		if err != nil {
			return err
		}
		dir = a.Ino
	}
	_, err := w.cache.Edit().PutBack(dir, folders[len(folders)-1], row)
	return err
}
