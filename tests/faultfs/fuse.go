package faultfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Mounted is a disk while it is mounted.
type Mounted struct {
	d      *Disk
	server *fuse.Server
	dir    string
	off    bool // the power is; guarded by Disk.mu
}

// Mount shows the disk at dir. The calling process serves it and must not map
// files below dir.
func (d *Disk) Mount(dir string) (*Mounted, error) {
	m := &Mounted{d: d, dir: dir}
	d.mu.Lock()
	if d.mount != nil {
		d.mu.Unlock()
		return nil, errors.New("faultfs: mounted already")
	}
	d.mount = m
	d.mu.Unlock()
	long := time.Hour // only the kernel's own requests change anything
	depth := -1       // no value the kernel takes: it then counts the disk as not stacked
	if d.Stacked {
		depth = 1
	}
	server, err := fusefs.Mount(dir, &node{m: m, n: d.root}, &fusefs.Options{
		EntryTimeout: &long, AttrTimeout: &long, NullPermissions: true,
		RootStableAttr: &fusefs.StableAttr{Ino: d.root.ino},
		Logger:         log.New(io.Discard, "", 0),
		MountOptions: fuse.MountOptions{FsName: "faultfs", Name: "faultfs", DirectMount: true, DisableXAttrs: true, MaxStackDepth: depth,
			MaxWrite: 128 << 10, Options: []string{"default_permissions"}, Logger: log.New(io.Discard, "", 0)},
	})
	if err != nil {
		d.mu.Lock()
		d.mount = nil
		d.mu.Unlock()
		return nil, fmt.Errorf("faultfs: mounting on %s: %w", dir, err)
	}
	m.server = server
	return m, nil
}

// Cut takes the power away: every request from now on is answered EIO, and the
// disk is what had reached it. The processes that use it are to be killed, then
// [Mounted.Unmount] makes way for the next [Disk.Mount].
func (m *Mounted) Cut(l Loss) {
	m.d.mu.Lock()
	defer m.d.mu.Unlock()
	if !m.off {
		m.off = true
		m.d.lose(l)
	}
}

// Unmount takes the mount away, also from under those who use it. Without
// [Mounted.Cut] before, nothing is lost.
func (m *Mounted) Unmount() error {
	m.d.mu.Lock()
	m.off = true
	m.d.mount = nil
	m.d.mu.Unlock()
	if err := unix.Unmount(m.dir, unix.MNT_DETACH); err == nil {
		return nil
	}
	if out, err := exec.Command("fusermount3", "-u", "-z", m.dir).CombinedOutput(); err != nil {
		return fmt.Errorf("fusermount3 -u -z %s: %w: %s", m.dir, err, out)
	}
	return nil
}

// SetSpace sets what statfs(2) tells, in blocks of 4 KiB.
func (d *Disk) SetSpace(blocks, free uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.space = &fuse.StatfsOut{Bsize: pageSize, Frsize: pageSize, Blocks: blocks, Bfree: free, Bavail: free, NameLen: 255}
}

// node is an inode as the kernel knows it.
type node struct {
	fusefs.Inode
	m *Mounted
	n *inode
}

var (
	_ fusefs.NodeLookuper   = (*node)(nil)
	_ fusefs.NodeGetattrer  = (*node)(nil)
	_ fusefs.NodeSetattrer  = (*node)(nil)
	_ fusefs.NodeOpener     = (*node)(nil)
	_ fusefs.NodeCreater    = (*node)(nil)
	_ fusefs.NodeMknoder    = (*node)(nil)
	_ fusefs.NodeMkdirer    = (*node)(nil)
	_ fusefs.NodeSymlinker  = (*node)(nil)
	_ fusefs.NodeReadlinker = (*node)(nil)
	_ fusefs.NodeLinker     = (*node)(nil)
	_ fusefs.NodeUnlinker   = (*node)(nil)
	_ fusefs.NodeRmdirer    = (*node)(nil)
	_ fusefs.NodeRenamer    = (*node)(nil)
	_ fusefs.NodeReaddirer  = (*node)(nil)
	_ fusefs.NodeReader     = (*node)(nil)
	_ fusefs.NodeWriter     = (*node)(nil)
	_ fusefs.NodeAllocater  = (*node)(nil)
	_ fusefs.NodeFsyncer    = (*node)(nil)
	_ fusefs.NodeStatfser   = (*node)(nil)
)

