package fs

import (
	"cmp"
	"sync"
	"time"

	"github.com/tunesafe/tunesafe/cache"
)

// maxNoted is of how many inodes a failure is remembered, before starting over.
const maxNoted = 1 << 12

// failure is an operation that a program was told has failed with EIO.
type failure struct {
	op   string
	ino  cache.Ino
	path string // "" if it is to be found by the inode
	err  error
}

// failures are on their way to the log: once per inode, as a player asks again
// and again, and aside, as finding the paths reads every name of the drive.
type failures struct {
	mu      sync.Mutex
	noted   map[cache.Ino]struct{}
	pending []failure
	writing sync.WaitGroup // one goroutine, while something is pending
	on      bool
}

// failed has a failure logged.
func (d *drive) failed(f failure) {
	l := &d.failures
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, before := l.noted[f.ino]; before {
		return
	}
	if l.noted == nil || len(l.noted) >= maxNoted {
		l.noted = make(map[cache.Ino]struct{})
	}
	l.noted[f.ino] = struct{}{}
	l.pending = append(l.pending, f)
	if !l.on {
		l.on = true
		l.writing.Go(d.logFailures)
	}
}

// logFailures writes what is pending. It rests ten times as long as the names
// took to read: failures come by the thousand when a store is away.
func (d *drive) logFailures() {
	for l := &d.failures; ; {
		l.mu.Lock()
		list := l.pending
		l.pending, l.on = nil, len(list) > 0
		l.mu.Unlock()
		if len(list) == 0 {
			return
		}
		began := time.Now()
		paths := d.paths(list)
		for _, f := range list {
			d.log.Warn("the drive answers with an input/output error",
				"operation", f.op, "path", cmp.Or(f.path, paths[f.ino]), "inode", f.ino, "error", f.err)
		}
		time.Sleep(10 * time.Since(began))
	}
}

// paths finds the paths of those that have none.
func (d *drive) paths(list []failure) map[cache.Ino]string {
	var inos []cache.Ino
	for _, f := range list {
		if f.path == "" {
			inos = append(inos, f.ino)
		}
	}
	if inos == nil {
		return nil
	}
	paths, err := d.c.Paths(inos)
	if err != nil {
		d.log.Warn("reading the names of the drive", "error", err)
	}
	return paths
}
