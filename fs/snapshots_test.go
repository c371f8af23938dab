package fs

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/tests/tools"
)

// The moments of [pastDrive]: two in one second, of which the last counts.
var (
	hidden = time.Date(2026, 11, 20, 6, 30, 5, 100e6, time.UTC)
	first  = time.Date(2026, 11, 20, 6, 30, 5, 900e6, time.UTC)
	second = time.Date(2026, 11, 21, 18, 30, 0, 0, time.UTC)
)

// pastDrive is a drive with snapshots, and the folders that they are of, by name.
func pastDrive(t *testing.T, o mode) (c *child, folders map[string]string) {
	t.Helper()
	o.Past = t.TempDir()
	folders = map[string]string{}
	for i, at := range []time.Time{hidden, first, second} {
		dir := filepath.Join(o.Past, at.Format(momentFolder))
		check(t, os.Mkdir(dir, 0o755))
		if got := script(dir, fmt.Sprintf(pastScript, i)); got != "(<nil>)" {
			t.Fatal(got)
		}
		folders[at.Format(SnapshotName)] = dir
	}
	c = mounted(t, o)
	check(t, os.WriteFile(filepath.Join(c.Dir, "now"), []byte("now"), 0o644))
	return c, folders
}

// pastScript fills the folder of a moment.
const pastScript = `mkdir -p "Jean Sibelius/Op. %d" empty; cd Jean*; op=$(echo Op*); seq 1 30000 >f; ln f "$op/g"; ln -s ../f "$op/l"; mkfifo p
setfattr -n user.x -v y f; setfattr -n user.d -v e "$op"; chmod 4640 f; chmod 1750 "$op"; head -c 300000 /dev/urandom >sound.flac
truncate -s 4M holes; printf end >>holes; touch -hd '2001-02-03 04:05:06.123456789 UTC' Op*/l f; touch -d 1969-01-01 . p Op* ../empty; chmod 711 .. `

// TestSnapshots: each is the folder that it is of, to the last attribute, and is
// entered by name only.
func TestSnapshots(t *testing.T) {
	c, folders := pastDrive(t, mode{})
	at := func(p ...string) string { return filepath.Join(append([]string{c.Dir, SnapshotsDir}, p...)...) }
	for name, dir := range folders {
		tools.SameTree(t, dir, at(name))
		var want, got unix.Stat_t
		check(t, unix.Stat(dir, &want), unix.Stat(at(name), &got))
		if got.Mode != want.Mode || got.Mtim != want.Mtim || got.Nlink != want.Nlink {
			t.Errorf("%s itself: %+v, want %+v", name, got, want)
		}
	}
	names := func(dir string) (all []string) {
		list, err := os.ReadDir(dir)
		check(t, err)
		for _, e := range list {
			all = append(all, e.Name())
		}
		return all
	}
	if got := names(c.Dir); !slices.Equal(got, []string{"now"}) {
		t.Errorf("the root lists %q", got)
	}
	want := []string{"2026-11-20T063005Z", "2026-11-21T183000Z"}
	if got := names(at()); !slices.Equal(got, want) {
		t.Errorf("snapshots: %q, want %q", got, want)
	}
	var st unix.Stat_t
	check(t, unix.Stat(at(), &st))
	if st.Mode != unix.S_IFDIR|0o555 {
		t.Errorf("the folder of the snapshots: %+v", st)
	}
	for _, name := range []string{
		"2026-11-21T183001Z", "2026-11-21T182959Z", "2026-11-20T063005.9Z", "2026-11-20T063005", "2026-11-20T063005+00:00",
		"2026-11-20t063005z", "2025-01-01T000000Z", "2026-11-31T183000Z", "x", strings.Repeat("x", 200), want[0] + "/no such", "now",
	} {
		if _, err := os.Lstat(at(name)); !os.IsNotExist(err) {
			t.Errorf("%s: %v, want that it is not there", name, err)
		}
	}
	if err := unix.Lstat(at(want[0], strings.Repeat("x", 256)), &st); err != unix.ENAMETOOLONG {
		t.Errorf("a name of 256 bytes: %v", err)
	}
	// A new one is seen at once.
	dir := filepath.Join(c.Past, second.Add(time.Minute).Format(momentFolder))
	check(t, os.Mkdir(dir, 0o755))
	if got := names(at()); len(got) != 3 {
		t.Errorf("after another: %q", got)
	}
	// Of which more is known later is looked at anew.
	if _, err := os.Lstat(at(want[1], "late")); !os.IsNotExist(err) {
		t.Fatal(err)
	}
	check(t, os.WriteFile(filepath.Join(folders[want[1]], "late"), nil, 0o644))
	time.Sleep(brief + 50*time.Millisecond)
	if _, err := os.Lstat(at(want[1], "late")); err != nil {
		t.Errorf("what came late: %v", err)
	}
	// One that goes is gone, once the kernel asks again.
	check(t, os.Rename(dir, filepath.Join(t.TempDir(), "away")))
	time.Sleep(brief + 50*time.Millisecond)
	if _, err := os.Lstat(at(second.Add(time.Minute).Format(SnapshotName))); !os.IsNotExist(err) {
		t.Errorf("a snapshot that went: %v", err)
	}
}

