package fs

import (
	"cmp"
	"errors"
	"hash/fnv"
	"slices"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/tunesafe/tunesafe/cache"
)

// dirHandle is an open directory. A read from the start, the first one or one
// after rewinddir(3), takes a snapshot of its names. They come in the order of
// their cookies, which are made of the names alone: seekdir(3) comes back to the
// same name whatever is made or removed meanwhile, also in another snapshot, as
// when the kernel answered the first part of a listing itself.
type dirHandle struct {
	n *node

	mu      sync.Mutex
	names   []place // "." and ".." first; nil before the first read
	unread  bool    // names was taken at the opening, for the first read if nothing changes before
	version uint64  // of the namespace, at the latest when names was read
}

// place is a name and its cookie, the offset behind it.
type place struct {
	cache.DirEntry
	cookie uint64
}

// The cookies of "." and "..". No other is as small.
const (
	dotCookie = iota + 1
	dotDotCookie
)

// cookie is the place of a name in every listing; of the few names that share
// one, snapshot moves the later.
func cookie(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	return max(h.Sum64()>>1, dotDotCookie+1) // an off_t has a sign
}

// wholeListing is how many bytes of names a C library reads at once. The kernel
// may keep the listing of a directory that fits: it can lose its place in one
// that it kept, if names go and others list it meanwhile (fuse_readdir_cached in
// fs/fuse/readdir.c), but not between one read and the end.
const wholeListing = 32 << 10

// direntSize is the room that a name takes there, in bytes (getdents64(2)).
func direntSize(name string) int { return (19 + len(name) + 1 + 7) &^ 7 }

// opened says whether the kernel may keep the listing. Unless that is known, it
// takes the snapshot for the first read already. It does for that only if nothing
// changes before: the kernel takes what it keeps to be of the moment of the read.
func (h *dirHandle) opened() (keep bool, no syscall.Errno) {
	if h.n.d.isSmall(h.n.ino()) {
		return true, 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	keep, err := h.snapshot()
	h.unread = true
	return keep, h.n.errno("opendir", err)
}

func (h *dirHandle) snapshot() (small bool, err error) {
	c, dir := h.n.d.c, h.n.ino()
	version := c.Version()
	list, err := c.List(dir)
	if err != nil {
		return false, err
	}
	parent := cache.Root
	if dir != cache.Root {
		// A directory removed while open has no parent, nor names to list.
		if parent, err = c.Parent(dir); err != nil {
			parent = dir
		}
	}
	names := make([]place, 2, len(list)+2)
	names[0] = place{cache.DirEntry{Name: ".", Ino: dir, Mode: syscall.S_IFDIR}, dotCookie}
	names[1] = place{cache.DirEntry{Name: "..", Ino: parent, Mode: syscall.S_IFDIR}, dotDotCookie}
	size := 0
	for _, e := range list {
		names = append(names, place{e, cookie(e.Name)})
		size += direntSize(e.Name)
	}
	if dir == cache.Root && h.n.d.lists() {
		names = append(names, place{cache.DirEntry{Name: SnapshotsDir, Ino: snapshotsNode, Mode: syscall.S_IFDIR}, cookie(SnapshotsDir)})
	}
	slices.SortFunc(names, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.cookie, b.cookie), cmp.Compare(a.Name, b.Name))
	})
	for i := 1; i < len(names); i++ {
		names[i].cookie = max(names[i].cookie, names[i-1].cookie+1)
	}
	h.names, h.version = names, version
	small = size <= wholeListing
	h.n.d.setSmall(dir, small)
	return small, nil
}

// read puts names into out from offset on, by add, until that says it is full.
func (h *dirHandle) read(off uint64, out *fuse.DirEntryList, add func(*dirHandle, place, *fuse.DirEntryList) (bool, error)) syscall.Errno {
	h.mu.Lock()
	defer h.mu.Unlock()
	fresh := h.unread && h.version == h.n.d.c.Version()
	if off == 0 && !fresh || h.names == nil {
		if _, err := h.snapshot(); err != nil {
			return h.n.errno("readdir", err)
		}
	}
	h.unread = false
	first, _ := slices.BinarySearchFunc(h.names, off+1, func(p place, o uint64) int { return cmp.Compare(p.cookie, o) })
	for i, p := range h.names[first:] {
		more, err := add(h, p, out)
		if err != nil && i == 0 {
			return h.n.errno("readdir", err)
		}
		if err != nil || !more {
			break // an error is met again, first in the next read
		}
	}
	return 0
}

// plain adds a name with its type. One that is gone meanwhile is left out.
func (h *dirHandle) plain(p place, out *fuse.DirEntryList) (bool, error) {
	if p.Mode == 0 {
		mode, err := h.n.d.c.Type(p.Ino)
		if errors.Is(err, cache.ErrNotExist) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		p.Mode = mode
	}
	return out.AddDirEntry(fuse.DirEntry{Name: p.Name, Ino: p.Ino, Mode: p.Mode, Off: p.cookie}), nil
}

// plus adds a name with all that a look-up would tell. The kernel believes what
// it is told here as long as a look-up, so a name is looked up again if the
// namespace changed since the snapshot. In between it cannot change: the kernel
// holds the directory's lock.
func (h *dirHandle) plus(p place, out *fuse.DirEntryList) (bool, error) {
	if p.cookie <= dotDotCookie || isPast(p.Ino) { // these are listed, and not looked up
		return out.AddDirLookupEntry(fuse.DirEntry{Name: p.Name, Ino: p.Ino, Mode: p.Mode, Off: p.cookie}) != nil, nil
	}
	c := h.n.d.c
	var a cache.Attr
	var err error
	if c.Version() == h.version {
		a, err = c.Attr(p.Ino)
	} else {
		a, err = c.Lookup(h.n.ino(), p.Name)
	}
	if errors.Is(err, cache.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	o := out.AddDirLookupEntry(fuse.DirEntry{Name: p.Name, Ino: a.Ino, Mode: a.Mode, Off: p.cookie})
	if o == nil {
		return false, nil
	}
	h.n.d.tell(a, o)
	return true, nil
}

// Fsyncdir makes all names durable, the journal being one for the whole drive, and
// what was written so far.
func (h *dirHandle) Fsyncdir() syscall.Errno {
	return h.n.errno("fsyncdir", h.n.d.c.SyncAll())
}