// do carries out an operation unless the power is off or a fault meets it.
func (n *node) do(op, name string, fn func() syscall.Errno) syscall.Errno {
	d := n.m.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if n.m.off {
		return syscall.EIO
	}
	if f := d.fault(op, filepath.Join(n.Path(nil), name)); f != nil {
		if op == "fsync" || op == "fsyncdir" {
			n.n.dropDirty()
		}
		return f.Errno
	}
	return fn()
}

func (n *node) child(ctx context.Context, c *inode, out *fuse.EntryOut) *fusefs.Inode {
	c.attr(&out.Attr)
	return n.NewInode(ctx, &node{m: n.m, n: c}, fusefs.StableAttr{Mode: c.now.mode & unix.S_IFMT, Ino: c.ino})
}

func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (in *fusefs.Inode, no syscall.Errno) {
	no = n.do("lookup", name, func() syscall.Errno {
		c := n.n.names[name]
		if c == nil {
			return syscall.ENOENT
		}
		in = n.child(ctx, c, out)
		return 0
	})
	return in, no
}

func (n *node) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	return n.do("getattr", "", func() syscall.Errno { n.n.attr(&out.Attr); return 0 })
}

func (n *node) Setattr(_ context.Context, _ fusefs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	op := "setattr"
	size, cut := in.GetSize()
	if cut {
		op = "truncate"
	}
	return n.do(op, "", func() syscall.Errno {
		if cut {
			n.n.truncate(int64(size))
		}
		a := &n.n.now
		if v, ok := in.GetMode(); ok {
			a.mode = a.mode&unix.S_IFMT | v&0o7777
		}
		if v, ok := in.GetUID(); ok {
			a.owner.Uid = v
		}
		if v, ok := in.GetGID(); ok {
			a.owner.Gid = v
		}
		if v, ok := in.GetATime(); ok {
			a.atime = v
		}
		if v, ok := in.GetMTime(); ok {
			a.mtime = v
		}
		a.ctime = time.Now()
		n.n.touched = true
		n.n.attr(&out.Attr)
		return 0
	})
}

func (n *node) Open(context.Context, uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_KEEP_CACHE, n.do("open", "", func() syscall.Errno { return 0 })
}

func (n *node) make(ctx context.Context, op, name string, mode uint32, out *fuse.EntryOut, also func(*inode)) (in *fusefs.Inode, no syscall.Errno) {
	no = n.do(op, name, func() syscall.Errno {
		if n.n.names[name] != nil {
			return syscall.EEXIST
		}
		var owner fuse.Owner
		if c, ok := fuse.FromContext(ctx); ok {
			owner = c.Owner
		}
		c := n.m.d.inode(mode, owner)
		if also != nil {
			also(c)
		}
		n.m.d.changeNames(entryPart{n.n, name, c})
		if c.isDir() {
			c.nlink = 2
		}
		in = n.child(ctx, c, out)
		return 0
	})
	return in, no
}

func (n *node) Create(ctx context.Context, name string, _, mode uint32, out *fuse.EntryOut) (*fusefs.Inode, fusefs.FileHandle, uint32, syscall.Errno) {
	in, no := n.make(ctx, "create", name, unix.S_IFREG|mode&0o7777, out, nil)
	return in, nil, fuse.FOPEN_KEEP_CACHE, no
}

func (n *node) Mknod(ctx context.Context, name string, mode, dev uint32, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return n.make(ctx, "mknod", name, mode, out, func(c *inode) { c.rdev = dev })
}

func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return n.make(ctx, "mkdir", name, unix.S_IFDIR|mode&0o7777, out, nil)
}

func (n *node) Symlink(ctx context.Context, target, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return n.make(ctx, "symlink", name, unix.S_IFLNK|0o777, out, func(c *inode) { c.target = target })
}

func (n *node) Readlink(context.Context) (target []byte, no syscall.Errno) {
	no = n.do("readlink", "", func() syscall.Errno { target = []byte(n.n.target); return 0 })
	return target, no
}

