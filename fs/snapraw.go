package fs

import (
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/tunesafe/tunesafe/cache"
)

// withPast is a drive with its snapshots. What is about a node or a handle of the
// past is answered here: reading by them, changes by EROFS. The rest is the drive's.
type withPast struct {
	*drive
	s *snapshots
}

var _ fuse.RawFileSystem = (*withPast)(nil)

// atTop reports whether a name is that of the snapshots in the root. It is reserved,
// but where the drive has something of that name from before it was.
func (w *withPast) atTop(dir uint64, name string) bool {
	return dir == cache.Root && name == SnapshotsDir && !w.taken()
}

// taken reports whether the drive has something of the name itself.
func (d *drive) taken() bool {
	_, err := d.c.Lookup(cache.Root, SnapshotsDir)
	return err == nil
}

// refuses says why a name cannot be made, 0 if the past does not mind.
func (w *withPast) refuses(dir uint64, name string) fuse.Status {
	switch {
	case isPast(dir):
		return fuse.EROFS
	case w.atTop(dir, name):
		return fuse.Status(syscall.EEXIST)
	}
	return fuse.OK
}

// keeps says why a name cannot be taken away.
func (w *withPast) keeps(dir uint64, name string) fuse.Status {
	if isPast(dir) || w.atTop(dir, name) {
		return fuse.EROFS
	}
	return fuse.OK
}

func (w *withPast) Forget(id, lookups uint64) {
	if isPast(id) {
		w.s.forget(id, lookups)
		return
	}
	w.drive.Forget(id, lookups)
}

func (w *withPast) Lookup(cancel <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	switch {
	case isPast(in.NodeId):
		return fuse.Status(w.s.lookup(&fuse.Context{Caller: in.Caller, Cancel: cancel}, in.NodeId, name, out))
	case w.atTop(in.NodeId, name):
		return fuse.Status(w.s.lookupTop(out))
	}
	return w.drive.Lookup(cancel, in, name, out)
}

func (w *withPast) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	if isPast(in.NodeId) {
		return fuse.Status(w.s.getattr(in.NodeId, out))
	}
	return w.drive.GetAttr(cancel, in, out)
}

func (w *withPast) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	if isPast(in.NodeId) {
		return fuse.EROFS
	}
	return w.drive.SetAttr(cancel, in, out)
}

func (w *withPast) Readlink(cancel <-chan struct{}, in *fuse.InHeader) ([]byte, fuse.Status) {
	if isPast(in.NodeId) {
		target, no := w.s.readlink(in.NodeId)
		return target, fuse.Status(no)
	}
	return w.drive.Readlink(cancel, in)
}

func (w *withPast) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	if no := w.refuses(in.NodeId, name); !no.Ok() {
		return no
	}
	return w.drive.Mkdir(cancel, in, name, out)
}

func (w *withPast) Mknod(cancel <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	if no := w.refuses(in.NodeId, name); !no.Ok() {
		return no
	}
	return w.drive.Mknod(cancel, in, name, out)
}

func (w *withPast) Symlink(cancel <-chan struct{}, in *fuse.InHeader, target, name string, out *fuse.EntryOut) fuse.Status {
	if no := w.refuses(in.NodeId, name); !no.Ok() {
		return no
	}
	return w.drive.Symlink(cancel, in, target, name, out)
}

// Link of a file of the past would be one more name of it.
func (w *withPast) Link(cancel <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	if isPast(in.Oldnodeid) {
		return fuse.EROFS
	}
	if no := w.refuses(in.NodeId, name); !no.Ok() {
		return no
	}
	return w.drive.Link(cancel, in, name, out)
}

func (w *withPast) Unlink(cancel <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	if no := w.keeps(in.NodeId, name); !no.Ok() {
		return no
	}
	return w.drive.Unlink(cancel, in, name)
}

func (w *withPast) Rmdir(cancel <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	if no := w.keeps(in.NodeId, name); !no.Ok() {
		return no
	}
	return w.drive.Rmdir(cancel, in, name)
}

func (w *withPast) Rename(cancel <-chan struct{}, in *fuse.RenameIn, oldName, newName string) fuse.Status {
	if no := w.keeps(in.NodeId, oldName); !no.Ok() {
		return no
	}
	if no := w.keeps(in.Newdir, newName); !no.Ok() {
		return no
	}
	return w.drive.Rename(cancel, in, oldName, newName)
}

