package fs

import (
	"errors"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/tunesafe/tunesafe/cache"
)

// dirHandle is an open directory. A read from the start, the first one or one
// after rewinddir(3), takes a snapshot of its names, and the offset after a name
// is its place in the snapshot, so seekdir(3) comes back to the same name
// whatever is made or removed meanwhile.
type dirHandle struct {
	n *node

	mu      sync.Mutex
	names   []cache.DirEntry // "." and ".." first; nil before the first read
	version uint64           // of the namespace, at the latest when names was read
}

func (h *dirHandle) snapshot() error {
	c, dir := h.n.d.c, h.n.ino()
	version := c.Version()
	names, err := c.List(dir)
	if err != nil {
		return err
	}
	parent := cache.Root
	if dir != cache.Root {
		// A directory removed while open has no parent, nor names to list.
		if parent, err = c.Parent(dir); err != nil {
			parent = dir
		}
	}
	h.names = append([]cache.DirEntry{
		{Name: ".", Ino: dir, Mode: syscall.S_IFDIR},
		{Name: "..", Ino: parent, Mode: syscall.S_IFDIR},
	}, names...)
	h.version = version
	return nil
}

// read puts names into out from offset on, by add, until that says it is full.
func (h *dirHandle) read(off uint64, out *fuse.DirEntryList, add func(*dirHandle, cache.DirEntry, uint64, *fuse.DirEntryList) (bool, error)) syscall.Errno {
	h.mu.Lock()
	defer h.mu.Unlock()
	if off == 0 || h.names == nil {
		if err := h.snapshot(); err != nil {
			return h.n.errno("readdir", err)
		}
	}
	start := off
	for ; off < uint64(len(h.names)); off++ {
		more, err := add(h, h.names[off], off+1, out)
		if err != nil && off == start {
			return h.n.errno("readdir", err)
		}
		if err != nil || !more {
			break // an error is met again, first in the next read
		}
	}
	return 0
}

// plain adds a name with its type. One that is gone meanwhile is left out.
func (h *dirHandle) plain(e cache.DirEntry, off uint64, out *fuse.DirEntryList) (bool, error) {
	if e.Mode == 0 {
		mode, err := h.n.d.c.Type(e.Ino)
		if errors.Is(err, cache.ErrNotExist) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		e.Mode = mode
	}
	return out.AddDirEntry(fuse.DirEntry{Name: e.Name, Ino: e.Ino, Mode: e.Mode, Off: off}), nil
}

// plus adds a name with all that a look-up would tell. The kernel believes what
// it is told here as long as a look-up, so a name is looked up again if the
// namespace changed since the snapshot. In between it cannot change: the kernel
// holds the directory's lock.
func (h *dirHandle) plus(e cache.DirEntry, off uint64, out *fuse.DirEntryList) (bool, error) {
	if off <= 2 { // . and .. are listed, and not looked up
		return out.AddDirLookupEntry(fuse.DirEntry{Name: e.Name, Ino: e.Ino, Mode: e.Mode, Off: off}) != nil, nil
	}
	c := h.n.d.c
	var a cache.Attr
	var err error
	if c.Version() == h.version {
		a, err = c.Attr(e.Ino)
	} else {
		a, err = c.Lookup(h.n.ino(), e.Name)
	}
	if errors.Is(err, cache.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	o := out.AddDirLookupEntry(fuse.DirEntry{Name: e.Name, Ino: a.Ino, Mode: a.Mode, Off: off})
	if o == nil {
		return false, nil
	}
	h.n.d.tell(a, o)
	return true, nil
}

// Fsyncdir makes all names durable: the journal is one for the whole drive.
func (h *dirHandle) Fsyncdir() syscall.Errno {
	return h.n.errno("fsyncdir", h.n.d.c.Sync())
}