// What walks the drive does not walk in, what names a snapshot does.
func TestNobodyWalksIntoSnapshots(t *testing.T) {
	c, folders := pastDrive(t, mode{})
	to := t.TempDir()
	got := script(c.Dir, `cp -a . `+to+`; diff -r . `+to+`; find . -xdev; find .snapshots -maxdepth 1 | sort; du -ax . | wc -l; tar c . | tar t; ls -A; rm -rf .[!.]* *`)
	want := ".\n./now\n.snapshots\n.snapshots/2026-11-20T063005Z\n.snapshots/2026-11-21T183000Z\n2\n./\n./now\nnow\n(<nil>)"
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	for name, dir := range folders {
		out := t.TempDir()
		got := script(c.Dir, `cd .snapshots; tar c `+name+` | tar xp --warning=no-timestamp --xattrs -C `+out+`; cp -a `+name+`/Jean*/sound.flac `+out)
		if got != "(<nil>)" {
			t.Error(got)
		}
		for _, f := range []string{"f", "Op. 1/g", "Op. 2/g"} {
			a, _ := os.ReadFile(filepath.Join(dir, "Jean Sibelius", f))
			b, _ := os.ReadFile(filepath.Join(out, name, "Jean Sibelius", f))
			if string(a) != string(b) {
				t.Errorf("%s of %s out of a tar: %d bytes, want %d", f, name, len(b), len(a))
			}
		}
	}
}

