package crash

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// tree is what a folder of the drive holds by all that was acknowledged.
type tree struct {
	names  map[string]int // path below the folder → number of the inode
	inodes map[int]inode
}

// inode is a file or folder. Neither data nor xattrs are ever changed in place,
// so trees share them.
type inode struct {
	dir    bool
	data   []byte
	xattrs map[string]string
	perm   fs.FileMode
	mtime  time.Time // as last set by hand; zero: whatever it is
}

func newTree() *tree { return &tree{map[string]int{}, map[int]inode{}} }

func (t *tree) clone() *tree { return &tree{maps.Clone(t.names), maps.Clone(t.inodes)} }

// set replaces the data of an inode, which gives it a time of its own.
func (t *tree) set(id int, data []byte) {
	n := t.inodes[id]
	n.data, n.mtime = data, time.Time{}
	t.inodes[id] = n
}

// list gives the paths of all files, or of all folders, sorted.
func (t *tree) list(dirs bool) (paths []string) {
	for p, id := range t.names {
		if t.inodes[id].dir == dirs {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	return paths
}

// move renames a path and what lies below it, over what is there.
func (t *tree) move(from, to string) {
	for p, id := range maps.Clone(t.names) {
		if rest, ok := strings.CutPrefix(p, from); ok && (rest == "" || rest[0] == '/') {
			delete(t.names, p)
			t.names[to+rest] = id
		}
	}
}

// seen is what a path was found to be.
type seen struct {
	inode
	ino  uint64
	size int64 // of a file, as stat tells
}

// observe reads everything below root.
func observe(root string) (map[string]seen, error) {
	found := map[string]seen{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(p, &st); err != nil {
			return fmt.Errorf("lstat %s: %w", p, err)
		}
		s := seen{ino: st.Ino}
		s.dir, s.perm, s.mtime = d.IsDir(), fs.FileMode(st.Mode&0o777), time.Unix(st.Mtim.Unix())
		if !s.dir {
			if s.data, err = os.ReadFile(p); err != nil {
				return err
			}
			s.size = st.Size
		}
		if s.xattrs, err = xattrs(p); err != nil {
			return err
		}
		found[strings.TrimPrefix(p, root+"/")] = s
		return nil
	})
	return found, err
}

// xattrs reads the attributes that the load sets.
func xattrs(p string) (map[string]string, error) {
	found := map[string]string{}
	for _, k := range attributes {
		b := make([]byte, 256)
		n, err := unix.Lgetxattr(p, k, b)
		if err == unix.ENODATA {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("getxattr %s: %w", p, err)
		}
		found[k] = string(b[:n])
	}
	return found, nil
}

// diff tells how what was found differs from the tree, a line each.
func (t *tree) diff(found map[string]seen) (lines []string) {
	links := map[int]uint64{}
	for _, p := range slices.Sorted(maps.Keys(t.names)) {
		id := t.names[p]
		n, s := t.inodes[id], found[p]
		_, there := found[p]
		switch {
		case !there:
			lines = append(lines, p+": is not there")
			continue
		case n.dir != s.dir:
			lines = append(lines, p+": file and folder mistaken")
		case !n.dir && s.size != int64(len(s.data)):
			lines = append(lines, fmt.Sprintf("%s: %d bytes were read, stat tells %d; must be %d", p, len(s.data), s.size, len(n.data)))
		case !bytes.Equal(n.data, s.data):
			lines = append(lines, fmt.Sprintf("%s: %s", p, where(n.data, s.data)))
		case !maps.Equal(n.xattrs, s.xattrs):
			lines = append(lines, fmt.Sprintf("%s: attributes %v, not %v", p, s.xattrs, n.xattrs))
		case n.perm != s.perm:
			lines = append(lines, fmt.Sprintf("%s: mode %o, not %o", p, s.perm, n.perm))
		case !n.mtime.IsZero() && !n.mtime.Equal(s.mtime):
			lines = append(lines, fmt.Sprintf("%s: time %v, not %v", p, s.mtime, n.mtime))
		case links[id] != 0 && links[id] != s.ino:
			lines = append(lines, p+": no hard link any more")
		}
		links[id] = s.ino
	}
	for _, p := range slices.Sorted(maps.Keys(found)) {
		if _, known := t.names[p]; !known {
			lines = append(lines, p+": should not be there")
		}
	}
	return lines
}

// where tells the first difference.
func where(want, got []byte) string {
	at := 0
	for at < min(len(want), len(got)) && want[at] == got[at] {
		at++
	}
	return fmt.Sprintf("%d bytes, not %d; they differ from %d on", len(got), len(want), at)
}

// partly tells whether got is old with a part of p, from its start, written at off.
func partly(old, got []byte, off int, p []byte) bool {
	k := 0
	for k < len(p) && off+k < len(got) && got[off+k] == p[k] {
		k++
	}
	for ; k >= 0; k-- { // the bytes behind may be equal by chance
		if bytes.Equal(got, overwrite(old, off, p[:k])) {
			return true
		}
	}
	return false
}

// overwrite returns old with p written at off.
func overwrite(old []byte, off int, p []byte) []byte {
	if len(p) == 0 {
		return old
	}
	b := make([]byte, max(len(old), off+len(p)))
	copy(b, old)
	copy(b[off:], p)
	return b
}

// settle compares the folder with the account, and takes the step that was
// under way as it turned out. It changes nothing if it returns an error.
func (w *writer) settle() error {
	w.amiss = len(w.now.names) // what cannot be read is lost
	found, err := observe(w.root)
	if err != nil {
		return err
	}
	w.amiss = 0
	lost := w.now.diff(found)
	if len(lost) == 0 {
		w.flight, w.torn = nil, nil
		return nil
	}
	if w.flight == nil {
		return w.lost(lost)
	}
	if len(w.flight.diff(found)) == 0 {
		w.now, w.flight, w.torn = w.flight, nil, nil
		return nil
	}
	if w.torn != nil {
		for p, id := range w.now.names {
			if id != w.tornID || !w.torn(found[p].data) {
				continue
			}
			half := w.now.clone()
			half.set(id, found[p].data)
			if len(half.diff(found)) == 0 {
				w.now, w.flight, w.torn = half, nil, nil
				return nil
			}
		}
	}
	return w.lost(lost)
}

// lost is an error that says what is not as it was acknowledged, and what had
// been done to the first such path.
func (w *writer) lost(lines []string) error {
	w.amiss = len(lines)
	s := fmt.Sprintf("%s: lost or torn", w.root)
	if w.flight != nil {
		s += fmt.Sprintf(" (under way was: %s)", w.what)
	}
	p, _, _ := strings.Cut(lines[0], ":")
	var history []string
	for _, step := range w.done {
		if strings.Contains(step, path.Base(p)) {
			history = append(history, step)
		}
	}
	const shown = 20
	lines = append(lines[:min(len(lines), shown):min(len(lines), shown)], "what had been done to the first:")
	lines = append(lines, history[max(0, len(history)-shown):]...)
	return errors.New(s + "\n\t" + strings.Join(lines, "\n\t"))
}
