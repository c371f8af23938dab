package fs

import (
	"context"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/tunesafe/tunesafe/cache"
)

// node is an inode the kernel knows. It holds nothing but its number (in
// StableAttr) and the way to the drive: a library has hundreds of thousands.
type node struct {
	fusefs.Inode
	d *drive
}

// What a node answers, by the file that answers it.
var (
	// node.go
	_ fusefs.NodeGetattrer   = (*node)(nil)
	_ fusefs.NodeSetattrer   = (*node)(nil)
	_ fusefs.NodeReadlinker  = (*node)(nil)
	_ fusefs.NodeStatfser    = (*node)(nil)
	_ fusefs.NodeOnForgetter = (*node)(nil)

	// names.go
	_ fusefs.NodeLookuper  = (*node)(nil)
	_ fusefs.NodeMkdirer   = (*node)(nil)
	_ fusefs.NodeMknoder   = (*node)(nil)
	_ fusefs.NodeSymlinker = (*node)(nil)
	_ fusefs.NodeLinker    = (*node)(nil)
	_ fusefs.NodeUnlinker  = (*node)(nil)
	_ fusefs.NodeRmdirer   = (*node)(nil)
	_ fusefs.NodeRenamer   = (*node)(nil)

	// dir.go
	_ fusefs.NodeOpendirHandler = (*node)(nil)

	// file.go
	_ fusefs.NodeCreater        = (*node)(nil)
	_ fusefs.NodeOpener         = (*node)(nil)
	_ fusefs.NodeCopyFileRanger = (*node)(nil)

	// xattr.go
	_ fusefs.NodeGetxattrer    = (*node)(nil)
	_ fusefs.NodeSetxattrer    = (*node)(nil)
	_ fusefs.NodeListxattrer   = (*node)(nil)
	_ fusefs.NodeRemovexattrer = (*node)(nil)
)

func (n *node) ino() cache.Ino { return n.StableAttr().Ino }

// ino is the number of a node that go-fuse hands us.
func ino(e fusefs.InodeEmbedder) cache.Ino { return e.EmbeddedInode().StableAttr().Ino }

// child makes the node of an inode just looked up or made in n. go-fuse puts
// the one it has already, if any, in its place.
func (n *node) child(ctx context.Context, a cache.Attr, out *fuse.EntryOut) *fusefs.Inode {
	fill(&out.Attr, a)
	out.SetAttrTimeout(n.d.attrTimeout(a.Ino))
	out.SetEntryTimeout(long)
	return n.NewInode(ctx, &node{d: n.d}, fusefs.StableAttr{Mode: a.Mode & syscall.S_IFMT, Ino: a.Ino})
}

func fill(out *fuse.Attr, a cache.Attr) {
	out.Ino = a.Ino
	out.Mode = a.Mode
	out.Nlink = a.Nlink
	out.Owner = fuse.Owner{Uid: a.UID, Gid: a.GID}
	out.Rdev = a.Rdev
	out.Size = uint64(a.Size)
	out.Blocks = uint64(a.Blocks)
	out.Blksize = 4096 // go-fuse computes Blocks itself where this is 0
	out.SetTimes(&a.Atime, &a.Mtime, &a.Ctime)
}

// Getattr is by number, not by handle: the kernel sends none, even for fstat.
func (n *node) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	// The time-out first: if a writer comes between, its opening tells the
	// kernel to ask again.
	out.SetTimeout(n.d.attrTimeout(n.ino()))
	a, err := n.d.c.Attr(n.ino())
	if err != nil {
		return n.errno("getattr", err)
	}
	fill(&out.Attr, a)
	return 0
}

func (n *node) Setattr(_ context.Context, _ fusefs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
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

func (n *node) Readlink(context.Context) ([]byte, syscall.Errno) {
	target, err := n.d.c.Readlink(n.ino())
	return []byte(target), n.errno("readlink", err)
}

func (n *node) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
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

func (n *node) OnForget() { n.d.forgotten(n.ino()) }
