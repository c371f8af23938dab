package fs

import (
	"math"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/tunesafe/tunesafe/cache"
)

// This file takes the kernel's requests apart: which inode, which handle, which
// operation. The kernel's node numbers are the cache's inode numbers, so there
// is no table of nodes: a drive of a million files that was listed costs the
// kernel memory, and us none. What is not answered here is ENOSYS, by the
// embedded RawFileSystem; the kernel then does without.
var _ fuse.RawFileSystem = (*drive)(nil)

func (d *drive) String() string    { return "tunesafe" }
func (d *drive) SetDebug(bool)     {}
func (d *drive) Init(*fuse.Server) {}
func (d *drive) OnUnmount()        {}

// node is the inode that a request is about.
func (d *drive) node(id uint64) *node { return &node{d: d, id: id} }

func (d *drive) Forget(id, _ uint64) { d.forgotten(id) }

func (d *drive) Lookup(_ <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	return fuse.Status(d.node(in.NodeId).Lookup(name, out))
}

func (d *drive) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	return fuse.Status(d.node(in.NodeId).Getattr(out))
}

func (d *drive) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	return fuse.Status(d.node(in.NodeId).Setattr(in, out))
}

func (d *drive) Readlink(_ <-chan struct{}, in *fuse.InHeader) ([]byte, fuse.Status) {
	target, no := d.node(in.NodeId).Readlink()
	return target, fuse.Status(no)
}

func (d *drive) StatFs(_ <-chan struct{}, in *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	return fuse.Status(d.node(in.NodeId).Statfs(out))
}

func (d *drive) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	return fuse.Status(d.node(in.NodeId).Mkdir(in.Caller, name, in.Mode, out))
}

func (d *drive) Mknod(_ <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	return fuse.Status(d.node(in.NodeId).Mknod(in.Caller, name, in.Mode, in.Rdev, out))
}

func (d *drive) Symlink(_ <-chan struct{}, in *fuse.InHeader, target, name string, out *fuse.EntryOut) fuse.Status {
	return fuse.Status(d.node(in.NodeId).Symlink(in.Caller, target, name, out))
}

func (d *drive) Link(_ <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	return fuse.Status(d.node(in.NodeId).Link(in.Oldnodeid, name, out))
}

func (d *drive) Unlink(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	return fuse.Status(d.node(in.NodeId).Unlink(name))
}

func (d *drive) Rmdir(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	return fuse.Status(d.node(in.NodeId).Rmdir(name))
}

func (d *drive) Rename(_ <-chan struct{}, in *fuse.RenameIn, oldName, newName string) fuse.Status {
	return fuse.Status(d.node(in.NodeId).Rename(oldName, in.Newdir, newName, in.Flags))
}

func (d *drive) GetXAttr(_ <-chan struct{}, in *fuse.InHeader, attr string, dest []byte) (uint32, fuse.Status) {
	n, no := d.node(in.NodeId).Getxattr(attr, dest)
	return n, fuse.Status(no)
}

func (d *drive) ListXAttr(_ <-chan struct{}, in *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	n, no := d.node(in.NodeId).Listxattr(in.Caller, dest)
	return n, fuse.Status(no)
}

func (d *drive) SetXAttr(_ <-chan struct{}, in *fuse.SetXAttrIn, attr string, data []byte) fuse.Status {
	return fuse.Status(d.node(in.NodeId).Setxattr(attr, data, in.Flags))
}

func (d *drive) RemoveXAttr(_ <-chan struct{}, in *fuse.InHeader, attr string) fuse.Status {
	return fuse.Status(d.node(in.NodeId).Removexattr(attr))
}

func (d *drive) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	return fuse.Status(d.node(in.NodeId).Create(in.Caller, name, in.Flags, in.Mode, out))
}

func (d *drive) Tmpfile(_ <-chan struct{}, in *fuse.CreateIn, out *fuse.CreateOut) fuse.Status {
	return fuse.Status(d.node(in.NodeId).Tmpfile(in.Caller, in.Flags, in.Mode, out))
}

func (d *drive) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	return fuse.Status(d.node(in.NodeId).Open(in.Caller, in.Flags, out))
}

func (d *drive) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	if h := d.file(in.Fh); h != nil {
		h.release()
	}
}

