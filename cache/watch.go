package cache

import (
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tunesafe/tunesafe/internal/kv"
)

// Watch collects what changes of names and files, for whoever keeps a view of the
// drive that would be dear to make anew.
type Watch struct {
	of *watches

	mu    sync.Mutex
	inos  map[Ino]struct{}
	names map[string]Ino // by key
	lost  bool
}

// watchMost bounds what a watch remembers.
const watchMost = 20_000

// watches are the watches of a cache. It costs nothing where there is none.
type watches struct{ list atomic.Pointer[[]*Watch] }

// Watch begins one. What is read of the cache from now on is at least as old as what
// the watch does not tell.
func (c *Cache) Watch() *Watch {
	w := &Watch{of: &c.watches, inos: map[Ino]struct{}{}, names: map[string]Ino{}}
	c.watches.change(func(list []*Watch) []*Watch { return append(list, w) })
	return w
}

// Stop ends the watch.
func (w *Watch) Stop() {
	w.of.change(func(list []*Watch) []*Watch { return slices.DeleteFunc(list, func(o *Watch) bool { return o == w }) })
}

func (ws *watches) change(to func([]*Watch) []*Watch) {
	for {
		old := ws.list.Load()
		var list []*Watch
		if old != nil {
			list = slices.Clone(*old)
		}
		if list = to(list); ws.list.CompareAndSwap(old, &list) {
			return
		}
	}
}

// Take gives what changed since the last call: inodes of which attributes, bytes or
// label are others, and names; one that is gone has no inode. all says that so much
// changed that everything must be looked at.
func (w *Watch) Take() (inos []Ino, names []NameRow, all bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ino := range w.inos {
		inos = append(inos, ino)
	}
	for key, ino := range w.names {
		names = append(names, NameRow{Parent: binary.BigEndian.Uint64([]byte(key)), Name: key[8:], Ino: ino})
	}
	all, w.lost = w.lost, false
	w.forget()
	return inos, names, all
}

func (w *Watch) forget() {
	clear(w.inos)
	clear(w.names)
}

// note is [kv.Options.Applied].
func (ws *watches) note(b kv.Bucket, key, value []byte, gone bool) {
	list := ws.list.Load()
	if list == nil || b != bInode && b != bLabel && b != bName {
		return
	}
	for _, w := range *list {
		w.note(b, key, value, gone)
	}
}

func (w *Watch) note(b kv.Bucket, key, value []byte, gone bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.lost:
		return
	case b != bName:
		w.inos[keyIno(key)] = struct{}{}
	case gone:
		w.names[string(key)] = 0
	default:
		w.names[string(key)] = decodeName(value).ino
	}
	if len(w.inos)+len(w.names) > watchMost {
		w.lost = true
		w.forget()
	}
}
