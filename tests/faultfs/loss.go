package faultfs

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
)

// Loss says what a power loss leaves of changes that were not synced. The zero
// value is the strictest: nothing.
//
// What was synced is there under every rule. A rename is atomic under every rule:
// no file system in use loses both names or keeps both.
type Loss struct {
	// Rand, if set, decides for each page of 4 KiB, each size and each change of
	// a directory whether it had reached the disk. A file whose new size did and
	// whose bytes did not has zeros there, as ext4's delayed allocation leaves.
	Rand *rand.Rand

	// Ordered lets changes of directories reach the disk in the order they were
	// made, as a journal of metadata does: some first ones are there, and none after.
	Ordered bool
}

// lose makes the disk what the power loss left, and what programs see of it the same.
func (d *Disk) lose(l Loss) {
	seen := map[*inode]bool{}
	var all []*inode
	var walk func(n *inode)
	walk = func(n *inode) {
		if n == nil || seen[n] {
			return
		}
		seen[n] = true
		all = append(all, n)
		for _, names := range []map[string]*inode{n.names, n.namesDisk} {
			for _, name := range slices.Sorted(maps.Keys(names)) {
				walk(names[name])
			}
		}
	}
	walk(d.root)
	var changes []*entryChange
	for _, n := range all {
		changes = append(changes, n.pending...)
		if !n.isDir() {
			n.loseFile(l.Rand)
		}
	}
	slices.SortFunc(changes, func(a, b *entryChange) int { return cmp.Compare(a.seq, b.seq) })
	l.choose(slices.Compact(changes))
	for _, n := range all {
		n.nlink = 0
	}
	d.settle(d.root)
}

// choose lets some changes of directories reach the disk.
func (l Loss) choose(changes []*entryChange) {
	if l.Rand == nil {
		return
	}
	first := l.Rand.IntN(len(changes) + 1)
	for i, c := range changes {
		if l.Ordered && i < first || !l.Ordered && l.Rand.IntN(2) == 0 {
			c.land()
		}
	}
}

// settle counts links, and shows what is on the disk.
func (d *Disk) settle(n *inode) {
	n.nlink++
	if !n.isDir() || n.nlink > 1 {
		return
	}
	n.names, n.pending = maps.Clone(n.namesDisk), nil
	n.now = n.synced
	n.nlink = 2
	for _, c := range n.names {
		if c.isDir() {
			n.nlink++
		}
		d.settle(c)
	}
}

// loseFile decides what of a file's unsynced bytes and size is on the disk. A
// page that is there brings the times with it.
func (n *inode) loseFile(r *rand.Rand) {
	after := n.synced
	if r != nil && (len(n.dirty) > 0 || n.touched) {
		keep := []int{0, 1, 2}[r.IntN(3)] // of two pages
		grown := r.IntN(2) == 0
		if grown {
			n.forgetBehindCut()
			after.size = n.now.size
		}
		for _, i := range slices.Sorted(maps.Keys(n.dirty)) {
			if r.IntN(2) < keep {
				n.onDisk[i] = n.pages[i]
				after.mtime, after.ctime = n.now.mtime, n.now.ctime
			}
		}
		if grown {
			after.mtime, after.ctime = n.now.mtime, n.now.ctime
		}
	}
	n.now, n.synced = after, after
	n.cutTo = after.size
	n.forgetBehindCut()
	n.pages = maps.Clone(n.onDisk)
	n.dirty, n.touched = map[int64]bool{}, false
}
