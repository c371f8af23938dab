package tools

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// SameTree compares all that two trees hold: names, types, bytes, targets of
// symbolic links, modes, modification times to the nanosecond, user.* extended
// attributes, and which names are hard links to one file. It fails the test
// with the first 20 differences, and says whether there was none.
//
// The roots' own mode, time and attributes are left out, and so are attributes
// below user.tunesafe, by which the drive tells of its state.
func SameTree(t testing.TB, a, b string) bool {
	t.Helper()
	ta, err := readTree(a)
	if err != nil {
		t.Fatalf("read %s: %v", a, err)
	}
	tb, err := readTree(b)
	if err != nil {
		t.Fatalf("read %s: %v", b, err)
	}
	diffs := diffTrees(ta, tb)
	if len(diffs) == 0 {
		return true
	}
	const shown = 20
	rest := ""
	if len(diffs) > shown {
		rest = fmt.Sprintf("\n… and %d more", len(diffs)-shown)
		diffs = diffs[:shown]
	}
	t.Errorf("%s and %s differ:\n%s%s", a, b, strings.Join(diffs, "\n"), rest)
	return false
}

// SameFile compares of two files what [SameTree] compares, but for their names
// and hard links. It fails the test with the difference, and says whether there
// was none.
func SameFile(t testing.TB, a, b string) bool {
	t.Helper()
	var trees [2]map[string]entry
	for i, p := range []string{a, b} {
		e, err := readEntry(p, "", map[inode]string{})
		if err != nil {
			t.Errorf("read %s: %v", p, err)
			return false
		}
		trees[i] = map[string]entry{b: e}
	}
	for _, diff := range diffTrees(trees[0], trees[1]) {
		t.Errorf("not what was copied: %s", diff)
		return false
	}
	return true
}

// TreeDigest is a hash of all that [SameTree] compares.
func TreeDigest(dir string) (string, error) {
	tree, err := readTree(dir)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		fmt.Fprintf(h, "%q %q\n", name, tree[name].fields())
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// entry is what is compared of a file, folder or link.
type entry struct {
	mode   fs.FileMode
	size   int64 // of a regular file
	sum    string
	target string
	device uint64
	mtime  time.Time
	xattrs map[string]string
	first  string // of a regular file with several names: the least of them
}

// fields are the entry's properties as text, by name.
func (e entry) fields() []string {
	f := []string{
		"mode " + e.mode.String(), "mtime " + e.mtime.Format(time.RFC3339Nano),
		fmt.Sprint("size ", e.size), "content " + e.sum, "target " + e.target,
		fmt.Sprint("device ", e.device), "hard link to " + e.first,
	}
	for _, k := range slices.Sorted(maps.Keys(e.xattrs)) {
		f = append(f, fmt.Sprintf("attribute %s=%q", k, e.xattrs[k]))
	}
	return f
}

// diffTrees describes the differences, a line each, in order of the names.
func diffTrees(a, b map[string]entry) []string {
	names := maps.Clone(a)
	maps.Copy(names, b)
	var diffs []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		ea, inA := a[name]
		eb, inB := b[name]
		switch {
		case !inB:
			diffs = append(diffs, fmt.Sprintf("%q: only in the first", name))
		case !inA:
			diffs = append(diffs, fmt.Sprintf("%q: only in the second", name))
		default:
			fa, fb := ea.fields(), eb.fields()
			onlyA := slices.DeleteFunc(slices.Clone(fa), func(f string) bool { return slices.Contains(fb, f) })
			onlyB := slices.DeleteFunc(slices.Clone(fb), func(f string) bool { return slices.Contains(fa, f) })
			if len(onlyA)+len(onlyB) > 0 {
				diffs = append(diffs, fmt.Sprintf("%q: %q against %q", name, onlyA, onlyB))
			}
		}
	}
	return diffs
}

type inode struct{ dev, ino uint64 }

// readTree reads everything below root but root itself.
func readTree(root string) (map[string]entry, error) {
	tree := map[string]entry{}
	firsts := map[inode]string{}
	// WalkDir goes in lexical order by element, so that the first name met of a
	// file is the same one in equal trees.
	err := filepath.WalkDir(root, func(p string, _ fs.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		tree[rel], err = readEntry(p, rel, firsts)
		return err
	})
	return tree, err
}

func readEntry(p, rel string, firsts map[inode]string) (e entry, err error) {
	info, err := os.Lstat(p)
	if err != nil {
		return e, err
	}
	var st unix.Stat_t
	if err := unix.Lstat(p, &st); err != nil {
		return e, &fs.PathError{Op: "lstat", Path: p, Err: err}
	}
	e = entry{mode: info.Mode(), mtime: info.ModTime().UTC()}
	switch {
	case e.mode.IsRegular():
		if st.Nlink > 1 {
			id := inode{st.Dev, st.Ino}
			if firsts[id] == "" {
				firsts[id] = rel
			}
			e.first = firsts[id]
		}
		if e.size, e.sum, err = sumFile(p); err != nil {
			return e, err
		}
	case e.mode&fs.ModeSymlink != 0:
		if e.target, err = os.Readlink(p); err != nil {
			return e, err
		}
		e.mode = fs.ModeSymlink // its permissions mean nothing
	case e.mode&fs.ModeDevice != 0:
		e.device = st.Rdev
	}
	if e.mode.IsRegular() || e.mode.IsDir() {
		e.xattrs, err = readXattrs(p)
	}
	return e, err
}

func sumFile(p string) (size int64, sum string, err error) {
	f, err := os.Open(p)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	h := sha256.New()
	if size, err = io.Copy(h, f); err != nil {
		return 0, "", err
	}
	return size, hex.EncodeToString(h.Sum(nil)), nil
}

// readXattrs reads the attributes that are the user's own.
func readXattrs(p string) (map[string]string, error) {
	names, err := sized(func(b []byte) (int, error) { return unix.Llistxattr(p, b) })
	if errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil {
		return nil, &fs.PathError{Op: "listxattr", Path: p, Err: err}
	}
	xattrs := map[string]string{}
	for name := range strings.SplitSeq(names, "\x00") {
		if !strings.HasPrefix(name, "user.") || strings.HasPrefix(name, "user.tunesafe.") {
			continue
		}
		if xattrs[name], err = sized(func(b []byte) (int, error) { return unix.Lgetxattr(p, name, b) }); err != nil {
			return nil, &fs.PathError{Op: "getxattr " + name, Path: p, Err: err}
		}
	}
	return xattrs, nil
}

// sized makes a system call that fills a buffer with a buffer large enough:
// 64 KiB is the most that Linux allows for a list or a value.
func sized(call func([]byte) (int, error)) (string, error) {
	b := make([]byte, 64<<10)
	n, err := call(b)
	if err != nil {
		return "", err
	}
	return string(b[:n]), nil
}
