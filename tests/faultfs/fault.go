package faultfs

import (
	"maps"
	"slices"
	"strings"
	"syscall"
)

// Fault makes calls fail. The operations are those of FUSE by the names of their
// system calls: lookup, getattr, setattr, truncate, open, create, mknod, mkdir,
// symlink, readlink, link, unlink, rmdir, rename, readdir, read, write, fallocate,
// fsync (of a file), fsyncdir, statfs.
type Fault struct {
	Ops   []string      // nil for every one
	Path  string        // only where the path on the disk contains it
	Not   string        // and, unless empty, does not contain this
	From  int           // the first to fail, counted from 1 among those that match
	Times int           // how many fail; 0: all from then on
	Errno syscall.Errno // what they answer
	Short bool          // a write that fails has written half of its bytes, and says so

	met, hit int
}

// Changes are the operations that need room on the disk.
var Changes = []string{"write", "create", "mknod", "mkdir", "symlink", "link", "rename", "truncate", "fallocate", "fsync", "fsyncdir"}

// Fail adds a fault; what it counts begins now. A failed fsync drops what it
// should have synced, as Linux does: the next one succeeds, and lies.
func (d *Disk) Fail(f Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = append(d.faults, &f)
}

// Heal removes all faults and returns the calls they failed, each as operation
// and path.
func (d *Disk) Heal() (failed []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	failed, d.faults, d.failed = d.failed, nil, nil
	return failed
}

// Counts returns how often each operation was called since the disk was made.
func (d *Disk) Counts() map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.counts)
}

// fault counts an operation and returns the fault that meets it, if any.
func (d *Disk) fault(op, path string) *Fault {
	d.counts[op]++
	for _, f := range d.faults {
		if f.Ops != nil && !slices.Contains(f.Ops, op) || !strings.Contains(path, f.Path) || f.Not != "" && strings.Contains(path, f.Not) {
			continue
		}
		f.met++
		if f.met >= max(f.From, 1) && (f.Times == 0 || f.hit < f.Times) {
			f.hit++
			d.failed = append(d.failed, op+" "+path)
			return f
		}
	}
	return nil
}
