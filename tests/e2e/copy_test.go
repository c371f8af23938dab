package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// A library copied on to the drive comes back from the bucket into an empty
// home, to the last attribute, whichever server keeps it.
func TestCopyAndColdHome(t *testing.T) {
	drive.NeedFUSE(t)
	library := music(t, false)
	addOddities(t, library)
	t.Run("own", func(t *testing.T) { copyAndComeBack(t, library, own(t)) })
	t.Run("versitygw", func(t *testing.T) {
		s := realserver.StartVersity(t)
		copyAndComeBack(t, library, at(s, s.Endpoint))
	})
	if !realserver.WithMinIO() || tools.Tier() == "ci" {
		return
	}
	t.Run("minio", func(t *testing.T) {
		s := realserver.StartMinIO(t)
		p := at(s, s.Endpoint)
		p.folder = "" // MinIO keeps objects in a form of its own
		copyAndComeBack(t, library, p)
	})
}

func copyAndComeBack(t *testing.T, library string, p place) {
	h := newDrive(t, p)
	began := time.Now()
	copyTree(t, library, h.At)
	copied := time.Since(began)
	wait(h)
	safe := time.Since(began)
	s := h.Status()
	if !s.Safe() {
		t.Errorf("wait returned, and status says %+v", s)
	}
	key := lose(h)
	began = time.Now()
	cold := coldDrive(t, p, key)
	shown := time.Since(began)
	same := tools.SameTree(t, library, cold.At)
	figure(t, "copy: %d files, %s: copied in %.1f s, safe after %.1f s in %d objects of %s; cold home mounted in %.1f s, all read and compared after %.1f s, same: %v",
		s.SafeFiles, humanize.Bytes(uint64(s.SafeBytes)), copied.Seconds(), safe.Seconds(), s.UploadedObjects,
		humanize.Bytes(uint64(s.UploadedBytes)), shown.Seconds(), time.Since(began).Seconds(), same)
	sameOwners(t, library, cold.At)
	drain(cold)

	t.Run("check", func(t *testing.T) {
		t.Log(strings.TrimSpace(cold.Run("check")))
		t.Log(strings.TrimSpace(cold.Run("check", "--read")))
	})
	t.Run("restore", func(t *testing.T) {
		dest := filepath.Join(tempDir(t), "restored")
		cold.Run("restore", "/", dest)
		tools.SameTree(t, library, dest)
		sameOwners(t, library, dest)
	})
	if p.folder != "" {
		t.Run("script", func(t *testing.T) { restoreByScript(t, library, p.folder, key) })
	}
}

// scriptEnv names the restore script where it does not lie beside this package.
const scriptEnv = "TUNESAFE_E2E_SCRIPT"

func script(t testing.TB) string {
	t.Helper()
	path := os.Getenv(scriptEnv)
	if path == "" {
		path = filepath.Join("..", "restore.py")
	}
	path, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// restoreByScript gets everything back without the program.
func restoreByScript(t *testing.T, library, folder, key string) {
	tools.Need(t, "python3", "age", "zstd")
	dest := filepath.Join(tempDir(t), "restored")
	run(t, "python3", script(t), folder, key, dest)
	tools.SameTree(t, library, dest)
	sameOwners(t, library, dest)
}

// addOddities adds what a library has beside music: links, names that are no
// text, empty files and folders, modes, times, attributes.
func addOddities(t testing.TB, library string) {
	t.Helper()
	dir := filepath.Join(library, "odd")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	file := func(name, content string) string {
		p := filepath.Join(dir, name)
		must(os.MkdirAll(filepath.Dir(p), 0o755))
		must(os.WriteFile(p, []byte(content), 0o644))
		return p
	}
	xattr := func(p, name string, value []byte) { must(unix.Setxattr(p, name, value, 0)) }

	for _, name := range []string{
		"Pa\u0308rt", "P\u00e4rt", "not \xff\xfe text", "new\nline", "-rf", " ", "…", "quote\"'`$(x)\\", ".hidden", "con.",
		strings.Repeat("n", 255), "nested/a/b/c/d/e/f/g/h/i/j/k/leaf",
	} {
		file(name, "the content of "+name)
	}
	must(os.MkdirAll(filepath.Join(dir, "empty", "folder"), 0o755))
	file("empty/file", "")
	file("large", string(bytes.Repeat([]byte("all the same bytes but for some"), 1<<17)))
	must(os.Truncate(file("sparse", "sparse"), 3<<20))

	linked := file("links/one", "of one file")
	must(os.Link(linked, filepath.Join(dir, "links", "two")))
	must(os.Mkdir(filepath.Join(dir, "links", "below"), 0o755))
	must(os.Link(linked, filepath.Join(dir, "links", "below", "three")))
	for name, target := range map[string]string{
		"relative": "../links/one", "absolute": "/etc/hostname", "dangling": "nowhere/at/all", "loop": "loop",
		"bytes": "\xff\xfe", "folder": ".", "long": strings.Repeat("x/", 1500) + "x",
	} {
		must(os.Symlink(target, filepath.Join(dir, "links", name)))
	}
	must(unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))

	annotated := file("attributes", "with attributes")
	xattr(annotated, "user.comment", []byte("Größe"))
	xattr(annotated, "user.binary", []byte{0, 1, 2, 255})
	xattr(annotated, "user.empty", nil)
	xattr(annotated, "user.large", bytes.Repeat([]byte{7}, 2000))
	xattr(filepath.Join(dir, "empty"), "user.of-a-folder", []byte("yes"))

	for _, mode := range []uint32{0o400, 0o600, 0o444, 0o755, 0o777, 0o4755, 0o2750, 0o1644} {
		must(unix.Chmod(file(fmt.Sprintf("modes/%04o", mode), "mode"), mode))
	}
	if os.Geteuid() == 0 { // others could not copy it
		must(unix.Chmod(file("modes/0000", "mode"), 0))
		must(os.Lchown(file("owned", "by somebody"), 12345, 54321))
		must(os.Lchown(filepath.Join(dir, "links", "dangling"), 12345, 54321))
	}
	for i, mode := range []uint32{0o700, 0o1777, 0o2775, 0o555} {
		p := filepath.Dir(file(fmt.Sprintf("folders/%d/in", i), "a folder"))
		must(unix.Chmod(p, mode))
	}
	for i, at := range []time.Time{
		time.Unix(0, 0), time.Unix(-86400*365, 1), time.Unix(1<<31+5, 999_999_999), time.Unix(1_000_000_000, 123_456_789),
	} {
		must(os.Chtimes(file(fmt.Sprintf("times/%d", i), "time"), at, at))
	}
	then := time.Unix(981_173_106, 7)
	must(os.Chtimes(filepath.Join(dir, "times"), then, then))
}

// sameOwners compares what [tools.SameTree] leaves out: owners and groups, which
// only root can give away.
func sameOwners(t testing.TB, a, b string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	list := func(root string) string {
		cmd := exec.CommandContext(t.Context(), "find", ".", "-mindepth", "1", "-printf", `%U %G %p\0`)
		cmd.Dir = root
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("find %s: %v", root, err)
		}
		lines := strings.Split(string(out), "\x00")
		slices.Sort(lines)
		return strings.Join(lines, "\n")
	}
	if list(a) != list(b) {
		t.Errorf("the owners of %s and %s differ", a, b)
	}
}