func (n *node) Link(ctx context.Context, target fusefs.InodeEmbedder, name string, out *fuse.EntryOut) (in *fusefs.Inode, no syscall.Errno) {
	no = n.do("link", name, func() syscall.Errno {
		if n.n.names[name] != nil {
			return syscall.EEXIST
		}
		c := target.(*node).n
		n.m.d.changeNames(entryPart{n.n, name, c})
		in = n.child(ctx, c, out)
		return 0
	})
	return in, no
}

func (n *node) Unlink(_ context.Context, name string) syscall.Errno {
	return n.remove("unlink", name, false)
}

func (n *node) Rmdir(_ context.Context, name string) syscall.Errno {
	return n.remove("rmdir", name, true)
}

func (n *node) remove(op, name string, dir bool) syscall.Errno {
	return n.do(op, name, func() syscall.Errno {
		c := n.n.names[name]
		switch {
		case c == nil:
			return syscall.ENOENT
		case dir && len(c.names) > 0:
			return syscall.ENOTEMPTY
		}
		n.m.d.changeNames(entryPart{n.n, name, nil})
		return 0
	})
}

func (n *node) Rename(_ context.Context, name string, newParent fusefs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	return n.do("rename", name, func() syscall.Errno {
		to := newParent.(*node).n
		c, over := n.n.names[name], to.names[newName]
		switch {
		case flags&unix.RENAME_EXCHANGE != 0:
			return syscall.EINVAL
		case c == nil:
			return syscall.ENOENT
		case over != nil && flags&unix.RENAME_NOREPLACE != 0:
			return syscall.EEXIST
		case over != nil && len(over.names) > 0:
			return syscall.ENOTEMPTY
		}
		n.m.d.changeNames(entryPart{n.n, name, nil}, entryPart{to, newName, c})
		return 0
	})
}

func (n *node) Readdir(context.Context) (s fusefs.DirStream, no syscall.Errno) {
	no = n.do("readdir", "", func() syscall.Errno {
		var list []fuse.DirEntry
		for _, name := range slices.Sorted(maps.Keys(n.n.names)) {
			c := n.n.names[name]
			list = append(list, fuse.DirEntry{Name: name, Ino: c.ino, Mode: c.now.mode & unix.S_IFMT})
		}
		s = fusefs.NewListDirStream(list)
		return 0
	})
	return s, no
}

func (n *node) Read(_ context.Context, _ fusefs.FileHandle, dest []byte, off int64) (res fuse.ReadResult, no syscall.Errno) {
	no = n.do("read", "", func() syscall.Errno {
		res = fuse.ReadResultData(dest[:n.n.read(dest, off)])
		return 0
	})
	return res, no
}

func (n *node) Write(_ context.Context, _ fusefs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	d := n.m.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if n.m.off {
		return 0, syscall.EIO
	}
	if f := d.fault("write", n.Path(nil)); f != nil {
		if !f.Short || len(data) < 2 {
			return 0, f.Errno
		}
		data = data[:len(data)/2]
	}
	n.n.write(data, off)
	return uint32(len(data)), 0
}

func (n *node) Allocate(_ context.Context, _ fusefs.FileHandle, off, size uint64, mode uint32) syscall.Errno {
	return n.do("fallocate", "", func() syscall.Errno {
		switch {
		case mode&^unix.FALLOC_FL_KEEP_SIZE != 0:
			return syscall.EOPNOTSUPP
		case mode == 0 && int64(off+size) > n.n.now.size:
			n.n.truncate(int64(off + size))
		}
		return 0
	})
}

func (n *node) Fsync(_ context.Context, _ fusefs.FileHandle, flags uint32) syscall.Errno {
	if n.n.isDir() {
		return n.do("fsyncdir", "", func() syscall.Errno { n.n.syncDir(); return 0 })
	}
	return n.do("fsync", "", func() syscall.Errno { n.n.syncFile(flags&1 != 0); return 0 })
}

func (n *node) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	return n.do("statfs", "", func() syscall.Errno {
		*out = fuse.StatfsOut{Bsize: pageSize, Frsize: pageSize, Blocks: 8 << 20, Bfree: 6 << 20, Bavail: 6 << 20,
			Files: 8 << 20, Ffree: 6 << 20, NameLen: 255}
		if n.m.d.space != nil {
			*out = *n.m.d.space
		}
		return 0
	})
}
