package cache

import "sync"

// Looks tells of the files that programs look into: of which they read tags, pictures,
// an index or the probe, and which are not whole here. Somebody who plays reads sound,
// too; who scans does not.
type Looks struct {
	Files   uint64 // so many so far, one after another
	Played  uint64 // of these
	Last    Ino
	Waiting bool // somebody waits for what he looks for
}

// looks is what Looks is told of.
type looks struct {
	mu      sync.Mutex
	told    Looks
	played  bool // sound of the last was read
	waiting int
	news    chan struct{}
}

// Looks tells of the files that programs looked into.
func (c *Cache) Looks() Looks {
	c.looks.mu.Lock()
	defer c.looks.mu.Unlock()
	l := c.looks.told
	l.Waiting = c.looks.waiting > 0
	return l
}

// Looked is sent to when there are news in [Cache.Looks]. It is for one to wait on.
func (c *Cache) Looked() <-chan struct{} { return c.looks.news }

// begin notes that somebody looks into a file, and end that he has what he looked for.
func (l *looks) begin(ino Ino) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting++
	if ino == l.told.Last {
		return
	}
	l.told.Files++
	l.told.Last, l.played = ino, false
	select {
	case l.news <- struct{}{}:
	default:
	}
}

func (l *looks) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting--
}

// heard notes that sound of a file is missing that somebody reads.
func (l *looks) heard(ino Ino) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ino == l.told.Last && !l.played {
		l.told.Played++
		l.played = true
	}
}