// TestShowSnapshots: with the option the root lists them.
func TestShowSnapshots(t *testing.T) {
	c, _ := pastDrive(t, mode{ShowSnapshots: true})
	for range 2 { // the kernel keeps the second
		got := script(c.Dir, `ls -A; ls -ld .snapshots | cut -c-10; find . -maxdepth 2 | sort`)
		want := "now\n.snapshots\ndr-xr-xr-x\n.\n./now\n./.snapshots\n./.snapshots/2026-11-20T063005Z\n./.snapshots/2026-11-21T183000Z\n(<nil>)"
		if sorted(got) != sorted(want) {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	}
}

func sorted(lines string) string {
	list := strings.Split(lines, "\n")
	slices.Sort(list)
	return strings.Join(list, "\n")
}

// TestSnapshotsAreReadOnly: every change is EROFS, and the name is taken.
func TestSnapshotsAreReadOnly(t *testing.T) {
	c, folders := pastDrive(t, mode{})
	name := second.Format(SnapshotName)
	snap := filepath.Join(c.Dir, SnapshotsDir, name)
	at := func(n string) string { return filepath.Join(snap, "Jean Sibelius", n) }
	mine, top := filepath.Join(c.Dir, "now"), filepath.Join(c.Dir, SnapshotsDir)
	dir := filepath.Join(c.Dir, "dir")
	check(t, os.Mkdir(dir, 0o755))
	path := at("f")
	for what, err := range map[string]error{
		"writing":            errOf(unix.Open(path, unix.O_RDWR, 0)),
		"appending":          errOf(unix.Open(path, unix.O_WRONLY|unix.O_APPEND, 0)),
		"O_TRUNC":            errOf(unix.Open(path, unix.O_RDONLY|unix.O_TRUNC, 0)),
		"truncate":           unix.Truncate(path, 0),
		"creating":           errOf(unix.Open(at("n"), unix.O_CREAT|unix.O_WRONLY, 0o644)),
		"O_TMPFILE":          errOf(unix.Open(at(""), unix.O_TMPFILE|unix.O_RDWR, 0o644)),
		"mkdir":              unix.Mkdir(at("n"), 0o755),
		"mknod":              unix.Mknod(at("n"), unix.S_IFIFO|0o644, 0),
		"symlink":            unix.Symlink("x", at("n")),
		"link":               unix.Link(path, at("n")),
		"link out":           unix.Link(path, filepath.Join(c.Dir, "l")),
		"link into":          unix.Link(mine, at("n")),
		"unlink":             unix.Unlink(path),
		"rmdir":              unix.Rmdir(filepath.Join(snap, "empty")),
		"rename":             unix.Rename(path, at("n")),
		"rename out":         unix.Rename(path, filepath.Join(c.Dir, "n")),
		"rename into":        unix.Rename(mine, at("n")),
		"rename over":        unix.Rename(mine, path),
		"exchange":           unix.Renameat2(unix.AT_FDCWD, mine, unix.AT_FDCWD, path, unix.RENAME_EXCHANGE),
		"chmod":              unix.Chmod(path, 0o600),
		"chown":              unix.Chown(path, 1, 1),
		"times":              unix.Utimes(path, make([]unix.Timeval, 2)),
		"attribute":          unix.Setxattr(path, "user.a", nil, 0),
		"no attribute":       unix.Removexattr(path, "user.x"),
		"a snapshot":         unix.Mkdir(filepath.Join(top, "2026-11-22T000000Z"), 0o755),
		"removing one":       unix.Rmdir(snap),
		"renaming one":       unix.Rename(snap, filepath.Join(top, "n")),
		"moving one":         unix.Rename(snap, filepath.Join(c.Dir, "n")),
		"chmod of one":       unix.Chmod(snap, 0o700),
		"removing all":       unix.Rmdir(top),
		"renaming all":       unix.Rename(top, filepath.Join(c.Dir, "n")),
		"a folder over all":  unix.Rename(dir, top),
		"exchanging all":     unix.Renameat2(unix.AT_FDCWD, dir, unix.AT_FDCWD, top, unix.RENAME_EXCHANGE),
		"chmod of all":       unix.Chmod(top, 0o700),
		"an attribute of it": unix.Setxattr(top, "user.a", nil, 0),
	} {
		if err != unix.EROFS {
			t.Errorf("%s: %v, want EROFS", what, err)
		}
	}
	for what, err := range map[string]error{
		"mkdir of it":   unix.Mkdir(top, 0o755),
		"symlink of it": unix.Symlink("x", top),
		"link of it":    unix.Link(mine, top),
		"mknod of it":   unix.Mknod(top, unix.S_IFREG|0o644, 0),
	} {
		if err != unix.EEXIST {
			t.Errorf("%s: %v, want EEXIST", what, err)
		}
	}
	if err := errOf(unix.Open(top, unix.O_CREAT|unix.O_WRONLY, 0o644)); err != unix.EISDIR {
		t.Errorf("creating it: %v, want EISDIR", err)
	}
	if err := unix.Rename(mine, top); err != unix.EISDIR {
		t.Errorf("a file over it: %v, want EISDIR", err)
	}
	// Elsewhere it is a name like any other.
	check(t, os.Mkdir(filepath.Join(dir, SnapshotsDir), 0o755), os.Remove(filepath.Join(dir, SnapshotsDir)))
	tools.SameTree(t, folders[name], snap)
}

// What the drive has of that name itself is not hidden, and as free as anything.
func TestSnapshotsNameTaken(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	c := mounted(t, mode{Home: home})
	own := filepath.Join(c.Dir, SnapshotsDir)
	check(t, os.Mkdir(own, 0o755), os.WriteFile(filepath.Join(own, "mine"), []byte("mine"), 0o644))
	check(t, c.stop())

	c, _ = pastDrive(t, mode{Home: home, ShowSnapshots: true})
	own = filepath.Join(c.Dir, SnapshotsDir)
	if got, err := os.ReadFile(filepath.Join(own, "mine")); err != nil || string(got) != "mine" {
		t.Errorf("%q, %v", got, err)
	}
	if got := script(c.Dir, "ls -A"); got != "now\n.snapshots\n(<nil>)" && got != ".snapshots\nnow\n(<nil>)" {
		t.Errorf("the root lists %s", got)
	}
	if _, err := os.Lstat(filepath.Join(own, second.Format(SnapshotName))); !os.IsNotExist(err) {
		t.Errorf("a snapshot in a folder of ours: %v", err)
	}
	check(t, os.WriteFile(filepath.Join(own, "more"), nil, 0o644), os.Rename(own, filepath.Join(c.Dir, "renamed")))
	if _, err := os.Lstat(filepath.Join(own, second.Format(SnapshotName))); err != nil {
		t.Errorf("once it is renamed: %v", err)
	}
	c.tell(t, "unmount")
	check(t, c.stop())
	if log := c.log.String(); strings.Count(log, "hides its snapshots") != 1 {
		t.Errorf("the log says:\n%s", log)
	}
}

// Inode numbers tell hard links of one snapshot, and never mix those of two.
func TestSnapshotInodes(t *testing.T) {
	c, folders := pastDrive(t, mode{})
	seen := map[uint64]string{}
	for name := range folders {
		dir := filepath.Join(c.Dir, SnapshotsDir, name)
		var f, g unix.Stat_t
		jean := filepath.Join(dir, "Jean Sibelius")
		check(t, unix.Stat(filepath.Join(jean, "f"), &f), unix.Stat(glob(t, jean, "Op*/g"), &g))
		if f.Ino != g.Ino || f.Nlink != 2 {
			t.Errorf("%s: two names of a file are inodes %x and %x, of %d links", name, f.Ino, g.Ino, f.Nlink)
		}
		check(t, filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			var st unix.Stat_t
			err = unix.Lstat(p, &st)
			if other := seen[st.Ino]; other != "" && filepath.Base(p) != "g" && filepath.Base(p) != "f" {
				t.Errorf("%s and %s have one inode number", p, other)
			}
			if other := seen[st.Ino]; other != "" && !strings.Contains(other, name) {
				t.Errorf("%s and %s have one inode number", p, other)
			}
			seen[st.Ino] = p
			return err
		}))
		// What a listing says is what stat says, also of "." and "..".
		got := script(jean, `stat -c %i . .. f p; ls -aiU | awk '$2 ~ /^([.]+|f|p)$/ {print $2, $1}' | sort | cut -d" " -f2`)
		lines := strings.Split(got, "\n")
		if len(lines) != 9 || !slices.Equal(lines[:4], lines[4:8]) {
			t.Error(got)
		}
	}
	var a, b unix.Stat_t
	for name := range folders {
		a, b = b, a
		check(t, unix.Stat(filepath.Join(c.Dir, SnapshotsDir, name, "empty"), &b))
	}
	if a.Ino == b.Ino || a.Dev != b.Dev {
		t.Errorf("%+v and %+v", a, b)
	}
}

