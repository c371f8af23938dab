package folder

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// list opens a directory and gives what is in it by name.
func list(t *testing.T, r *Root, rel string) map[string]Entry {
	t.Helper()
	d, err := r.Dir(rel, nil)
	must(t, err)
	defer d.Close()
	entries, err := d.Entries()
	must(t, err)
	m := map[string]Entry{}
	for i, e := range entries {
		if i > 0 && entries[i-1].Name >= e.Name {
			t.Errorf("%q before %q", entries[i-1].Name, e.Name)
		}
		m[e.Name] = e
	}
	return m
}

func open(t *testing.T, dir string, o Options) *Root {
	t.Helper()
	r, err := Open(dir, o)
	must(t, err)
	t.Cleanup(func() { r.Close() })
	return r
}

// TestEntries has one name of every kind, and says what becomes of it.
func TestEntries(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"file", "Bj\xf6rk\n", ".DS_Store", "x.part", "no.wav", "-", ".hidden"} {
		must(t, os.WriteFile(in(name), []byte("x"), 0o600))
	}
	must(t, os.Symlink("/nowhere", in("link")))
	must(t, os.MkdirAll(in("home/state"), 0o700))
	must(t, os.Mkdir(in("dir"), 0o700))
	must(t, unix.Mkfifo(in("fifo"), 0o600))
	l, err := net.Listen("unix", in("socket"))
	must(t, err)
	defer l.Close()
	want := map[string]Why{"file": Kept, "Bj\xf6rk\n": Kept, "-": Kept, ".hidden": Kept, "link": Kept, "dir": Kept, "fifo": Kept,
		".DS_Store": Excluded, "x.part": Excluded, "no.wav": Excluded, "home": Avoided, "socket": Socket}
	r := open(t, dir, Options{Exclude: []string{"*.wav"}, Avoid: []string{in("home") + "/"}})
	got := list(t, r, "")
	for name, why := range want {
		if e, ok := got[name]; !ok || e.Why != why {
			t.Errorf("%q: %v, want %v", name, e.Why, why)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d entries, want %d", len(got), len(want))
	}
	if e := got["home"]; e.Stat != (Stat{}) {
		t.Error("what is to be avoided was looked at")
	}
}

// TestDefaultsGiveWay: an ignore file brings back what the defaults leave out, and
// the command line has the last word.
func TestDefaultsGiveWay(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"Thumbs.db", "a.part", "b.part"} {
		must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	must(t, os.WriteFile(filepath.Join(dir, IgnoreFile), []byte("!Thumbs.db\n!*.part\n"), 0o600))
	got := list(t, open(t, dir, Options{Exclude: []string{"a.*"}}), "")
	for name, why := range map[string]Why{"Thumbs.db": Kept, "a.part": Excluded, "b.part": Kept, IgnoreFile: Kept} {
		if got[name].Why != why {
			t.Errorf("%s: %v, want %v", name, got[name].Why, why)
		}
	}
}

// TestNoLinkIsFollowed: neither a link in the middle of a path nor one at its end
// leads out of the folder, nor does "..".
func TestNoLinkIsFollowed(t *testing.T) {
	out, dir := t.TempDir(), t.TempDir()
	must(t, os.Mkdir(filepath.Join(out, "sub"), 0o700))
	must(t, os.Symlink(out, filepath.Join(dir, "link")))
	r := open(t, dir, Options{})
	for _, rel := range []string{"link", "link/sub", "..", "link/../.."} {
		if d, err := r.Dir(rel, nil); err == nil {
			d.Close()
			t.Errorf("%s was opened", rel)
		}
	}
	d, err := r.Dir("", nil)
	must(t, err)
	defer d.Close()
	if f, err := d.Open("link"); err == nil {
		f.Close()
		t.Error("a link was opened as a file")
	}
	if target, err := d.Readlink("link"); err != nil || target != out {
		t.Error(target, err)
	}
}

// TestNoFolder: what is missing, or is no folder, is told from an empty one.
func TestNoFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	for _, name := range []string{file, file + "/x", file + "-absent"} {
		if _, err := Open(name, Options{}); !errors.Is(err, ErrNoFolder) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSame: a folder that another took the place of is told.
func TestSame(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "music")
	must(t, os.Mkdir(dir, 0o700))
	r := open(t, dir, Options{})
	if !r.Same() {
		t.Error("another already")
	}
	must(t, os.Rename(dir, dir+"-old"))
	must(t, os.Mkdir(dir, 0o700))
	if r.Same() {
		t.Error("still the same")
	}
}

// TestUnreadable: a folder, or an ignore file, that may not be read is an error.
func TestUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		asNobody(t)
	}
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o777))
	must(t, os.Mkdir(filepath.Join(dir, "closed"), 0o300))
	must(t, os.Mkdir(filepath.Join(dir, "ruled"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "ruled", IgnoreFile), nil, 0o200))
	must(t, os.WriteFile(filepath.Join(dir, "secret"), nil, 0o200))
	r := open(t, dir, Options{})
	if _, err := r.Dir("closed", nil); !errors.Is(err, os.ErrPermission) {
		t.Error("closed:", err)
	}
	ruled, err := r.Dir("ruled", nil)
	must(t, err)
	defer ruled.Close()
	if _, err := ruled.Entries(); !errors.Is(err, os.ErrPermission) {
		t.Error("ruled:", err)
	}
	d, err := r.Dir("", nil)
	must(t, err)
	defer d.Close()
	if err := d.Readable("secret"); !errors.Is(err, os.ErrPermission) {
		t.Error("secret:", err)
	}
}

// asNobody gives up what root may do, for this test's thread.
func asNobody(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	if _, _, errno := unix.RawSyscall(unix.SYS_SETFSUID, 65534, 0, 0); errno != 0 {
		t.Skip("cannot become another user:", errno)
	}
	t.Cleanup(func() { unix.RawSyscall(unix.SYS_SETFSUID, 0, 0, 0) })
}

// TestXattrs reads those of a file, a folder and a link, and none of the system's.
func TestXattrs(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	must(t, os.Symlink("file", filepath.Join(dir, "link")))
	if err := unix.Setxattr(file, "user.note", []byte("a\x00b"), 0); errors.Is(err, unix.ENOTSUP) {
		t.Skip("no extended attributes here")
	}
	must(t, unix.Setxattr(file, "user.empty", nil, 0))
	must(t, unix.Setxattr(dir, "user.top", []byte(strings.Repeat("x", 300)), 0))
	d, err := open(t, dir, Options{}).Dir("", nil)
	must(t, err)
	defer d.Close()
	x, err := d.Xattrs("file")
	must(t, err)
	if v, ok := x["user.empty"]; len(x) != 2 || string(x["user.note"]) != "a\x00b" || !ok || len(v) != 0 {
		t.Errorf("file: %q", x)
	}
	if x, err := d.Xattrs(""); err != nil || len(x["user.top"]) != 300 {
		t.Error("folder:", x, err)
	}
	if x, err := d.Xattrs("link"); err != nil || len(x) != 0 {
		t.Errorf("link: %q %v", x, err)
	}
}

// TestStat agrees with what os says.
func TestStat(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, []byte("12345"), 0o640))
	then := time.Date(1969, 12, 31, 23, 59, 59, 123456789, time.UTC)
	must(t, os.Chtimes(file, then, then))
	st := list(t, open(t, dir, Options{}), "")["file"].Stat
	if !st.Mtime().Equal(then) || st.Size != 5 || st.Mode != unix.S_IFREG|0o640 || st.Nlink != 1 || time.Since(st.Ctime()) > time.Minute {
		t.Errorf("%+v", st)
	}
}
