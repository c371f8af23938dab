package fs

import (
	"errors"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
)

// Lookup answers with node number 0 where there is no such name: the kernel
// then believes that for a while.
func (n *node) Lookup(name string, out *fuse.EntryOut) syscall.Errno {
	a, err := n.d.c.Lookup(n.ino(), name)
	if errors.Is(err, cache.ErrNotExist) {
		out.SetEntryTimeout(brief)
		return 0
	}
	return n.entry("lookup", a, err, out)
}

// entry is the answer to every request that ends with an inode below a name.
func (n *node) entry(op string, a cache.Attr, err error, out *fuse.EntryOut) syscall.Errno {
	if err != nil {
		return n.errno(op, err)
	}
	n.d.tell(a, out)
	return 0
}

// owner says who owns what the caller makes in n, and with which further mode
// bits: below a setgid directory the group is the directory's, and directories
// pass the bit on (inode(7)).
func (n *node) owner(caller fuse.Caller) (o cache.Owner, inherit uint32, err error) {
	o = cache.Owner{UID: caller.Uid, GID: caller.Gid}
	dir, err := n.d.c.Attr(n.ino())
	if err != nil {
		return o, 0, err
	}
	if dir.Mode&syscall.S_ISGID != 0 {
		o.GID, inherit = dir.GID, syscall.S_ISGID
	}
	return o, inherit, nil
}

func (n *node) Mkdir(caller fuse.Caller, name string, mode uint32, out *fuse.EntryOut) syscall.Errno {
	o, inherit, err := n.owner(caller)
	if err != nil {
		return n.errno("mkdir", err)
	}
	a, err := n.d.c.Mkdir(n.ino(), name, mode&07777|inherit, o)
	return n.entry("mkdir", a, err, out)
}

func (n *node) Mknod(caller fuse.Caller, name string, mode, dev uint32, out *fuse.EntryOut) syscall.Errno {
	o, _, err := n.owner(caller)
	if err != nil {
		return n.errno("mknod", err)
	}
	a, err := n.d.c.Mknod(n.ino(), name, mode, dev, o)
	return n.entry("mknod", a, err, out)
}

func (n *node) Symlink(caller fuse.Caller, target, name string, out *fuse.EntryOut) syscall.Errno {
	o, _, err := n.owner(caller)
	if err != nil {
		return n.errno("symlink", err)
	}
	a, err := n.d.c.Symlink(n.ino(), name, target, o)
	return n.entry("symlink", a, err, out)
}

func (n *node) Link(target cache.Ino, name string, out *fuse.EntryOut) syscall.Errno {
	a, err := n.d.c.Link(target, n.ino(), name)
	return n.entry("link", a, err, out)
}

func (n *node) Unlink(name string) syscall.Errno {
	return n.errno("unlink", n.d.c.Unlink(n.ino(), name))
}

func (n *node) Rmdir(name string) syscall.Errno {
	return n.errno("rmdir", n.d.c.Rmdir(n.ino(), name))
}

func (n *node) Rename(name string, parent cache.Ino, newName string, flags uint32) syscall.Errno {
	const known = unix.RENAME_NOREPLACE | unix.RENAME_EXCHANGE
	if flags&^known != 0 || flags == known {
		return syscall.EINVAL
	}
	return n.errno("rename", n.d.c.Rename(n.ino(), name, parent, newName, cache.RenameFlags{
		NoReplace: flags&unix.RENAME_NOREPLACE != 0,
		Exchange:  flags&unix.RENAME_EXCHANGE != 0,
	}))
}