// on runs an operation on an open file. The kernel sends none for a handle
// after its release.
func (d *drive) on(fh uint64, op func(*handle) syscall.Errno) fuse.Status {
	h := d.file(fh)
	if h == nil {
		return fuse.EBADF
	}
	return fuse.Status(op(h))
}

func (d *drive) Read(cancel <-chan struct{}, in *fuse.ReadIn, dest []byte) (fuse.ReadResult, fuse.Status) {
	h := d.file(in.Fh)
	if h == nil {
		return nil, fuse.EBADF
	}
	r, no := h.Read(&fuse.Context{Caller: in.Caller, Cancel: cancel}, dest, int64(in.Offset))
	return r, fuse.Status(no)
}

func (d *drive) Write(cancel <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	return d.Writev(cancel, in, [][]byte{data})
}

func (d *drive) Writev(_ <-chan struct{}, in *fuse.WriteIn, data [][]byte) (uint32, fuse.Status) {
	h := d.file(in.Fh)
	if h == nil {
		return 0, fuse.EBADF
	}
	if in.WriteFlags&fuse.WRITE_KILL_SUIDGID != 0 {
		if no := h.n.clearSetID(); no != 0 {
			return 0, fuse.Status(no)
		}
	}
	n, no := h.Writev(data, int64(in.Offset))
	return n, fuse.Status(no)
}

// Flush is asked at each close(2) of a descriptor, but where FOPEN_NOFLUSH says that it
// need not be. What was written is by then as safe as a close promises. What is
// still read by io_uring(7), for which nobody waits any more, holds up the release.
func (d *drive) Flush(_ <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	if h := d.file(in.Fh); h != nil {
		h.h.Leave()
	}
	return fuse.OK
}

func (d *drive) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return d.on(in.Fh, (*handle).Fsync)
}

func (d *drive) Fallocate(_ <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	return d.on(in.Fh, func(h *handle) syscall.Errno { return h.Allocate(in.Offset, in.Length, in.Mode) })
}

func (d *drive) Lseek(_ <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	return d.on(in.Fh, func(h *handle) (no syscall.Errno) {
		out.Offset, no = h.Lseek(in.Offset, in.Whence)
		return no
	})
}

func (d *drive) CopyFileRange(_ <-chan struct{}, in *fuse.CopyFileRangeIn) (uint32, fuse.Status) {
	from, to := d.file(in.FhIn), d.file(in.FhOut)
	if from == nil || to == nil {
		return 0, fuse.EBADF
	}
	n, err := d.c.CopyRange(from.h, int64(in.OffIn), to.h, int64(in.OffOut), int64(min(in.Len, math.MaxUint32)))
	return uint32(n), fuse.Status(to.n.errno("copy_file_range", err))
}

// Ioctl: no file here has any.
func (d *drive) Ioctl(<-chan struct{}, *fuse.IoctlIn, []byte, *fuse.IoctlOut, []byte) fuse.Status {
	return fuse.Status(syscall.ENOTTY)
}

func (d *drive) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	h := &dirHandle{n: d.node(in.NodeId)}
	keep, no := h.opened()
	if no != 0 {
		return fuse.Status(no)
	}
	if keep {
		out.OpenFlags = fuse.FOPEN_CACHE_DIR | fuse.FOPEN_KEEP_CACHE
	}
	out.Fh = d.openedDir(h)
	return fuse.OK
}

func (d *drive) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return d.onDir(in.Fh, func(h *dirHandle) syscall.Errno { return h.read(in.Offset, out, (*dirHandle).plain) })
}

func (d *drive) ReadDirPlus(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return d.onDir(in.Fh, func(h *dirHandle) syscall.Errno { return h.read(in.Offset, out, (*dirHandle).plus) })
}

func (d *drive) FsyncDir(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return d.onDir(in.Fh, (*dirHandle).Fsyncdir)
}

func (d *drive) ReleaseDir(in *fuse.ReleaseIn) { d.releasedDir(in.Fh) }

func (d *drive) onDir(fh uint64, op func(*dirHandle) syscall.Errno) fuse.Status {
	h := d.dir(fh)
	if h == nil {
		return fuse.EBADF
	}
	return fuse.Status(op(h))
}

// node is an inode during a request.
type node struct {
	d  *drive
	id cache.Ino
}

func (n *node) ino() cache.Ino { return n.id }
