// Package feed backs up an ordinary folder with the real program, and does to the
// folder what happens to folders: disasters, which the brake has to hold, and busy
// days, which it must not.
package feed

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/musiclib"
	"github.com/tunesafe/tunesafe/tests/place"
	"github.com/tunesafe/tunesafe/tests/tools"
)

func TestMain(m *testing.M) { os.Exit(drive.Main(m)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// scene is a library, a copy of it as it was at the start, and a home that has
// backed it up.
type scene struct {
	*testing.T
	h      *drive.Home
	lib    string
	golden string
	tracks []string
}

const albums, perAlbum = 13, 10

func newScene(t *testing.T) *scene {
	tools.Need(t, musiclib.Tools...)
	tools.Need(t, tools.Mutagen)
	server := realserver.StartEmbedded(t)
	s := &scene{T: t, h: drive.New(t, server), lib: filepath.Join(t.TempDir(), "Music"), golden: filepath.Join(t.TempDir(), "golden")}
	s.h.Init(server.Endpoint)
	_, err := musiclib.Make(t.Context(), s.lib, library(1))
	must(t, err)
	s.tracks = tools.Tracks(t, s.lib)
	s.copy(s.lib, s.golden)
	s.h.Run("backup", s.lib)
	return s
}

func library(seed uint64) musiclib.Options {
	return musiclib.Options{Albums: albums, TracksPerAlbum: perAlbum, TotalBytes: albums * perAlbum * 20e3, Seed: seed, Plain: true}
}

func (s *scene) copy(from, to string) {
	s.Helper()
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		s.Fatalf("cp: %v\n%s", err, out)
	}
}

func (s *scene) in(name string) string { return filepath.Join(s.lib, name) }

// backedUp fails unless the place is what want is, to the byte and attribute.
func (s *scene) backedUp(want string) {
	s.Helper()
	out := filepath.Join(s.TempDir(), "out")
	s.h.Run("restore", "Music", out)
	sameFiles(s, filepath.Join(out, "Music"), want)
}

var disasters = []struct {
	name   string
	strike func(s *scene)
	kind   string
}{
	{"disk unmounted", func(s *scene) {
		must(s, os.RemoveAll(s.lib))
		must(s, os.Mkdir(s.lib, 0o755))
	}, "are gone from"},
	{"folder emptied but for one artist", func(s *scene) {
		artist, _, _ := strings.Cut(s.tracks[0], "/")
		entries, err := os.ReadDir(s.lib)
		must(s, err)
		for _, e := range entries {
			if e.Name() != artist || !e.IsDir() {
				must(s, os.RemoveAll(s.in(e.Name())))
			}
		}
	}, "are gone from"},
	{"tags wiped", func(s *scene) {
		script := "import sys, mutagen\nfor p in sys.stdin.buffer.read().split(b'\\0'): mutagen.File(p.decode('utf-8', 'surrogateescape')).delete()"
		wipe := exec.Command(tools.Need(s, tools.Mutagen)[0], "-c", script)
		var paths []string
		for _, p := range s.tracks {
			paths = append(paths, s.in(p))
		}
		wipe.Stdin = strings.NewReader(strings.Join(paths, "\x00"))
		if out, err := wipe.CombinedOutput(); err != nil {
			s.Fatalf("mutagen: %v\n%s", err, out)
		}
	}, "lost title, artist and album"},
	{"bit rot", func(s *scene) {
		for _, p := range s.tracks[:25] {
			s.rewrite(p, func(b []byte) []byte { b[len(b)/2] ^= 0x10; return b }, true)
		}
	}, "and tags, size and time as before"},
	{"encrypted in place", func(s *scene) {
		block, err := aes.NewCipher(make([]byte, 16))
		must(s, err)
		for _, p := range s.tracks {
			s.rewrite(p, func(b []byte) []byte {
				cipher.NewCTR(block, make([]byte, 16)).XORKeyStream(b, b)
				return b
			}, false)
		}
	}, "are no music any more"},
	{"library file truncated", func(s *scene) {
		s.rewrite("iTunes Library.xml", func(b []byte) []byte { return b[:len(b)/2] }, false)
	}, "the library in"},
}

// rewrite changes the bytes of a file in place, and leaves its time if it is told to.
func (s *scene) rewrite(name string, change func([]byte) []byte, keepTime bool) {
	s.Helper()
	info, err := os.Stat(s.in(name))
	must(s, err)
	b, err := os.ReadFile(s.in(name))
	must(s, err)
	must(s, os.WriteFile(s.in(name), change(b), 0o644))
	if keepTime {
		must(s, os.Chtimes(s.in(name), info.ModTime(), info.ModTime()))
	}
}

// TestDisasters: each is held, told, and changes nothing in the backup, while a new
// file goes on being backed up; once the folder is mended nobody is asked any more.
func TestDisasters(t *testing.T) {
	s := newScene(t)
	for i, tt := range disasters {
		t.Run(tt.name, func(t *testing.T) {
			s := &scene{T: t, h: s.h, lib: s.lib, golden: s.golden, tracks: s.tracks}
			tt.strike(s)
			fresh := fmt.Sprintf("new %d.txt", i)
			must(t, os.WriteFile(s.in(fresh), []byte("new"), 0o644))
			must(t, os.Chtimes(s.in(fresh), time.Now(), time.Unix(1.5e9, 0)))
			stdout, stderr, code := s.h.Try("backup")
			if code != 5 || !strings.Contains(stderr, "held: ") || !strings.Contains(stderr, tt.kind) || !strings.Contains(stderr, "hint: ") {
				t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
			}
			if status := s.h.Run("status"); !strings.Contains(status, tt.kind) || !strings.Contains(status, "tunesafe approve Music") {
				t.Errorf("status says nothing of it:\n%s", status)
			}
			if names := s.h.Run("ls", "Music"); !strings.Contains(names, fresh) {
				t.Errorf("%s was not backed up:\n%s", fresh, names)
			}
			out := filepath.Join(t.TempDir(), "out")
			s.h.Run("restore", "Music", out)
			must(t, os.Remove(filepath.Join(out, "Music", fresh)))
			sameFiles(s, filepath.Join(out, "Music"), s.golden)

			must(t, os.RemoveAll(s.lib)) // mended
			s.copy(s.golden, s.lib)
			s.h.Run("backup")
			s.backedUp(s.lib)
			if status := s.h.Run("status"); strings.Contains(status, "held") {
				t.Errorf("still held:\n%s", status)
			}
		})
	}
}

// sameFiles compares all that lies below the library's own folder, whose time a
// new file in it changes.
func sameFiles(t testing.TB, out, want string) {
	t.Helper()
	info, err := os.Stat(want)
	must(t, err)
	must(t, os.Chtimes(out, info.ModTime(), info.ModTime()))
	must(t, os.Chmod(out, info.Mode()))
	place.Same(t, want, out)
}

var busyDays = []struct {
	name string
	do   func(s *scene)
}{
	{"an artist corrected in every track", func(s *scene) {
		if n := len(tools.Retag(s, s.lib, tools.RetagOptions{To: "Corrected"})); n < 100 {
			s.Fatalf("%d tracks retagged", n)
		}
	}},
	{"artists renamed", func(s *scene) {
		entries, err := os.ReadDir(s.lib)
		must(s, err)
		for _, e := range entries {
			if e.IsDir() {
				must(s, os.Rename(s.in(e.Name()), s.in(e.Name()+", renamed")))
			}
		}
	}},
	{"many tracks added", func(s *scene) {
		_, err := musiclib.Make(s.Context(), s.in("Added"), library(2))
		must(s, err)
	}},
	{"an album deleted", func(s *scene) { must(s, os.RemoveAll(filepath.Dir(s.in(tools.Tracks(s, s.lib)[0])))) }},
	{"an album ripped again", func(s *scene) {
		other := filepath.Join(s.TempDir(), "other")
		o := library(3)
		o.Albums, o.TotalBytes = 1, perAlbum*20e3
		_, err := musiclib.Make(s.Context(), other, o)
		must(s, err)
		album := filepath.Dir(s.in(tools.Tracks(s, s.lib)[0]))
		old, err := os.ReadDir(album)
		must(s, err)
		for i, p := range tools.Tracks(s, other) {
			if i < len(old) {
				s.copy(filepath.Join(other, p), filepath.Join(album, old[i].Name()))
			}
		}
	}},
	{"everything touched", func(s *scene) {
		for _, p := range tools.Tracks(s, s.lib) {
			must(s, os.Chtimes(s.in(p), time.Now(), time.Unix(1.6e9, 0)))
		}
	}},
}

// TestBusyDays: nothing of it is held, and the backup is the folder after each.
func TestBusyDays(t *testing.T) {
	s := newScene(t)
	for _, tt := range busyDays {
		t.Run(tt.name, func(t *testing.T) {
			s := &scene{T: t, h: s.h, lib: s.lib}
			tt.do(s)
			if stdout, stderr, code := s.h.Try("backup"); code != 0 || strings.Contains(stderr, "held") {
				t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
			}
			s.backedUp(s.lib)
		})
	}
}