func glob(t *testing.T, dir, pattern string) string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(all) != 1 {
		t.Fatalf("%s: %q, %v", pattern, all, err)
	}
	return all[0]
}

// TestSnapshotReads: by every way of reading.
func TestSnapshotReads(t *testing.T) {
	c, folders := pastDrive(t, mode{})
	name := second.Format(SnapshotName)
	dir, jean := folders[name], filepath.Join(c.Dir, SnapshotsDir, name, "Jean Sibelius")
	for _, file := range []string{"f", "sound.flac", "holes"} {
		want, err := os.ReadFile(filepath.Join(dir, "Jean Sibelius", file))
		check(t, err)
		f, err := os.Open(filepath.Join(jean, file))
		check(t, err)
		defer f.Close()
		for _, how := range []int{unix.MAP_PRIVATE, unix.MAP_SHARED} {
			m, err := unix.Mmap(int(f.Fd()), 0, len(want), unix.PROT_READ, how)
			check(t, err)
			if string(m) != string(want) {
				t.Errorf("%s mapped with %#x: other bytes", file, how)
			}
			check(t, unix.Munmap(m))
		}
		if got := sendfile(t, f, len(want)); got != string(want) {
			t.Errorf("%s by sendfile: other bytes", file)
		}
		to := create(t, filepath.Join(c.Dir, "copy"))
		check(t, to.Truncate(0))
		for off := int64(0); off < int64(len(want)); {
			n, err := unix.CopyFileRange(int(f.Fd()), &off, int(to.Fd()), nil, 1<<20, 0)
			if check(t, err); n == 0 {
				break
			}
		}
		check(t, to.Close())
		if got, err := os.ReadFile(to.Name()); err != nil || string(got) != string(want) {
			t.Errorf("%s by copy_file_range: %d bytes, %v", file, len(got), err)
		}
	}
	f, err := os.Open(filepath.Join(jean, "holes"))
	check(t, err)
	defer f.Close()
	if at, err := unix.Seek(int(f.Fd()), 0, unix.SEEK_DATA); err != nil || at != 4<<20 {
		t.Errorf("data begin at %d, %v", at, err)
	}
	if at, err := unix.Seek(int(f.Fd()), 0, unix.SEEK_HOLE); err != nil || at != 0 {
		t.Errorf("a hole begins at %d, %v", at, err)
	}
	if _, err := unix.Seek(int(f.Fd()), 5<<20, unix.SEEK_DATA); err != unix.ENXIO {
		t.Errorf("behind the end: %v", err)
	}
	check(t, f.Sync(), unix.Access(jean+"/f", unix.R_OK))
	var sf unix.Statfs_t
	check(t, unix.Statfs(jean, &sf))
	if sf.Blocks == 0 {
		t.Error("statfs tells of no disk")
	}
	d, err := os.Open(jean)
	check(t, err)
	check(t, d.Sync(), d.Close())
}

