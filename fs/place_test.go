package fs

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
)

// feed is the child's part of TestPlace: place ROOT, then add, update or remove of
// a name in it, or of one in a folder that is there.
func feed(c *cache.Cache, words []string) error {
	if words[0] == "place" {
		c.SetDevice("0011223344556677")
		o, err := outside(words[1])
		if err == nil {
			_, err = c.AddPlace("place", cache.Place{Root: words[1]}, o)
		}
		return err
	}
	places, err := c.Places()
	if err != nil || len(places) != 1 {
		return fmt.Errorf("%d places, %w", len(places), err)
	}
	p := places[0]
	f := c.Feed(p)
	dir := p.Dir
	if d := filepath.Dir(words[1]); d != "." {
		a, err := c.Lookup(p.Dir, d)
		if err != nil {
			return err
		}
		dir = a.Ino
	}
	name := filepath.Base(words[1])
	if words[0] == "remove" {
		return f.Remove(dir, name)
	}
	o, err := outside(filepath.Join(p.Root, words[1]))
	if err != nil {
		return err
	}
	if words[0] == "add" {
		_, err = f.Add(dir, name, o)
		return err
	}
	a, err := c.Lookup(dir, name)
	if err != nil {
		return err
	}
	return f.Update(a.Ino, o, true)
}

func outside(path string) (o cache.Outside, err error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return o, err
	}
	mtime, ctime := time.Unix(st.Mtim.Unix()), time.Unix(st.Ctim.Unix())
	return cache.Outside{Mode: st.Mode, UID: st.Uid, GID: st.Gid, Mtime: mtime,
		Origin: cache.Origin{Dev: st.Dev, Ino: st.Ino, Size: st.Size, Mtime: mtime, Ctime: ctime}}, nil
}

// TestPlace: what a folder feeds is seen on the drive as it is there, at once, also
// where the kernel believed something else; and programs change nothing of it.
func TestPlace(t *testing.T) {
	root := t.TempDir()
	c := mounted(t, mode{Passthrough: true})
	at := func(n string) string { return filepath.Join(c.Dir, "place", n) }
	put := func(n, text string) { check(t, os.WriteFile(filepath.Join(root, n), []byte(text), 0o644)) }
	put("a", "first")
	check(t, os.Mkdir(filepath.Join(root, "dir"), 0o755))
	c.tell(t, "place "+root)
	c.tell(t, "add a")
	c.tell(t, "add dir")
	reads := func(n, want string) {
		t.Helper()
		if got, err := os.ReadFile(at(n)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", n, got, err, want)
		}
	}
	lists := func(want int) {
		t.Helper()
		if got, err := os.ReadDir(filepath.Join(c.Dir, "place")); err != nil || len(got) != want {
			t.Errorf("%v, %v, want %d names", got, err, want)
		}
	}
	reads("a", "first")
	lists(2)
	lists(2) // the kernel keeps it
	put("a", "second, longer")
	c.tell(t, "update a")
	reads("a", "second, longer")
	put("dir/b", "new")
	c.tell(t, "add dir/b")
	put("c", "new, too")
	c.tell(t, "add c")
	lists(3)
	reads("dir/b", "new")

	// The order of names is that of a map: what is refused changes nothing.
	path, dir := at("a"), at("dir")
	mine := filepath.Join(c.Dir, "mine")
	check(t, os.WriteFile(mine, []byte("mine"), 0o644))
	fd, err := unix.Open(path, unix.O_RDONLY, 0)
	check(t, err)
	defer unix.Close(fd)
	tmp, err := unix.Open(c.Dir, unix.O_TMPFILE|unix.O_RDWR, 0o644)
	check(t, err)
	defer unix.Close(tmp)
	for what, err := range map[string]error{
		"writing":           errOf(unix.Open(path, unix.O_RDWR, 0)),
		"appending":         errOf(unix.Open(path, unix.O_WRONLY|unix.O_APPEND, 0)),
		"O_TRUNC":           errOf(unix.Open(path, unix.O_RDONLY|unix.O_TRUNC, 0)),
		"truncate":          unix.Truncate(path, 0),
		"creating":          errOf(unix.Open(at("g"), unix.O_CREAT|unix.O_WRONLY, 0o644)),
		"creating below":    errOf(unix.Open(at("dir/g"), unix.O_CREAT|unix.O_WRONLY, 0o644)),
		"O_TMPFILE":         errOf(unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR, 0o644)),
		"linking a tmpfile": unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", tmp), unix.AT_FDCWD, at("g"), unix.AT_SYMLINK_FOLLOW),
		"mkdir":             unix.Mkdir(at("d"), 0o755),
		"mknod":             unix.Mknod(at("d"), unix.S_IFIFO|0o644, 0),
		"symlink":           unix.Symlink("x", at("d")),
		"link":              unix.Link(path, at("d")),
		"link from":         unix.Link(path, filepath.Join(c.Dir, "l")),
		"link into":         unix.Link(mine, at("l")),
		"unlink":            unix.Unlink(path),
		"rmdir":             unix.Rmdir(dir),
		"rmdir of the top":  unix.Rmdir(filepath.Join(c.Dir, "place")),
		"rename within":     unix.Rename(path, at("z")),
		"rename out":        unix.Rename(path, filepath.Join(c.Dir, "z")),
		"rename into":       unix.Rename(mine, at("z")),
		"rename over":       unix.Rename(mine, path),
		"rename of the top": unix.Rename(filepath.Join(c.Dir, "place"), filepath.Join(c.Dir, "z")),
		"exchange":          unix.Renameat2(unix.AT_FDCWD, mine, unix.AT_FDCWD, path, unix.RENAME_EXCHANGE),
		"chmod":             unix.Chmod(path, 0o600),
		"chmod of the top":  unix.Chmod(filepath.Join(c.Dir, "place"), 0o700),
		"chown":             unix.Chown(path, 1, 1),
		"times":             unix.Utimes(path, make([]unix.Timeval, 2)),
		"attribute":         unix.Setxattr(path, "user.a", nil, 0),
		"no attribute":      unix.Removexattr(path, "user.a"),
	} {
		if err != unix.EROFS {
			t.Errorf("%s: %v, want EROFS", what, err)
		}
	}
	reads("a", "second, longer")
	lists(3)

	// What is not there any more, or is another, is an error and no other file.
	put("c", "NEW, TOO")
	if got, err := os.ReadFile(at("c")); err == nil {
		t.Errorf("what changed outside since reads as %q", got)
	}
	check(t, os.Remove(filepath.Join(root, "a")))
	c.tell(t, "remove a")
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("a removed name: %v", err)
	}
	lists(2)
}
