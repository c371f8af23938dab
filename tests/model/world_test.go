package model

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// world is a sequence under way: the drive and the plain directory, and what is
// open on both.
type world struct {
	rig          *rig
	tracks       [][]byte // real music, small
	drive, plain *side
	opened       int    // handles so far; they are numbered from 1
	done         []op   // so far
	recent       string // the file drawn last
	problem      string // what differs; nothing is done any more then
}

func (r *rig) newWorld(tracks [][]byte) *world {
	w := &world{rig: r, tracks: tracks, drive: newSide(r.home().At), plain: newSide(r.plain)}
	w.drive.plain, w.plain.plain = w.plain, w.plain
	return w
}

// op is one operation, a line when printed. It can be done in other worlds than
// the one it was drawn for.
type op struct {
	text  string
	needs []int              // the open files or directories it uses
	both  func(*side) string // done on the drive, then on the plain directory
	// event befalls the drive, and changes nothing that can be seen.
	event  func(*world)
	result string // once done
}

// GoString is what rapid prints of a draw.
func (o op) GoString() string { return o.text }

// do does an operation, unless what it needs is not open.
func (w *world) do(o op) {
	for _, id := range o.needs {
		_, file := w.plain.files[id]
		_, dir := w.plain.dirs[id]
		if !file && !dir {
			return
		}
	}
	if w.problem != "" {
		return
	}
	switch {
	case o.event != nil:
		w.befall(o)
	default:
		w.try(&o)
	}
	w.done = append(w.done, o)
}

// try does an operation on both sides.
func (w *world) try(o *op) {
	got := o.both(w.drive)
	want := o.both(w.plain)
	o.result = ": " + want
	if got != want {
		o.result = ""
		w.problem = fmt.Sprintf("%s\n  drive: %s\n  plain: %s", o.text, got, want)
	}
}

// befall lets an event happen, after which all must be as it was.
func (w *world) befall(o op) {
	before := w.tree(w.drive, false)
	if p := caught(func() { o.event(w) }); p != "" {
		w.problem = o.text + ": " + p
	}
	if w.problem == "" {
		w.drive.root = w.rig.home().At
		after := w.tree(w.drive, false)
		if d := differ(before, after, "before", "after", true); d != "" {
			w.problem = o.text + ": " + d
		}
	}
	w.compare(o.text, false)
}

// tree reads a tree; one that cannot be read is a problem.
func (w *world) tree(s *side, contents bool) map[string]entry {
	t, err := s.tree(contents)
	if err != nil && w.problem == "" {
		w.problem = fmt.Sprintf("reading the tree: %v", err)
	}
	return t
}

// compare compares the trees.
func (w *world) compare(when string, contents bool) {
	if w.problem != "" {
		return
	}
	plain := w.tree(w.plain, contents)
	if d := differ(plain, w.tree(w.drive, contents), "plain", "drive", false); d != "" && w.problem == "" {
		w.problem = when + ": " + d
	}
}

// end compares all that is left, and removes it.
func (w *world) end() {
	w.compare("at the end", true)
	w.do(op{text: "close all", event: (*world).closeAll})
	w.compare("all closed", true)
	w.do(op{text: "remove all", both: (*side).removeAll})
}

func (w *world) closeAll() {
	w.drive.closeAll()
	w.plain.closeAll()
}

// closeFiles closes all files that have a name: they would not become safe.
// Those without one keep nobody waiting.
func (w *world) closeFiles() {
	for _, id := range handles(w.plain.files) {
		var st unix.Stat_t
		if err := unix.Fstat(w.plain.files[id], &st); err == nil && st.Nlink == 0 {
			continue
		}
		w.drive.close(id)
		w.plain.close(id)
	}
}

func handles(open map[int]int) []int { return slices.Sorted(maps.Keys(open)) }

// names lists what exists, in order; dirs only the directories, with the root.
func (w *world) names() (all, dirs []string) {
	tree := w.tree(w.plain, false)
	for _, n := range slices.Sorted(maps.Keys(tree)) {
		if n != "." {
			all = append(all, n)
		}
		if fi, err := os.Lstat(filepath.Join(w.plain.root, n)); err == nil && fi.IsDir() {
			dirs = append(dirs, n)
		}
	}
	return all, dirs
}

// evict waits until all that nobody has open is in the bucket alone.
func (w *world) evict() {
	w.closeFiles()
	var inos []uint64
	for _, e := range w.tree(w.drive, false) {
		if e.file && e.size > 1 { // the cache may keep one byte
			inos = append(inos, e.ino)
		}
	}
	w.rig.evicted(inos)
}
