package fs

import (
	"errors"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/tunesafe/tunesafe/cache"
)

// handle is an open file.
type handle struct {
	n           *node
	h           *cache.Handle
	fh          uint64 // its number for the kernel
	passthrough bool   // the kernel does the reading and writing
	writing     bool   // by itself
	mappable    bool   // also to a mapping
	reader      uint32 // the thread that opened a file of missing bytes to read it
	direct      bool   // the kernel keeps no pages of what is read by it
}

func (h *handle) ino() cache.Ino { return h.n.ino() }

// openFlags reads the flags of open(2). O_TRUNC does not come here: without
// CAP_ATOMIC_O_TRUNC the kernel truncates by a setattr first. It is understood
// all the same.
//
// Whoever reads a file of missing bytes and opens another for writing may be about
// to copy it, which can be done by its recipe only in ordinary mode.
func (d *drive) openFlags(caller fuse.Caller, flags uint32) cache.OpenFlags {
	mode := flags & syscall.O_ACCMODE
	return cache.OpenFlags{
		Ordinary: mode != syscall.O_RDONLY && d.readsMissing(caller.Pid),
		Read:     mode != syscall.O_WRONLY,
		Write:    mode != syscall.O_RDONLY,
		Append:   flags&syscall.O_APPEND != 0,
		Truncate: flags&syscall.O_TRUNC != 0,
	}
}

// opened enters a handle of the cache into the books and answers with it.
func (n *node) opened(caller fuse.Caller, ch *cache.Handle, f cache.OpenFlags, out *fuse.OpenOut) syscall.Errno {
	h := &handle{n: n, h: ch}
	if !f.Write && ch.Partial() {
		h.reader = caller.Pid
	}
	fd, pass := ch.Passthrough()
	h.passthrough = pass && n.d.passthrough
	h.writing = h.passthrough && f.Write
	h.mappable = h.writing && f.Read
	keep, backing, err := n.d.opened(h, fd)
	if err != nil {
		if e := ch.Release(); e != nil {
			n.errno("release", e)
		}
		return n.errno("open", err)
	}
	out.Fh = h.fh
	switch {
	case h.passthrough:
		out.OpenFlags, out.BackingID = fuse.FOPEN_PASSTHROUGH, backing
	case n.d.direct && ch.Partial():
		out.OpenFlags, h.direct = fuse.FOPEN_DIRECT_IO, true
	}
	if !h.direct && (h.passthrough || !f.Write) {
		out.OpenFlags |= fuse.FOPEN_NOFLUSH // what is closed has nothing to tell: see drive.Flush
	}
	if keep {
		out.OpenFlags |= fuse.FOPEN_KEEP_CACHE
	}
	if h.mappable {
		// Stores to a mapping change the times without a request. What the
		// kernel was told earlier to believe for long it must ask again.
		// (Offset -1: attributes only, which may be told from within a request.)
		n.d.server.InodeNotify(n.ino(), -1, 0)
	}
	return 0
}

func (n *node) Open(caller fuse.Caller, flags uint32, out *fuse.OpenOut) syscall.Errno {
	f := n.d.openFlags(caller, flags)
	ch, err := n.d.c.OpenFile(n.ino(), f)
	if err != nil {
		return n.errno("open", err)
	}
	return n.opened(caller, ch, f, out)
}

func (n *node) Create(caller fuse.Caller, name string, flags, mode uint32, out *fuse.CreateOut) syscall.Errno {
	o, _, err := n.owner(caller)
	if err != nil {
		return n.errno("create", err)
	}
	f := n.d.openFlags(caller, flags)
	a, ch, err := n.d.c.Create(n.ino(), name, mode&07777, o, f)
	if errors.Is(err, cache.ErrExist) && flags&syscall.O_EXCL == 0 {
		// It came from elsewhere after the kernel asked. ESTALE makes the
		// kernel look again, and then check the caller's right to open it.
		if !n.d.stale.again(race{caller.Pid, n.ino(), name}) {
			return syscall.ESTALE
		}
		// A second one it would hand on to the program. The name went and
		// came again since it looked, so it will go again.
		for end := time.Now().Add(brief); errors.Is(err, cache.ErrExist) && time.Now().Before(end); {
			time.Sleep(50 * time.Microsecond)
			a, ch, err = n.d.c.Create(n.ino(), name, mode&07777, o, f)
		}
	}
	if err != nil {
		return n.errno("create", err)
	}
	return n.d.created(caller, a, ch, f, out)
}

