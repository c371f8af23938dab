package fs

import (
	"context"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
)

func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	a, err := n.d.c.Lookup(n.ino(), name)
	return n.entry(ctx, "lookup", a, err, out)
}

// entry is the answer to every request that ends with an inode below a name.
func (n *node) entry(ctx context.Context, op string, a cache.Attr, err error, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if err != nil {
		return nil, n.errno(op, err)
	}
	return n.child(ctx, a, out), 0
}

// owner says who owns what the caller makes in n, and with which further mode
// bits: below a setgid directory the group is the directory's, and directories
// pass the bit on (inode(7)).
func (n *node) owner(ctx context.Context) (o cache.Owner, inherit uint32, err error) {
	if caller, ok := fuse.FromContext(ctx); ok {
		o = cache.Owner{UID: caller.Uid, GID: caller.Gid}
	}
	dir, err := n.d.c.Attr(n.ino())
	if err != nil {
		return o, 0, err
	}
	if dir.Mode&syscall.S_ISGID != 0 {
		o.GID, inherit = dir.GID, syscall.S_ISGID
	}
	return o, inherit, nil
}

func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	o, inherit, err := n.owner(ctx)
	if err != nil {
		return nil, n.errno("mkdir", err)
	}
	a, err := n.d.c.Mkdir(n.ino(), name, mode&07777|inherit, o)
	return n.entry(ctx, "mkdir", a, err, out)
}

func (n *node) Mknod(ctx context.Context, name string, mode, dev uint32, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	o, _, err := n.owner(ctx)
	if err != nil {
		return nil, n.errno("mknod", err)
	}
	a, err := n.d.c.Mknod(n.ino(), name, mode, dev, o)
	return n.entry(ctx, "mknod", a, err, out)
}

func (n *node) Symlink(ctx context.Context, target, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	o, _, err := n.owner(ctx)
	if err != nil {
		return nil, n.errno("symlink", err)
	}
	a, err := n.d.c.Symlink(n.ino(), name, target, o)
	return n.entry(ctx, "symlink", a, err, out)
}

func (n *node) Link(ctx context.Context, target fusefs.InodeEmbedder, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	a, err := n.d.c.Link(ino(target), n.ino(), name)
	return n.entry(ctx, "link", a, err, out)
}

func (n *node) Unlink(_ context.Context, name string) syscall.Errno {
	return n.errno("unlink", n.d.c.Unlink(n.ino(), name))
}

func (n *node) Rmdir(_ context.Context, name string) syscall.Errno {
	return n.errno("rmdir", n.d.c.Rmdir(n.ino(), name))
}

func (n *node) Rename(_ context.Context, name string, parent fusefs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	const known = unix.RENAME_NOREPLACE | unix.RENAME_EXCHANGE
	if flags&^known != 0 || flags == known {
		return syscall.EINVAL
	}
	return n.errno("rename", n.d.c.Rename(n.ino(), name, ino(parent), newName, cache.RenameFlags{
		NoReplace: flags&unix.RENAME_NOREPLACE != 0,
		Exchange:  flags&unix.RENAME_EXCHANGE != 0,
	}))
}
