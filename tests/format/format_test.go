// Package format_test holds the repository format to its text: what the program
// writes, tests/restore.py restores, which knows the format from FORMAT.md
// alone; and the repositories that are kept of each version of the format are
// restored by both.
package format_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/musiclib"
	"github.com/tunesafe/tunesafe/tests/tools"
)

func TestMain(m *testing.M) { os.Exit(drive.Main(m)) }

const script = "../restore.py"

// A fixture is a folder of ../testdata: the objects in bucket, the key, and
// what must come back.
var fixtures = []string{"format1", "format1-checkpoint", "format1-fed", "format1-mixed", "format1-slices"}

// TestScriptRestoresFixtures: FORMAT.md is enough to get everything back.
func TestScriptRestoresFixtures(t *testing.T) {
	for _, name := range fixtures {
		t.Run(name, func(t *testing.T) {
			dest := destination(t)
			if out, err := restore(t, fixture(name, "bucket"), fixture(name, "recovery.key"), dest); err != nil {
				t.Fatalf("restore.py: %v\n%s", err, out)
			}
			compare(t, name, dest)
		})
	}
}

// TestProgramRestoresFixtures: what was ever written stays readable.
func TestProgramRestoresFixtures(t *testing.T) {
	for _, name := range fixtures {
		t.Run(name, func(t *testing.T) {
			dest, store := destination(t), t.TempDir()
			copyTree(t, fixture(name, "bucket"), filepath.Join(store, "tunesafe"))
			home := filepath.Join(t.TempDir(), "home")
			tunesafe(t, home, "init", "--store-dir", store, "--recovery-key", fixture(name, "recovery.key"))
			tunesafe(t, home, "restore", "/", dest)
			compare(t, name, dest)
		})
	}
}

// TestScriptRefusesDamage changes or takes away one object at a time. The script
// must say so, and must not give out another byte for what was there.
func TestScriptRefusesDamage(t *testing.T) {
	const name = "format1"
	key := fixture(name, "recovery.key")
	want := manifest(t, name)
	for _, tt := range []struct {
		object string // a pattern below the bucket, of which the first is taken
		change func(path string) error
		says   string
		whole  bool // everything else is restored
	}{
		{"audio/*/*", flip, "is damaged", true},
		{"meta/*/*", flip, "is damaged", true},
		{"audio/*/*", os.Remove, "no object that is there holds blob", true},
		{"log/*/0000000000000003-*", flip, "is damaged", false},
		{"log/*/0000000000000003-*", os.Remove, "commit 3 of", false},
		{"devices/*", os.Remove, "has no certificate", false},
		{"keys/recovery.age", flip, "does not open", false},
	} {
		t.Run(tt.object+" "+tt.says, func(t *testing.T) {
			bucket, dest := filepath.Join(t.TempDir(), "bucket"), destination(t)
			copyTree(t, fixture(name, "bucket"), bucket)
			objects, err := filepath.Glob(filepath.Join(bucket, tt.object))
			if err != nil || len(objects) == 0 {
				t.Fatalf("no %s: %v", tt.object, err)
			}
			if err := tt.change(objects[0]); err != nil {
				t.Fatal(err)
			}
			out, err := restore(t, bucket, key, dest)
			if code := exitCode(err); code != 1 || !strings.Contains(out, tt.says) {
				t.Errorf("exit code %d, and not a word of %q:\n%s", code, tt.says, out)
			}
			got := read(t, dest)
			if tt.whole == (len(got) == 0) || len(got) >= len(want) {
				t.Errorf("%d of %d entries are restored", len(got), len(want))
			}
			for path, e := range got {
				if e.SHA256 != want[path].SHA256 {
					t.Errorf("%q is restored with other bytes than it had", path)
				}
			}
		})
	}
}