// created answers with a file that was made and opened at once.
func (d *drive) created(caller fuse.Caller, a cache.Attr, ch *cache.Handle, f cache.OpenFlags, out *fuse.CreateOut) syscall.Errno {
	if no := d.node(a.Ino).opened(caller, ch, f, &out.OpenOut); no != 0 {
		return no
	}
	d.tell(a, &out.EntryOut)
	return 0
}

// Tmpfile makes a file without a name in n (O_TMPFILE).
func (n *node) Tmpfile(caller fuse.Caller, flags, mode uint32, out *fuse.CreateOut) syscall.Errno {
	o, _, err := n.owner(caller)
	if err != nil {
		return n.errno("tmpfile", err)
	}
	f := n.d.openFlags(caller, flags)
	a, ch, err := n.d.c.Tmpfile(n.ino(), mode&07777, o, f)
	if err != nil {
		return n.errno("tmpfile", err)
	}
	return n.d.created(caller, a, ch, f, out)
}

// mostAhead is more than the kernel reads ahead, in bytes.
const mostAhead = 128 << 10

// Read never answers short but at the end of the file: the kernel takes a short
// answer for the end, and programs do. Who reads by io_uring has to expect one, and mpd
// asks for 256 KiB at a time, which at 1.2 times 192 kbit/s take nine seconds: it
// gets what is here. What the kernel reads ahead for a mapping is no more than
// mostAhead, and always answered in full.
func (h *handle) Read(ctx *fuse.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	p := newPatience(ctx)
	defer p.end()
	var n int
	var err error
	if h.direct && len(dest) > mostAhead {
		n, err = h.h.ReadSome(p, dest, off, asker{ctx.Pid, h.n.ino()})
	} else {
		n, err = h.h.ReadAt(p, dest, off)
	}
	if err != nil {
		return nil, h.n.errno("read", err)
	}
	return fuse.ReadResultData(dest[:n]), 0
}

func (h *handle) Write(data []byte, off int64) (uint32, syscall.Errno) {
	n, err := h.h.WriteAt(data, off)
	if n > 0 {
		return uint32(n), 0 // as write(2): what was written is told first
	}
	return 0, h.n.errno("write", err)
}

// Writev is one write whose bytes arrived in several pieces.
func (h *handle) Writev(data [][]byte, off int64) (uint32, syscall.Errno) {
	var written uint32
	for _, p := range data {
		n, no := h.Write(p, off+int64(written))
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

func (h *handle) Fsync() syscall.Errno {
	return h.n.errno("fsync", h.h.Sync())
}

func (h *handle) Allocate(off, size uint64, mode uint32) syscall.Errno {
	return h.n.errno("fallocate", h.h.Allocate(int64(off), int64(size), mode))
}

// Lseek is asked only for SEEK_DATA and SEEK_HOLE.
func (h *handle) Lseek(off uint64, whence uint32) (uint64, syscall.Errno) {
	at, err := h.h.Lseek(int64(off), whence)
	return uint64(at), h.n.errno("lseek", err)
}

// release ends the use of a handle, once. The kernel's registration of the
// content's descriptor goes first: when the cache has seen the last release, the
// next opening may be in the other mode.
func (h *handle) release() {
	if !h.n.d.released(h) {
		return
	}
	if err := h.h.Release(); err != nil {
		h.n.errno("release", err)
	}
}
