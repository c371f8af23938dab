package crash

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// crashing is a new installation whose commands die at the nth passing of a point
// while on.
func crashing(t *testing.T, s *realserver.Server, point string, n int) (h *drive.Home, on, off func()) {
	h = drive.NewWith(t, s, drive.Build(t, "crashpoint"))
	return h, func() { h.Setenv(fmt.Sprintf("%s%s:%d", crashVariable, point, n)) }, func() { h.Setenv(crashVariable) }
}

// initArgs make, or with a recovery key adopt, the repository of every test.
func initArgs(s *realserver.Server, more ...string) []string {
	return append([]string{"init", "--store", drive.Store, "--endpoint", s.Endpoint, "--region", "us-east-1"}, more...)
}

// mustDie runs a command that the point ends.
func mustDie(t *testing.T, h *drive.Home, point string, args ...string) {
	t.Helper()
	if stdout, stderr, code := h.Try(args...); code != -1 && code != 1 || stdout != "" {
		t.Fatalf("tunesafe %q did not die at %q: exit code %d\n%s%s", args, point, code, stdout, stderr)
	}
}

// sample puts a few files of every kind into a folder.
func sample(t *testing.T, dir string) {
	t.Helper()
	for i := range 6 {
		sub := filepath.Join(dir, fmt.Sprintf("album %d", i%2))
		if err := os.MkdirAll(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		data := make([]byte, 1+i*i*9000)
		for j := range data {
			data[j] = byte(j * (i + 7) >> 3)
		}
		if err := os.WriteFile(filepath.Join(sub, fmt.Sprintf("%d.bin", i)), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(filepath.Join(dir, "album 0", "0.bin"), filepath.Join(dir, "album 1", "link")); err != nil {
		t.Fatal(err)
	}
}

// dieInInit dies while a repository is made, and then while it is adopted: init
// may be run again, and the key that was told first opens what was made.
func dieInInit(t *testing.T, point string, _ int) {
	s := realserver.StartEmbedded(t)
	h, on, off := crashing(t, s, point, 1)
	on()
	mustDie(t, h, point, initArgs(s)...)
	off()
	h.Run(initArgs(s)...)
	h.Mount(quickSettle)
	sample(t, h.At)
	h.Run("unmount", "--wait", h.At)
	key := filepath.Join(h.Dir, "recovery.key")

	cold, on, off := crashing(t, s, point, 1)
	on()
	if _, _, code := cold.Try(initArgs(s, "--recovery-key", key)...); code != 0 { // not all points are on this way
		off()
		cold.Run(initArgs(s, "--recovery-key", key)...)
	}
	off()
	cold.Mount()
	h.Mount()
	tools.SameTree(t, h.At, cold.At)
	cold.Run("check", "--read")
}

// dieInPull dies while a home takes in what others committed: at a cold start,
// and later what another device changed.
func dieInPull(t *testing.T, point string, n int) {
	s := realserver.StartEmbedded(t)
	first := drive.New(t, s)
	first.Init(s.Endpoint)
	first.Mount(quickSettle)
	sample(t, first.At)
	for range 3 {
		first.Run("wait")
		if err := os.WriteFile(filepath.Join(first.At, "album 0", "0.bin"), fmt.Appendf(nil, "%d", n), 0o644); err != nil {
			t.Fatal(err)
		}
		n++
	}
	first.Run("unmount", "--wait", first.At)
	cold, on, off := crashing(t, s, point, 1)
	cold.Adopt(s.Endpoint, filepath.Join(first.Dir, "recovery.key"))
	on()
	mustDie(t, cold, point, "mount", cold.At)
	off()
	cold.Mount(quickSettle)
	first.Mount(quickSettle)
	tools.SameTree(t, first.At, cold.At)
	if point == "pull.checkpoint" {
		return // read at the first start only
	}
	cold.Run("unmount", "--wait", cold.At)
	for _, name := range []string{"album 1/3.bin", "album 1/new"} {
		if err := os.WriteFile(filepath.Join(first.At, name), []byte("changed elsewhere"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(filepath.Join(first.At, "album 0"), filepath.Join(first.At, "album 2")); err != nil {
		t.Fatal(err)
	}
	first.Run("wait")
	on()
	mustDie(t, cold, point, "mount", cold.At)
	off()
	cold.Mount()
	tools.SameTree(t, first.At, cold.At)
	cold.Run("check", "--read")
}

// dieInRestore dies while files are restored: no file under its own name is
// other than whole, and restoring again completes it.
func dieInRestore(t *testing.T, point string, _ int) {
	s := realserver.StartEmbedded(t)
	h, on, off := crashing(t, s, point, 1)
	h.Run(initArgs(s)...)
	h.Mount(quickSettle)
	sample(t, h.At)
	h.Run("unmount", "--wait", h.At)
	dest := filepath.Join(t.TempDir(), "restored")
	on()
	mustDie(t, h, point, "restore", "/", dest)
	off()
	h.Mount()
	for _, f := range regular(t, dest) {
		if filepath.Base(f)[0] != '.' { // one that is being written
			sameBytes(t, filepath.Join(dest, f), filepath.Join(h.At, f))
		}
	}
	h.Run("restore", "/", dest)
	tools.SameTree(t, h.At, dest)
}

// dieInCopy dies when a file of which nothing is here was copied by its recipe:
// the copy is there whole, or has no byte, and copying again completes it.
func dieInCopy(t *testing.T, point string, n int) {
	s := realserver.StartEmbedded(t)
	first := drive.New(t, s)
	first.Init(s.Endpoint)
	first.Mount(quickSettle)
	sample(t, first.At)
	first.Run("unmount", "--wait", first.At)
	cold, on, off := crashing(t, s, point, n)
	cold.Adopt(s.Endpoint, filepath.Join(first.Dir, "recovery.key"))
	on()
	cold.Mount(quickSettle)
	off()
	var copies []string
	for i := range n { // the last one kills
		from := filepath.Join(cold.At, fmt.Sprintf("album %d", i%2), fmt.Sprintf("%d.bin", i))
		copies = append(copies, from+".copy")
		out, err := exec.Command("cp", from, from+".copy").CombinedOutput()
		if (err == nil) == (i == n-1) {
			t.Fatalf("copy %d of %d: %v: %s", i+1, n, err, out)
		}
	}
	cold.Mount(quickSettle)
	for _, path := range copies {
		from := strings.TrimSuffix(path, ".copy")
		if st, err := os.Stat(path); err != nil || st.Size() > 0 {
			sameBytes(t, path, from)
		}
		if out, err := exec.Command("cp", from, path).CombinedOutput(); err != nil {
			t.Fatalf("copying again: %v: %s", err, out)
		}
		sameBytes(t, path, from)
	}
	cold.Run("unmount", "--wait", cold.At)
	cold.Mount()
	first.Mount()
	tools.SameTree(t, first.At, cold.At)
	cold.Run("check", "--read")
}

// dieInPrune dies while what nothing needs is deleted: what is needed is whole, and
// pruning again ends what was begun.
func dieInPrune(t *testing.T, point string, _ int) {
	s := realserver.StartEmbedded(t)
	h, on, off := crashing(t, s, point, 1)
	h.Run(initArgs(s)...)
	h.Mount(quickSettle)
	sample(t, h.At)
	gone := filepath.Join(h.At, "gone.bin")
	noise := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise)
	if err := os.WriteFile(gone, noise, 0o644); err != nil {
		t.Fatal(err)
	}
	h.Run("wait")
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	h.Run("unmount", "--wait", h.At)
	on()
	mustDie(t, h, point, "prune", "--keep-last", "1")
	off()
	h.Run("check", "--read")
	h.Run("prune", "--keep-last", "1")
	h.Run("check", "--read")
	cold := drive.New(t, s)
	cold.Adopt(s.Endpoint, filepath.Join(h.Dir, "recovery.key"))
	cold.Mount()
	h.Mount()
	tools.SameTree(t, h.At, cold.At)
	if _, err := os.Stat(filepath.Join(cold.At, "album 0", "4.bin")); err != nil {
		t.Error(err)
	}
}

// dieInUndo dies while changes are taken back: each file is as it is, or as it was, and taking
// back again gives what was, under every name of it.
func dieInUndo(t *testing.T, point string, n int) {
	s := realserver.StartEmbedded(t)
	h, on, off := crashing(t, s, point, n)
	h.Run(initArgs(s)...)
	h.Mount(quickSettle)
	sample(t, h.At)
	h.Run("wait")
	then := strings.TrimSpace(h.Run("snapshots"))
	then = then[strings.LastIndex(then, "\n")+1:]
	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second))) // moments are named by their second
	was := filepath.Join(t.TempDir(), "was")
	if out, err := exec.Command("cp", "-a", h.At, was).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, f := range regular(t, h.At) {
		if err := os.WriteFile(filepath.Join(h.At, f), []byte("changed"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(filepath.Join(h.At, "album 0"), filepath.Join(h.At, "album 9")); err != nil {
		t.Fatal(err)
	}
	h.Run("unmount", "--wait", h.At)
	on()
	mustDie(t, h, point, "undo", "--since", strings.Fields(then)[0])
	off()
	h.Mount(quickSettle)
	for _, f := range regular(t, h.At) {
		p, err := os.ReadFile(filepath.Join(h.At, f))
		if err != nil {
			t.Error(err)
		} else if string(p) != "changed" {
			sameBytes(t, filepath.Join(h.At, f), filepath.Join(was, f))
		}
	}
	h.Run("wait")
	h.Run("undo", "--since", strings.Fields(then)[0])
	h.Run("unmount", "--wait", h.At)
	cold := drive.New(t, s)
	cold.Adopt(s.Endpoint, filepath.Join(h.Dir, "recovery.key"))
	cold.Mount()
	if out, err := exec.Command("diff", "-r", was, cold.At).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	cold.Run("check", "--read")
}
