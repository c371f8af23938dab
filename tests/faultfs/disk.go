// Package faultfs is a disk for tests that can lose power and fail: a file
// system in memory, shown through FUSE.
//
// It keeps what a real one keeps apart: what programs see, and what has reached
// the disk. A write changes the first; fsync(2) carries a file's bytes, and an
// fsync of the directory its names, to the second. [Mounted.Cut] takes the
// power away: the disk is then what had reached it, by one of the rules of
// [Loss], and may be mounted again. [Disk.Fail] makes chosen calls fail.
//
// The kernel sends no syncfs(2) to a file system in user space (it does to
// virtiofs alone), so syncfs returns success here and syncs nothing, as on every
// disk that FUSE serves.
package faultfs

import (
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

const pageSize = 4096 // bytes that reach the disk together

// Disk is a file system in memory. It is mounted at most once at a time.
type Disk struct {
	// Stacked makes the disk one on whose files the kernel allows no
	// passthrough, as overlayfs is. Set before Mount.
	Stacked bool

	mu     sync.Mutex
	root   *inode
	next   uint64 // last inode number given out
	seq    int    // of changes of directories
	mount  *Mounted
	counts map[string]int
	faults []*Fault
	failed []string // calls that met one: operation and path
	space  *fuse.StatfsOut
}

// New makes an empty disk, owned by the user of this process.
func New() *Disk {
	d := &Disk{counts: map[string]int{}}
	d.root = d.inode(unix.S_IFDIR|0o755, fuse.Owner{Uid: uint32(syscall.Getuid()), Gid: uint32(syscall.Getgid())})
	return d
}

// attrs are what fsync carries to the disk beside bytes.
type attrs struct {
	mode         uint32
	owner        fuse.Owner
	atime, mtime time.Time
	ctime        time.Time
	size         int64
}

// inode is a file or directory, as programs see it and as it is on the disk.
type inode struct {
	ino    uint64
	now    attrs
	synced attrs
	nlink  uint32
	rdev   uint32
	target string // symbolic links; on the disk with the name

	pages   map[int64][]byte // by number; one that is missing is zeros
	onDisk  map[int64][]byte // what fsync put there; shares pages with the above
	dirty   map[int64]bool   // pages not yet synced
	touched bool             // attributes not yet synced
	cutTo   int64            // least size since the last fsync: what was behind it is gone

	names     map[string]*inode // directories
	namesDisk map[string]*inode
	pending   []*entryChange // not yet synced, oldest first
}

// entryChange is a change of directories that reaches the disk whole or not at
// all: one name for most operations, two for a rename.
type entryChange struct {
	seq   int
	parts []entryPart
	done  bool // is on the disk
}

type entryPart struct {
	dir  *inode
	name string
	to   *inode // nil: the name is gone
}

func (d *Disk) inode(mode uint32, owner fuse.Owner) *inode {
	d.next++
	now := time.Now()
	n := &inode{ino: d.next, now: attrs{mode: mode, owner: owner, atime: now, mtime: now, ctime: now}}
	n.synced = n.now
	if n.isDir() {
		n.names, n.namesDisk, n.nlink = map[string]*inode{}, map[string]*inode{}, 2
	} else {
		n.pages, n.onDisk, n.dirty = map[int64][]byte{}, map[int64][]byte{}, map[int64]bool{}
	}
	return n
}

func (n *inode) isDir() bool { return n.now.mode&unix.S_IFMT == unix.S_IFDIR }

// changeNames applies parts to what programs see and notes them as pending.
func (d *Disk) changeNames(parts ...entryPart) {
	d.seq++
	c := &entryChange{seq: d.seq, parts: parts}
	now := time.Now()
	for _, p := range parts {
		if old := p.dir.names[p.name]; old != nil {
			old.nlink--
			if old.isDir() {
				p.dir.nlink--
			}
		}
		delete(p.dir.names, p.name)
	}
	for _, p := range parts {
		if p.to != nil {
			p.dir.names[p.name] = p.to
			p.to.nlink++
			if p.to.isDir() {
				p.dir.nlink++
			}
		}
		p.dir.now.mtime, p.dir.now.ctime = now, now
		if last := len(p.dir.pending) - 1; last < 0 || p.dir.pending[last] != c {
			p.dir.pending = append(p.dir.pending, c)
		}
	}
}

// land puts a change on the disk.
func (c *entryChange) land() {
	if c.done {
		return
	}
	c.done = true
	for _, p := range c.parts {
		delete(p.dir.namesDisk, p.name)
	}
	for _, p := range c.parts {
		if p.to != nil {
			p.dir.namesDisk[p.name] = p.to
		}
	}
}

// syncDir carries the names of a directory to the disk, and with a rename out
// of another directory that half, too.
func (n *inode) syncDir() {
	for _, c := range n.pending {
		c.land()
	}
	n.pending = nil
	n.synced = n.now
}

// syncFile carries bytes and size to the disk; the times too unless data is set,
// as fdatasync(2) has it. No name: that takes an fsync of the directory.
func (n *inode) syncFile(data bool) {
	n.forgetBehindCut()
	for i := range n.dirty {
		n.onDisk[i] = n.pages[i]
	}
	n.clean(data)
}

// dropDirty is what Linux does with pages it could not write: they count as
// clean, programs go on seeing them, and the next fsync succeeds.
func (n *inode) dropDirty() {
	if n.isDir() {
		n.pending = nil
		return
	}
	old := n.synced
	n.clean(false)
	n.synced = old
}

func (n *inode) clean(data bool) {
	n.dirty = map[int64]bool{}
	n.cutTo = n.now.size
	if data {
		n.synced.size = n.now.size
		return
	}
	n.synced, n.touched = n.now, false
}

func (n *inode) forgetBehindCut() {
	for i := range n.onDisk {
		if i*pageSize >= n.cutTo {
			delete(n.onDisk, i)
		}
	}
	if rest := n.cutTo % pageSize; rest != 0 {
		if p := n.onDisk[n.cutTo/pageSize]; p != nil {
			n.onDisk[n.cutTo/pageSize] = append(p[:rest:rest], make([]byte, pageSize-rest)...)
		}
	}
}

func (n *inode) read(p []byte, off int64) int {
	if off >= n.now.size {
		return 0
	}
	p = p[:min(int64(len(p)), n.now.size-off)]
	for done := 0; done < len(p); {
		at := off + int64(done)
		k := min(len(p)-done, int(pageSize-at%pageSize))
		if page := n.pages[at/pageSize]; page != nil {
			copy(p[done:done+k], page[at%pageSize:])
		} else {
			clear(p[done : done+k])
		}
		done += k
	}
	return len(p)
}

func (n *inode) write(p []byte, off int64) {
	for done := 0; done < len(p); {
		at := off + int64(done)
		page := n.ownPage(at / pageSize)
		done += copy(page[at%pageSize:], p[done:])
	}
	n.now.size = max(n.now.size, off+int64(len(p)))
	n.changed()
}

// ownPage returns a page for writing, not shared with the disk.
func (n *inode) ownPage(i int64) []byte {
	if !n.dirty[i] || n.pages[i] == nil {
		page := make([]byte, pageSize)
		copy(page, n.pages[i])
		n.pages[i] = page
	}
	n.dirty[i] = true
	return n.pages[i]
}

func (n *inode) truncate(size int64) {
	if size < n.now.size {
		for i := range n.pages {
			if i*pageSize >= size {
				delete(n.pages, i)
				delete(n.dirty, i)
			}
		}
		if rest := size % pageSize; rest != 0 && n.pages[size/pageSize] != nil {
			clear(n.ownPage(size / pageSize)[rest:])
		}
		n.cutTo = min(n.cutTo, size)
	}
	n.now.size = size
	n.changed()
}

func (n *inode) changed() {
	n.now.mtime = time.Now()
	n.now.ctime = n.now.mtime
	n.touched = true
}

func (n *inode) attr(out *fuse.Attr) {
	out.Ino, out.Mode, out.Nlink, out.Owner, out.Rdev = n.ino, n.now.mode, n.nlink, n.now.owner, n.rdev
	out.Size, out.Blksize = uint64(n.now.size), pageSize
	out.Blocks = uint64(len(n.pages)) * (pageSize / 512)
	out.SetTimes(&n.now.atime, &n.now.mtime, &n.now.ctime)
}