// TestRoundTrip writes a repository with the program of today, through the
// drive, and gets the same tree back both ways.
func TestRoundTrip(t *testing.T) {
	drive.NeedFUSE(t)
	tools.Need(t, append([]string{tools.Mutagen, "cp", "age", "zstd", "python3"}, musiclib.Tools...)...)
	needXattrs(t)
	base := t.TempDir()
	home, store, lib := filepath.Join(base, "home"), filepath.Join(base, "store"), filepath.Join(base, "lib")
	mount := filepath.Join(base, "drive")
	if err := errors.Join(os.Mkdir(mount, 0o755), os.Mkdir(lib, 0o755)); err != nil {
		t.Fatal(err)
	}
	_, err := musiclib.Make(t.Context(), lib, musiclib.Options{
		Albums: 2, TracksPerAlbum: 12, TotalBytes: 8e6, ArtBytes: [2]int{8e3, 20e3}, Seed: 1, Xattrs: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	oddities(t, lib)

	tunesafe(t, home, "init", "--store-dir", store)
	tunesafe(t, home, "mount", mount)
	t.Cleanup(func() {
		if t.Failed() { // else it is unmounted already
			_ = exec.Command("fusermount3", "-u", "-z", mount).Run()
		}
	})
	copyTree(t, lib, mount)
	tunesafe(t, home, "wait")
	for _, root := range []string{lib, mount} {
		if err := os.RemoveAll(filepath.Join(root, "gone")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(root, "moves"), filepath.Join(root, "moved")); err != nil {
			t.Fatal(err)
		}
	}
	tools.Retag(t, mount, tools.RetagOptions{To: "Someone Else", Limit: 12})
	tunesafe(t, home, "wait")
	copied := filepath.Join(base, "copied")
	copyTree(t, mount, copied)
	tunesafe(t, home, "unmount", "--wait", mount)

	key := filepath.Join(home, "recovery.key")
	byScript, byProgram := destination(t), destination(t)
	if out, err := restore(t, filepath.Join(store, "tunesafe"), key, byScript); err != nil {
		t.Fatalf("restore.py: %v\n%s", err, out)
	}
	tools.SameTree(t, copied, byScript)
	other := filepath.Join(base, "other")
	tunesafe(t, other, "init", "--store-dir", store, "--recovery-key", key)
	tunesafe(t, other, "restore", "/", byProgram)
	tools.SameTree(t, copied, byProgram)
}

// oddities adds what a music library rarely has and must not lose.
func oddities(t *testing.T, root string) {
	t.Helper()
	at := func(name string) string { return filepath.Join(root, name) }
	err := errors.Join(
		os.MkdirAll(at("gone/deep"), 0o755),
		os.WriteFile(at("gone/deep/file"), []byte("gone"), 0o644),
		os.MkdirAll(at("moves/empty"), 0o700),
		os.WriteFile(at("moves/not \xff UTF-8"), []byte("x"), 0o600),
		os.WriteFile(at("moves/two\nlines"), nil, 0o4755),
		os.WriteFile(at("zeros"), make([]byte, 300<<10), 0o444),
		os.Link(at("zeros"), at("moves/hard link")),
		os.Symlink("moves/not \xff UTF-8", at("symlink")),
		unix.Mkfifo(at("fifo"), 0o600),
		unix.Setxattr(at("moves"), "user.\xff", []byte{0, 0xff}, 0),
	)
	if err != nil {
		t.Fatal(err)
	}
}

func fixture(name, file string) string { return filepath.Join("../testdata", name, file) }

// destination is the path of a folder that is yet to be made, where it can hold
// everything that a fixture has.
func destination(t *testing.T) string {
	t.Helper()
	needXattrs(t)
	return filepath.Join(t.TempDir(), "restored")
}

// restore runs the script.
func restore(t *testing.T, args ...string) (string, error) {
	t.Helper()
	python := tools.Need(t, "python3", "age", "zstd")[0]
	out, err := exec.CommandContext(t.Context(), python, append([]string{script}, args...)...).CombinedOutput()
	return string(out), err
}

// tunesafe runs the program, which must succeed.
func tunesafe(t *testing.T, home string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), drive.Program(t), append([]string{"--home", home}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("tunesafe %q: %v\n%s", args, err, out)
	}
}

func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

// needXattrs skips the test where temporary files can have no user attributes.
func needXattrs(t *testing.T) {
	t.Helper()
	if err := unix.Setxattr(t.TempDir(), "user.test", nil, 0); err != nil {
		t.Skip("temporary files can have no extended attributes:", err)
	}
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "cp", "-a", "-T", from, to).CombinedOutput()
	if err != nil {
		t.Fatalf("cp: %v\n%s", err, out)
	}
}

