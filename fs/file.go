package fs

import (
	"context"
	"errors"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/tunesafe/tunesafe/cache"
)

// handle is an open file.
type handle struct {
	n           *node
	h           *cache.Handle
	writing     bool
	passthrough bool // the kernel does the reading and writing
}

// passHandle is a handle in passthrough mode. It is a type of its own because
// go-fuse gives a registered descriptor to every handle that has PassthroughFd,
// without calling it again.
type passHandle struct {
	*handle
	fd int
}

// What an open file answers.
var (
	_ fusefs.FileReader          = (*handle)(nil)
	_ fusefs.FileWriter          = (*handle)(nil)
	_ fusefs.FileWritever        = (*handle)(nil)
	_ fusefs.FileFlusher         = (*handle)(nil)
	_ fusefs.FileFsyncer         = (*handle)(nil)
	_ fusefs.FileReleaser        = (*handle)(nil)
	_ fusefs.FileAllocater       = (*handle)(nil)
	_ fusefs.FileLseeker         = (*handle)(nil)
	_ fusefs.FilePassthroughFder = passHandle{}
)

func (h *handle) ino() cache.Ino { return h.n.ino() }

// openFlags reads the flags of open(2). O_TRUNC does not come here: without
// CAP_ATOMIC_O_TRUNC the kernel truncates by a setattr first. It is understood
// all the same.
func openFlags(flags uint32) cache.OpenFlags {
	mode := flags & syscall.O_ACCMODE
	return cache.OpenFlags{
		Read:     mode != syscall.O_WRONLY,
		Write:    mode != syscall.O_RDONLY,
		Append:   flags&syscall.O_APPEND != 0,
		Truncate: flags&syscall.O_TRUNC != 0,
	}
}

// opened wraps a handle of the cache for go-fuse, with the flags for the kernel.
func (n *node) opened(ch *cache.Handle, f cache.OpenFlags) (fusefs.FileHandle, uint32) {
	h := &handle{n: n, h: ch, writing: f.Write}
	fd, ok := ch.Passthrough()
	h.passthrough = ok && n.d.passthrough
	var flags uint32
	if n.d.opened(h) {
		flags = fuse.FOPEN_KEEP_CACHE
	}
	if !h.passthrough {
		if n.d.direct && ch.Partial() {
			flags |= fuse.FOPEN_DIRECT_IO
		}
		return h, flags
	}
	if f.Write && f.Read {
		// This handle can be mapped, and stores to the mapping change the
		// times without a request. What the kernel was told earlier to
		// believe for long it must ask again. (Offset -1: attributes only,
		// which may be told from within a request.)
		n.d.server.InodeNotify(n.ino(), -1, 0)
	}
	return passHandle{h, fd}, flags
}

func (n *node) Open(_ context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	f := openFlags(flags)
	ch, err := n.d.c.OpenFile(n.ino(), f)
	if err != nil {
		return nil, 0, n.errno("open", err)
	}
	fh, kernel := n.opened(ch, f)
	return fh, kernel, 0
}

func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fusefs.Inode, fusefs.FileHandle, uint32, syscall.Errno) {
	o, _, err := n.owner(ctx)
	if err != nil {
		return nil, nil, 0, n.errno("create", err)
	}
	f := openFlags(flags)
	a, ch, err := n.d.c.Create(n.ino(), name, mode&07777, o, f)
	switch {
	case errors.Is(err, cache.ErrExist) && flags&syscall.O_EXCL == 0:
		// It came from elsewhere after the kernel asked. ESTALE makes the
		// kernel look again, and then check the caller's right to open it.
		return nil, nil, 0, syscall.ESTALE
	case err != nil:
		return nil, nil, 0, n.errno("create", err)
	}
	// go-fuse takes a new file's node as made here, so the handle may hold it.
	inode := n.child(ctx, a, out)
	fh, kernel := inode.Operations().(*node).opened(ch, f)
	if f.Write {
		out.SetAttrTimeout(0)
	}
	return inode, fh, kernel, 0
}

// CopyFileRange is the kernel's own to do, by reading and writing; ENOSYS makes
// it stop asking.
func (n *node) CopyFileRange(context.Context, fusefs.FileHandle, uint64, *fusefs.Inode, fusefs.FileHandle, uint64, uint64, uint64) (uint32, syscall.Errno) {
	return 0, syscall.ENOSYS
}

func (h passHandle) PassthroughFd() (int, bool) { return h.fd, true }

// Read never answers short but at the end of the file: the kernel takes a short
// answer for the end.
func (h *handle) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	p := newPatience(ctx)
	defer p.end()
	n, err := h.h.ReadAt(p, dest, off)
	if err != nil {
		return nil, h.n.errno("read", err)
	}
	return fuse.ReadResultData(dest[:n]), 0
}

func (h *handle) Write(_ context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	n, err := h.h.WriteAt(data, off)
	if n > 0 {
		return uint32(n), 0 // as write(2): what was written is told first
	}
	return 0, h.n.errno("write", err)
}

// Writev is one write whose bytes arrived in several pieces.
func (h *handle) Writev(ctx context.Context, data [][]byte, off int64) (uint32, syscall.Errno) {
	var written uint32
	for _, p := range data {
		n, no := h.Write(ctx, p, off+int64(written))
		written += n
		if no != 0 && written == 0 {
			return 0, no
		}
		if no != 0 || int(n) < len(p) {
			break
		}
	}
	return written, 0
}

func (h *handle) Flush(context.Context) syscall.Errno {
	return h.n.errno("close", h.h.Flush())
}

func (h *handle) Fsync(context.Context, uint32) syscall.Errno {
	return h.n.errno("fsync", h.h.Sync())
}

func (h *handle) Allocate(_ context.Context, off, size uint64, mode uint32) syscall.Errno {
	return h.n.errno("fallocate", h.h.Allocate(int64(off), int64(size), mode))
}

// Lseek is asked only for SEEK_DATA and SEEK_HOLE.
func (h *handle) Lseek(_ context.Context, off uint64, whence uint32) (uint64, syscall.Errno) {
	at, err := h.h.Lseek(int64(off), whence)
	return uint64(at), h.n.errno("lseek", err)
}

// Release only says which request releases the handle; releaseLast does it.
func (h *handle) Release(ctx context.Context) syscall.Errno {
	d := h.n.d
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closing[ctx.Done()] = h
	return 0
}

func (h *handle) release() {
	if !h.n.d.released(h) {
		return
	}
	if err := h.h.Release(); err != nil {
		h.n.errno("release", err)
	}
}
