package cache

import (
	"errors"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/kv"
)

// Waiting counts what is not safe yet.
type Waiting struct {
	Files int   // regular files
	Bytes int64 // of them, still to go to the bucket
	Rows  int   // rows waiting for a commit
	Open  int   // of Files, open for writing now
	Total int   // regular files of the drive
	Size  int64 // bytes of all regular files
	Sound int64 // of them, what goes behind names and tags, as far as it is known
	Owed  int64 // of Sound, still to go to the bucket
}

// Waiting scans the marks. While a first backup is under way nearly all files wait, and it
// is asked twice a second: it keeps a bit for each.
func (c *Cache) Waiting() (w Waiting, err error) {
	seen := inoSet{}
	for _, mark := range []kv.Bucket{bOwed, bUncut, bPRow} {
		err := c.pages(mark, nil, func(k, v []byte) error {
			ino, owed := keyIno(k), int64(0)
			switch mark {
			case bOwed:
				if c.StaleReason(ino) != nil {
					return nil
				}
				d, err := c.debt(k, v)
				if err != nil {
					return err
				}
				owed = d.Bytes
			case bPRow:
				w.Rows++
			}
			if seen.has(ino) {
				return nil
			}
			seen.add(ino)
			return w.add(c, ino, owed)
		})
		if err != nil {
			return w, err
		}
	}
	w.Total, w.Size, w.Sound, err = c.totals.of(c)
	w.Sound = max(w.Sound, w.Owed)
	return w, err
}

// add counts an inode that waits, if it is a file.
func (w *Waiting) add(c *Cache, ino Ino, owed int64) error {
	n, err := c.inode(ino)
	if errors.Is(err, ErrNotExist) || err == nil && (!n.isFile() || n.Nlink == 0) {
		return nil
	}
	if err != nil {
		return err
	}
	if n.dirty() {
		owed = c.sizeNow(ino, n)
	}
	w.Files++
	w.Bytes += owed
	w.Owed += owed
	if f := c.peek(ino); f != nil && f.isHeld() {
		w.Open++
	}
	return nil
}

// totals remembers the count of all files: who watches the status asks twice a
// second, and the count reads every inode.
type totals struct {
	mu      sync.Mutex
	files   int
	size    int64
	sound   int64
	version uint64    // of the namespace when they were counted
	next    time.Time // not counted again before
}

func (t *totals) of(c *Cache) (files int, size, sound int64, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v, began := c.Version(), time.Now()
	if v == t.version && t.files > 0 || began.Before(t.next) {
		return t.files, t.size, t.sound, nil
	}
	t.files, t.size, t.sound, t.version = 0, 0, 0, v
	err = c.db.Scan(bInode, nil, nil, func(_, p []byte) bool {
		if n, err := briefOf(p); err == nil && n.Mode&unix.S_IFMT == unix.S_IFREG && n.Nlink > 0 {
			t.files++
			t.size += n.Size
			t.sound += n.sound()
		}
		return true
	})
	t.next = time.Now().Add(10 * time.Since(began)) // at most a tenth of the time
	return t.files, t.size, t.sound, err
}

// sizeNow is the size of a file, also of one that is being written.
func (c *Cache) sizeNow(ino Ino, n *inode) int64 {
	if !n.dirty() {
		return n.Size
	}
	a, _ := c.Attr(ino)
	return a.Size
}