// flip changes a byte in the middle of a file.
func flip(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	b[len(b)/2] ^= 1
	return os.WriteFile(path, b, 0o644)
}

// entry is what MANIFEST.json says of a path. There, a path, a target and the
// name of an attribute are escaped as in a URL.
type entry struct {
	Type   string            `json:"type"`
	Mode   string            `json:"mode,omitempty"` // octal; none of a symlink
	Mtime  int64             `json:"mtime_ns"`
	Size   int64             `json:"size,omitempty"`
	SHA256 string            `json:"sha256,omitempty"`
	Link   string            `json:"link,omitempty"` // the first path of the same file
	Target string            `json:"target,omitempty"`
	Xattrs map[string][]byte `json:"xattrs,omitempty"`
}

func manifest(t *testing.T, name string) map[string]entry {
	t.Helper()
	b, err := os.ReadFile(fixture(name, "MANIFEST.json"))
	if err != nil {
		t.Fatal(err)
	}
	var escaped map[string]entry
	if err := json.Unmarshal(b, &escaped); err != nil {
		t.Fatal(err)
	}
	plain := func(s string) string {
		s, err := url.PathUnescape(s)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	m := map[string]entry{}
	for path, e := range escaped {
		e.Link, e.Target = plain(e.Link), plain(e.Target)
		xattrs := map[string][]byte{}
		for name, value := range e.Xattrs {
			xattrs[plain(name)] = value
		}
		e.Xattrs = xattrs
		m[plain(path)] = e
	}
	return m
}

// compare fails the test if dir is not what the manifest of a fixture says.
func compare(t *testing.T, name, dir string) {
	t.Helper()
	if d := cmp.Diff(manifest(t, name), read(t, dir)); d != "" {
		t.Errorf("restored (-want +got):\n%s", d)
	}
}

// read describes everything below dir; nothing if there is no dir.
func read(t *testing.T, dir string) map[string]entry {
	t.Helper()
	tree, firsts := map[string]entry{}, map[uint64]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if path == dir {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		rel := strings.TrimPrefix(path, dir+"/")
		var st unix.Stat_t
		if err := errors.Join(err, unix.Lstat(path, &st)); err != nil {
			return err
		}
		e := entry{Mtime: st.Mtim.Nano(), Mode: fmt.Sprintf("%04o", st.Mode&0o7777), Xattrs: xattrs(path)}
		switch d.Type() {
		case 0:
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(b)
			e.Type, e.Size, e.SHA256 = "file", st.Size, hex.EncodeToString(sum[:])
			if e.Link = firsts[st.Ino]; e.Link == "" {
				firsts[st.Ino] = rel
			}
		case fs.ModeDir:
			e.Type = "dir"
		case fs.ModeNamedPipe:
			e.Type = "fifo"
		case fs.ModeSymlink:
			e.Type, e.Mode = "symlink", ""
			e.Target, err = os.Readlink(path)
		}
		tree[rel] = e
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// xattrs are the user's attributes of a file.
func xattrs(path string) map[string][]byte {
	m := map[string][]byte{}
	list := make([]byte, 64<<10)
	n, _ := unix.Llistxattr(path, list)
	for name := range strings.SplitSeq(string(list[:max(n, 0)]), "\x00") {
		if strings.HasPrefix(name, "user.") {
			value := make([]byte, 64<<10)
			n, _ := unix.Lgetxattr(path, name, value)
			m[name] = value[:max(n, 0)]
		}
	}
	return m
}
