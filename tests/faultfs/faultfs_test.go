package faultfs_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/faultfs"
)

// rig is a disk that is mounted anew after each power loss.
type rig struct {
	testing.TB
	disk *faultfs.Disk
	m    *faultfs.Mounted
	dir  string
}

func newRig(t testing.TB) *rig {
	drive.NeedFUSE(t)
	r := &rig{TB: t, disk: faultfs.New(), dir: t.TempDir()}
	r.mount()
	t.Cleanup(func() {
		if err := r.m.Unmount(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *rig) mount() {
	r.Helper()
	var err error
	if r.m, err = r.disk.Mount(r.dir); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) lose(l faultfs.Loss) {
	r.Helper()
	r.m.Cut(l)
	if _, err := os.ReadDir(r.dir); !errors.Is(err, syscall.EIO) {
		r.Fatalf("without power: %v, want EIO", err)
	}
	if err := r.m.Unmount(); err != nil {
		r.Fatal(err)
	}
	r.mount()
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

// write writes a file, and syncs it if so asked.
func (r *rig) write(name, text string, sync bool) {
	r.Helper()
	f, err := os.Create(r.path(name))
	r.must(err)
	_, err = f.WriteString(text)
	r.must(err)
	if sync {
		r.must(f.Sync())
	}
	r.must(f.Close())
}

func (r *rig) sync(name string) {
	r.Helper()
	f, err := os.Open(r.path(name))
	r.must(err)
	r.must(f.Sync())
	r.must(f.Close())
}

// want compares a file; "-" is one that is not there.
func (r *rig) want(name, want string) {
	r.Helper()
	got, err := os.ReadFile(r.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		got, err = []byte("-"), nil
	}
	r.must(err)
	if string(got) != want {
		r.Errorf("%s: %.40q (%d bytes), want %.40q (%d bytes)", name, got, len(got), want, len(want))
	}
}

// TestForgets: what was synced is there, and nothing else.
func TestForgets(t *testing.T) {
	r := newRig(t)
	r.must(os.Mkdir(r.path("d"), 0o755))
	r.write("d/a", "one", true)
	r.write("nameless", "one", true) // its name is not synced
	r.sync("d")
	r.write("d/b", "bytes not synced", false)
	r.sync("d")
	r.sync("")
	r.write("d/a", "two", false)
	r.write("d/new", "two", true)
	r.must(os.Rename(r.path("d/b"), r.path("moved")))
	r.want("d/a", "two")
	r.want("moved", "bytes not synced")
	r.lose(faultfs.Loss{})
	r.want("d/a", "one")
	r.want("d/b", "")
	r.want("d/new", "-")
	r.want("moved", "-")
	r.want("nameless", "one") // the sync of the top folder came after
	r.must(os.Rename(r.path("d/a"), r.path("d/b")))
	r.sync("d")
	r.must(os.Truncate(r.path("d/b"), 1))
	r.must(os.Remove(r.path("nameless")))
	r.lose(faultfs.Loss{})
	r.want("d/a", "-")
	r.want("d/b", "one")
	r.want("nameless", "one")
}

// TestMayKeep: under a random loss a synced byte is always there, and each page
// that was not is old, new or zeros; over many losses all of it happens.
func TestMayKeep(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		r := newRig(t)
		rng := rand.New(rand.NewPCG(1, 2))
		seen := map[string]int{}
		for range 150 {
			page := func(c string) string { return strings.Repeat(c, 4096) }
			r.write("f", page("a")+page("b"), true)
			r.write("gone", "", false)
			r.sync("")
			f, err := os.OpenFile(r.path("f"), os.O_WRONLY, 0)
			r.must(err)
			_, err = f.WriteAt([]byte(page("B")+page("C")), 4096)
			r.must(errors.Join(err, f.Close()))
			r.must(os.Remove(r.path("gone")))
			r.write("new", "", false)
			r.lose(faultfs.Loss{Rand: rng, Ordered: ordered})
			got, err := os.ReadFile(r.path("f"))
			r.must(err)
			if !bytes.HasPrefix(got, []byte(page("a"))) {
				t.Fatal("a synced page is lost")
			}
			var sum string
			for p := got; len(p) > 0; p = p[4096:] {
				sum += string(p[0])
			}
			seen[sum]++
			for _, name := range []string{"gone", "new"} {
				_, err := os.Stat(r.path(name))
				sum = name + map[bool]string{true: " is there", false: " is not"}[err == nil]
				seen[sum]++
			}
			os.Remove(r.path("new"))
		}
		for _, want := range []string{"ab", "aB", "abC", "aBC", "ab\x00", "aB\x00", "gone is there", "gone is not", "new is there", "new is not"} {
			if seen[want] == 0 {
				t.Errorf("ordered %v: never %q, but %v", ordered, want, seen)
			}
		}
	}
}

// TestFails: chosen calls fail, and a failed fsync makes the next one a lie.
func TestFails(t *testing.T) {
	r := newRig(t)
	r.write("f", "old", true)
	r.sync("")
	f, err := os.OpenFile(r.path("f"), os.O_RDWR, 0)
	r.must(err)
	defer f.Close()
	_, err = f.WriteAt([]byte("new"), 0)
	r.must(err)
	r.disk.Fail(faultfs.Fault{Ops: []string{"fsync"}, Path: "f", From: 1, Times: 1, Errno: syscall.EIO})
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("fsync: %v, want EIO", err)
	}
	r.must(f.Sync())
	r.disk.Fail(faultfs.Fault{Ops: []string{"write"}, From: 2, Times: 1, Errno: syscall.ENOSPC, Short: true})
	for i, want := range []int{6, 3} {
		if n, err := unix.Pwrite(int(f.Fd()), []byte("longer"), 0); n != want {
			t.Errorf("write %d: %d, %v, want %d", i+1, n, err, want)
		}
	}
	r.disk.Fail(faultfs.Fault{Ops: []string{"mkdir"}, Errno: syscall.EROFS})
	for range 2 {
		if err := os.Mkdir(r.path("d"), 0o755); !errors.Is(err, syscall.EROFS) {
			t.Errorf("mkdir: %v, want EROFS", err)
		}
	}
	if failed := r.disk.Heal(); len(failed) != 4 {
		t.Errorf("%q failed, want 4", failed)
	}
	r.must(os.Mkdir(r.path("d"), 0o755))
	r.disk.SetSpace(0, 0)
	var st unix.Statfs_t
	if err := unix.Statfs(r.dir, &st); err != nil || st.Blocks != 0 {
		t.Errorf("statfs: %d blocks, %v", st.Blocks, err)
	}
	r.lose(faultfs.Loss{})
	r.want("f", "old")
}

// TestSyncfsDoesNotArrive holds the fact that the drive's own syncing is built on.
func TestSyncfsDoesNotArrive(t *testing.T) {
	r := newRig(t)
	r.write("f", "bytes", false)
	d, err := os.Open(r.dir)
	r.must(err)
	r.sync("")
	r.must(unix.Syncfs(int(d.Fd())))
	r.must(d.Close())
	r.lose(faultfs.Loss{})
	r.want("f", "")
}
