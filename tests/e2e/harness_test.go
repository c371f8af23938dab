// Package e2e shows that the program does its main job, on real music, with real
// servers and real taggers: the drive is the backup, all of it comes back, a
// retag costs bytes, sound is stored once, and a scan touches no sound.
//
// The figures are logged, a line each that begins with "figure:". The tier of
// the run (see package tools) chooses between a library of some megabytes and
// one of a gigabyte.
package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dustin/go-humanize"

	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/musiclib"
	"github.com/tunesafe/tunesafe/tests/s3proxy"
	"github.com/tunesafe/tunesafe/tests/tools"
)

func TestMain(m *testing.M) { os.Exit(drive.Main(m)) }

// figure logs a line of what a run has shown.
func figure(t testing.TB, format string, args ...any) {
	t.Helper()
	t.Logf("figure: "+format, args...)
}

// place is where a repository lies.
type place struct {
	server *realserver.Server
	flags  []string // with which init finds it
	folder string   // its objects as files; empty where the server keeps them otherwise
}

// own is the store that init uses when none is named: on this machine, behind
// the server within the program.
func own(t testing.TB) place {
	dir := t.TempDir()
	return place{
		server: &realserver.Server{},
		flags:  []string{"--store-dir", filepath.Join(dir, "store")},
		folder: filepath.Join(dir, "store", "tunesafe"),
	}
}

// at is a server's bucket, reached by way of endpoint.
func at(s *realserver.Server, endpoint string) place {
	return place{
		server: s,
		flags:  []string{"--store", drive.Store, "--endpoint", endpoint, "--region", "us-east-1"},
		folder: filepath.Join(s.Dir, filepath.FromSlash(strings.TrimPrefix(drive.Store, "s3://"))),
	}
}

// counted is a server behind a proxy that counts.
func counted(t testing.TB) (place, *s3proxy.Proxy) {
	t.Helper()
	drive.NeedFUSE(t) // before anything costs time
	s := realserver.StartEmbedded(t)
	p := s3proxy.Start(s.Endpoint)
	t.Cleanup(p.Close)
	p.SetRoot(drive.Prefix)
	return at(s, p.URL), p
}

// newDrive makes a repository and mounts its drive.
func newDrive(t testing.TB, p place) *drive.Home {
	t.Helper()
	h := drive.New(t, p.server)
	h.Run(append([]string{"init"}, p.flags...)...)
	h.Mount()
	return h
}

// coldDrive mounts the drive in a home that has nothing but the recovery key.
func coldDrive(t testing.TB, p place, key string) *drive.Home {
	t.Helper()
	h := drive.New(t, p.server)
	h.Run(append([]string{"init", "--recovery-key", key}, p.flags...)...)
	h.Mount()
	return h
}

// filled is a drive with a copy of a library on it, all of it in the bucket.
func filled(t testing.TB, p place, library string) *drive.Home {
	t.Helper()
	h := newDrive(t, p)
	copyTree(t, library, h.At)
	wait(h)
	return h
}

func wait(h *drive.Home) { h.Run("wait", "--timeout", "20m") }

// drain unmounts when everything is in the bucket.
func drain(h *drive.Home) { h.Run("unmount", "--wait", h.At) }

// lose drains the drive and takes away the home but for its recovery key.
func lose(h *drive.Home) (key string) {
	drain(h)
	return h.Lose()
}

// copyTree copies what is in a folder into another, as a person would.
func copyTree(t testing.TB, from, to string) {
	t.Helper()
	run(t, "cp", "-a", from+"/.", to)
}

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

// musicEnv names a folder of music to use instead of making some. A test that
// starts another user's tests sets it: the encoders' cache may not be theirs.
const musicEnv = "TUNESAFE_E2E_MUSIC"

// music makes a library: with many, of 200 tracks in every tier, so that what a
// retag costs once does not hide what it costs for each.
func music(t testing.TB, many bool) string {
	t.Helper()
	dir := tempDir(t)
	if given := os.Getenv(musicEnv); given != "" {
		copyTree(t, given, dir)
		return dir
	}
	preset := "e2e1g"
	if tools.Tier() == "ci" && !many {
		preset = "ci"
	}
	o, err := musiclib.Preset(preset)
	if err != nil {
		t.Fatal(err)
	}
	if tools.Tier() == "ci" && many {
		o.TotalBytes, o.ArtBytes = 60e6, [2]int{20e3, 60e3}
	}
	o.Xattrs = true
	tools.Need(t, musiclib.Tools...)
	s, err := musiclib.Make(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("library: %d files, %s, seed %d, %v", s.Files, humanize.Bytes(uint64(s.Bytes)), o.Seed, s.Kinds())
	return dir
}

// tempDir is a temporary folder that can be removed whatever modes the folders
// in it have.
func tempDir(t testing.TB) string {
	dir := t.TempDir()
	t.Cleanup(func() {
		err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				err = os.Chmod(p, 0o700) // before it is read
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	return dir
}

// noSound fails the test if a request was about sound.
func noSound(t testing.TB, s s3proxy.Stats) {
	t.Helper()
	if n := s.Prefixes["audio/"]; n.Requests > 0 {
		t.Errorf("%d requests under audio/, %d bytes up, %d down: %v", n.Requests, n.Up, n.Down, s.PrefixOps["audio/"])
	}
}

func size(n int64) string { return fmt.Sprintf("%s (%d)", humanize.Bytes(uint64(n)), n) }
