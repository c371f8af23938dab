package fs

import (
	"context"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/tunesafe/tunesafe/cache"
)

// dirHandle is an open directory. The first read takes a snapshot of its names,
// and the offset after a name is its place in the snapshot, so seekdir(3) comes
// back to the same name whatever is made or removed meanwhile. Going back to
// the start, as rewinddir(3) does, takes a new one.
//
// go-fuse lets one request at a time at a directory handle.
type dirHandle struct {
	n     *node
	names []cache.DirEntry // "." and ".." first; nil before the first read
	next  uint64           // index into names
	entry fuse.DirEntry    // the last one handed out
}

var (
	_ fusefs.FileReaddirenter = (*dirHandle)(nil)
	_ fusefs.FileSeekdirer    = (*dirHandle)(nil)
	_ fusefs.FileFsyncdirer   = (*dirHandle)(nil)
)

func (n *node) OpendirHandle(context.Context, uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	return &dirHandle{n: n}, 0, 0
}

func (h *dirHandle) snapshot() error {
	c, dir := h.n.d.c, h.n.ino()
	names, err := c.ReadDir(dir)
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
	return nil
}

// Readdirent returns nil at the end. For readdirplus go-fuse then looks each
// name up at the node, so a name removed since the snapshot is listed but not
// believed to exist.
func (h *dirHandle) Readdirent(context.Context) (*fuse.DirEntry, syscall.Errno) {
	if h.names == nil {
		if err := h.snapshot(); err != nil {
			return nil, h.n.errno("readdir", err)
		}
	}
	if h.next >= uint64(len(h.names)) {
		return nil, 0
	}
	e := h.names[h.next]
	h.next++
	h.entry = fuse.DirEntry{Name: e.Name, Ino: e.Ino, Mode: e.Mode, Off: h.next}
	return &h.entry, 0
}

func (h *dirHandle) Seekdir(_ context.Context, off uint64) syscall.Errno {
	if off == 0 {
		h.names = nil
	}
	h.next = off
	return 0
}

// Fsyncdir makes all names durable: the journal is one for the whole drive.
func (h *dirHandle) Fsyncdir(context.Context, uint32) syscall.Errno {
	return h.n.errno("fsyncdir", h.n.d.c.Sync())
}