func sendfile(t *testing.T, f *os.File, n int) string {
	t.Helper()
	out := create(t, filepath.Join(t.TempDir(), "out"))
	defer out.Close()
	var off int64
	for off < int64(n) {
		k, err := unix.Sendfile(int(out.Fd()), int(f.Fd()), &off, n)
		if check(t, err); k == 0 {
			break
		}
	}
	got, err := os.ReadFile(out.Name())
	check(t, err)
	return string(got)
}

// Of sound no byte is asked for that the program did not ask for; of what is no
// sound the kernel keeps the pages.
func TestSnapshotPages(t *testing.T) {
	c, _ := pastDrive(t, mode{})
	jean := filepath.Join(c.Dir, SnapshotsDir, second.Format(SnapshotName), "Jean Sibelius")
	f, err := os.Open(filepath.Join(jean, "sound.flac"))
	check(t, err)
	defer f.Close()
	for _, at := range []int64{0, 100, 1000, 299_000} {
		readAt(t, f, at, 100)
	}
	for range 5 {
		if _, err := os.ReadFile(filepath.Join(jean, "f")); err != nil {
			t.Fatal(err)
		}
	}
	var sound, other int64
	_, err = fmt.Sscanf(c.ask(t, "asked"), "error: %d %d", &sound, &other)
	if err != nil || sound != 400 || other > 300_000 {
		t.Errorf("asked for %d bytes of sound and %d of others, %v", sound, other, err)
	}
}

// TestSnapshotIsLost: bytes that are nowhere any more are an error, told once.
func TestSnapshotIsLost(t *testing.T) {
	c, folders := pastDrive(t, mode{})
	for name, dir := range folders {
		check(t, os.WriteFile(filepath.Join(dir, "Jean Sibelius", "gone"), []byte("lost"), 0o644))
		for range 3 {
			_, err := os.ReadFile(filepath.Join(c.Dir, SnapshotsDir, name, "Jean Sibelius", "gone"))
			if !strings.Contains(fmt.Sprint(err), unix.EIO.Error()) {
				t.Errorf("%v, want EIO", err)
			}
		}
	}
	c.tell(t, "unmount")
	check(t, c.stop())
	for name := range folders {
		if want := `path="` + SnapshotsDir + "/" + name + `/Jean Sibelius/gone"`; strings.Count(c.log.String(), want) != 1 {
			t.Errorf("the log does not say %s once:\n%s", want, c.log.String())
		}
	}
}

// The table of what the kernel knows is bounded, and nobody who is in a snapshot
// notices.
func TestSnapshotsForgotten(t *testing.T) {
	c, folders := pastDrive(t, mode{})
	const files = 2000
	for _, dir := range folders {
		check(t, os.Mkdir(filepath.Join(dir, "many"), 0o755))
		for i := range files {
			check(t, os.WriteFile(filepath.Join(dir, "many", strconv.Itoa(i)), nil, 0o644))
		}
	}
	nodes := func() int {
		n, err := strconv.Atoi(strings.TrimPrefix(c.ask(t, "past-nodes"), "error: "))
		check(t, err)
		return n
	}
	walk := func() {
		if out, err := exec.Command("find", filepath.Join(c.Dir, SnapshotsDir), "-size", "+100").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	walk()
	if n := nodes(); n < 2*files {
		t.Fatalf("the kernel knows %d", n)
	}
	name := second.Format(SnapshotName)
	inside, err := os.Open(filepath.Join(c.Dir, SnapshotsDir, name, "Jean Sibelius"))
	check(t, err)
	defer inside.Close()
	c.tell(t, "past-most 1000")
	for begun := time.Now(); nodes() > 1000; time.Sleep(50 * time.Millisecond) {
		if time.Since(begun) > 2*time.Minute {
			t.Fatalf("the kernel still knows %d", nodes())
		}
		many := filepath.Join(c.Dir, SnapshotsDir, first.Format(SnapshotName), "many")
		_, err := os.Lstat(filepath.Join(many, strconv.Itoa(rand.IntN(files))))
		check(t, err)
	}
	var st unix.Stat_t
	check(t, unix.Fstatat(int(inside.Fd()), "f", &st, 0))
	check(t, unix.Fstatat(int(inside.Fd()), "../empty", &st, 0))
	walk()
	check(t, inside.Close())
	c.tell(t, "unmount")
}
