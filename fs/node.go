package fs

import (
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/tunesafe/tunesafe/cache"
)

// tell answers with an inode just looked up or made.
func (d *drive) tell(a cache.Attr, out *fuse.EntryOut) {
	fill(&out.Attr, a)
	out.NodeId = a.Ino
	out.SetAttrTimeout(d.attrTimeout(a.Ino))
	out.SetEntryTimeout(long)
}

func fill(out *fuse.Attr, a cache.Attr) {
	out.Ino = a.Ino
	out.Mode = a.Mode
	out.Nlink = a.Nlink
	out.Owner = fuse.Owner{Uid: a.UID, Gid: a.GID}
	out.Rdev = a.Rdev
	out.Size = uint64(a.Size)
	out.Blocks = uint64(a.Blocks)
	out.Blksize = 4096
	out.SetTimes(&a.Atime, &a.Mtime, &a.Ctime)
}

// Getattr is by number, not by handle: the kernel sends none, even for fstat.
func (n *node) Getattr(out *fuse.AttrOut) syscall.Errno {
	// The time-out first: if a writer comes between, its opening tells the
	// kernel to ask again.
	n.d.unmapped(n.ino())
	out.SetTimeout(n.d.attrTimeout(n.ino()))
	a, err := n.d.c.Attr(n.ino())
	if err != nil {
		return n.errno("getattr", err)
	}
	fill(&out.Attr, a)
	return 0
}

func (n *node) Setattr(in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	a, err := n.d.c.SetAttr(n.ino(), change(in))
	if err != nil {
		return n.errno("setattr", err)
	}
	fill(&out.Attr, a)
	out.SetTimeout(n.d.attrTimeout(n.ino()))
	return 0
}

// change reads a request's valid fields. With default_permissions the kernel
// has checked the caller's right to each, put UTIME_NOW into words, and added a
// mode without setuid and setgid where a chown or a write takes them away.
func change(in *fuse.SetAttrIn) cache.Change {
	var ch cache.Change
	if v, ok := in.GetMode(); ok {
		ch.Mode = &v
	}
	if v, ok := in.GetUID(); ok {
		ch.UID = &v
	}
	if v, ok := in.GetGID(); ok {
		ch.GID = &v
	}
	if v, ok := in.GetSize(); ok {
		size := int64(v)
		ch.Size = &size
	}
	if v, ok := in.GetATime(); ok {
		ch.Atime = &v
	}
	if v, ok := in.GetMTime(); ok {
		ch.Mtime = &v
	}
	return ch
}

// clearSetID takes setuid and setgid bits away before a write. The kernel does
// that itself, by a setattr, but not where it passes a write on as it is: to a
// file of missing bytes (fuse_direct_io in fs/fuse/file.c).
func (n *node) clearSetID() syscall.Errno {
	cleared, err := n.d.c.ClearSetID(n.ino())
	if cleared {
		n.d.server.InodeNotify(n.ino(), -1, 0) // it believes the old mode
	}
	return n.errno("write", err)
}

func (n *node) Readlink() ([]byte, syscall.Errno) {
	target, err := n.d.c.Readlink(n.ino())
	return []byte(target), n.errno("readlink", err)
}

func (n *node) Statfs(out *fuse.StatfsOut) syscall.Errno {
	s, err := n.d.c.Space()
	if err != nil {
		return n.errno("statfs", err)
	}
	out.Bsize, out.Frsize = s.BlockSize, s.BlockSize
	out.Blocks, out.Bfree, out.Bavail = s.Blocks, s.Free, s.Avail
	out.Files, out.Ffree = s.Files, s.FilesFree
	out.NameLen = 255
	return 0
}