func (w *withPast) GetXAttr(cancel <-chan struct{}, in *fuse.InHeader, attr string, dest []byte) (uint32, fuse.Status) {
	if isPast(in.NodeId) {
		n, no := w.s.getxattr(in.NodeId, attr, dest)
		return n, fuse.Status(no)
	}
	return w.drive.GetXAttr(cancel, in, attr, dest)
}

func (w *withPast) ListXAttr(cancel <-chan struct{}, in *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	if isPast(in.NodeId) {
		n, no := w.s.listxattr(in.NodeId, in.Caller, dest)
		return n, fuse.Status(no)
	}
	return w.drive.ListXAttr(cancel, in, dest)
}

func (w *withPast) SetXAttr(cancel <-chan struct{}, in *fuse.SetXAttrIn, attr string, data []byte) fuse.Status {
	if isPast(in.NodeId) {
		return fuse.EROFS
	}
	return w.drive.SetXAttr(cancel, in, attr, data)
}

func (w *withPast) RemoveXAttr(cancel <-chan struct{}, in *fuse.InHeader, attr string) fuse.Status {
	if isPast(in.NodeId) {
		return fuse.EROFS
	}
	return w.drive.RemoveXAttr(cancel, in, attr)
}

func (w *withPast) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	if no := w.refuses(in.NodeId, name); !no.Ok() {
		return no
	}
	return w.drive.Create(cancel, in, name, out)
}

func (w *withPast) Tmpfile(cancel <-chan struct{}, in *fuse.CreateIn, out *fuse.CreateOut) fuse.Status {
	if isPast(in.NodeId) {
		return fuse.EROFS
	}
	return w.drive.Tmpfile(cancel, in, out)
}

func (w *withPast) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if isPast(in.NodeId) {
		return fuse.Status(w.s.open(&fuse.Context{Caller: in.Caller, Cancel: cancel}, in.NodeId, in.Flags, out))
	}
	return w.drive.Open(cancel, in, out)
}

func (w *withPast) Release(cancel <-chan struct{}, in *fuse.ReleaseIn) {
	if isPast(in.Fh) {
		w.s.release(in.Fh)
		return
	}
	w.drive.Release(cancel, in)
}

func (w *withPast) Read(cancel <-chan struct{}, in *fuse.ReadIn, dest []byte) (fuse.ReadResult, fuse.Status) {
	if f := w.s.file(in.Fh); f != nil {
		r, no := f.read(&fuse.Context{Caller: in.Caller, Cancel: cancel}, dest, int64(in.Offset))
		return r, fuse.Status(no)
	}
	return w.drive.Read(cancel, in, dest)
}

func (w *withPast) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	if isPast(in.Fh) {
		return fuse.OK
	}
	return w.drive.Fsync(cancel, in)
}

func (w *withPast) Lseek(cancel <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	if f := w.s.file(in.Fh); f != nil {
		at, no := f.lseek(in.Offset, uint64(in.Whence))
		out.Offset = at
		return fuse.Status(no)
	}
	return w.drive.Lseek(cancel, in, out)
}

// CopyFileRange from a snapshot: the program is told to read and write.
func (w *withPast) CopyFileRange(cancel <-chan struct{}, in *fuse.CopyFileRangeIn) (uint32, fuse.Status) {
	if isPast(in.FhIn) {
		return 0, fuse.Status(syscall.EOPNOTSUPP)
	}
	return w.drive.CopyFileRange(cancel, in)
}

func (w *withPast) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if isPast(in.NodeId) {
		return fuse.Status(w.s.opendir(&fuse.Context{Caller: in.Caller, Cancel: cancel}, in.NodeId, out))
	}
	return w.drive.OpenDir(cancel, in, out)
}

func (w *withPast) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	if h := w.s.dir(in.Fh); h != nil {
		return fuse.Status(h.read(in.Offset, out, (*pastDir).plain))
	}
	return w.drive.ReadDir(cancel, in, out)
}

func (w *withPast) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	if h := w.s.dir(in.Fh); h != nil {
		return fuse.Status(h.read(in.Offset, out, (*pastDir).plus))
	}
	return w.drive.ReadDirPlus(cancel, in, out)
}

func (w *withPast) FsyncDir(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	if isPast(in.Fh) {
		return fuse.OK
	}
	return w.drive.FsyncDir(cancel, in)
}

func (w *withPast) ReleaseDir(in *fuse.ReleaseIn) {
	if isPast(in.Fh) {
		w.s.releaseDir(in.Fh)
		return
	}
	w.drive.ReleaseDir(in)
}
