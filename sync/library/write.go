package library

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
)

// write brings the playlists of a place up to date. Lists of a library that was
// not read anew stay as they are.
func (u *updater) write(now []Library) error {
	top, name, err := u.folder(now)
	if err != nil || name == "" {
		return err
	}
	stay := map[string]bool{}
	for n := range now {
		l := &now[n]
		if !u.read[l.Path] {
			for p := range l.Lists {
				stay[p] = true
			}
			continue
		}
		sums := map[string]Sum{}
		for _, list := range l.Survey.Lists {
			p := inFolder(n, list)
			data := list.M3U(1 + strings.Count(p, "/"))
			sums[p] = sha256.Sum256(data)
			stay[p] = true
			if err := u.list(top, p, data, l.Lists[p] == sums[p]); err != nil {
				return fmt.Errorf("%s/%s: %w", name, p, err)
			}
		}
		l.Lists, l.Survey.Lists = sums, nil
	}
	if err := u.clean(top, "", stay); err != nil {
		return err
	}
	return u.dropEmpty(top, name)
}

// folder finds the playlists' folder, or makes it if there are lists to write.
func (u *updater) folder(now []Library) (top cache.Ino, name string, err error) {
	lists := 0
	for _, l := range now {
		lists += len(l.Survey.Lists) + len(l.Lists)
	}
	for n := 1; n < 100; n++ {
		name = Folder
		if n > 1 {
			name = fmt.Sprintf("%s %d", Folder, n)
		}
		if lists == 0 { // nothing to write: only what is there may have to go
			top, err = u.made(name)
			if errors.Is(err, cache.ErrNotExist) {
				return 0, "", nil
			}
		} else {
			top, err = u.feed.Folder(u.p.Dir, name, time.Now())
		}
		if !errors.Is(err, cache.ErrExist) {
			return top, name, err
		}
	}
	return 0, "", err
}

// made finds a folder that was made here.
func (u *updater) made(name string) (cache.Ino, error) {
	list, err := u.c.FedDir(u.p.Dir)
	if err != nil {
		return 0, err
	}
	for _, e := range list {
		if e.Name == name {
			if e.Made && e.Mode&unix.S_IFMT == unix.S_IFDIR {
				return e.Ino, nil
			}
			return 0, cache.ErrExist
		}
	}
	return 0, cache.ErrNotExist
}

// list writes a playlist, unless it is there and the same.
func (u *updater) list(top cache.Ino, p string, data []byte, same bool) error {
	dir := top
	for _, name := range strings.Split(path.Dir(p), "/") {
		if name == "." {
			break
		}
		var err error
		if dir, err = u.feed.Folder(dir, name, time.Now()); err != nil {
			return err
		}
	}
	a, err := u.c.Lookup(dir, path.Base(p))
	switch {
	case err == nil && same && a.Size == int64(len(data)):
		return nil
	case err == nil && a.Size == int64(len(data)) && u.equal(a.Ino, data):
		return nil
	case err != nil && !errors.Is(err, cache.ErrNotExist):
		return err
	}
	_, err = u.feed.Write(dir, path.Base(p), data, time.Now())
	return err
}

// equal compares a list with the one that is there, if that is here to be read.
func (u *updater) equal(ino cache.Ino, data []byte) bool {
	h, err := u.c.OpenFile(ino, cache.OpenFlags{Read: true})
	if err != nil {
		return false
	}
	defer h.Release()
	b := make([]byte, len(data))
	n, err := h.ReadAt(u.ctx, b, 0)
	return err == nil && bytes.Equal(b[:n], data)
}

// clean removes the lists below dir that nothing wants any more, and the folders
// that are empty then. What was not made here is left alone.
func (u *updater) clean(dir cache.Ino, at string, stay map[string]bool) error {
	list, err := u.c.FedDir(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		p := path.Join(at, e.Name)
		if !e.Made || stay[p] {
			continue
		}
		if e.Mode&unix.S_IFMT == unix.S_IFDIR {
			if err := u.clean(e.Ino, p, stay); err != nil {
				return err
			}
			if left, err := u.c.FedDir(e.Ino); err != nil || len(left) > 0 {
				continue
			}
		}
		if err := u.feed.Remove(dir, e.Name); err != nil {
			return err
		}
	}
	return nil
}

// dropEmpty removes the playlists' folder if nothing is in it.
func (u *updater) dropEmpty(top cache.Ino, name string) error {
	left, err := u.c.FedDir(top)
	if err != nil || len(left) > 0 {
		return err
	}
	return u.feed.Remove(u.p.Dir, name)
}
