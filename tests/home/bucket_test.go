package home

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// shop is an S3 server at one address over a folder that is changed while it is
// stopped.
type shop struct {
	t       testing.TB
	dir     string
	address string
	server  *exec.Cmd
}

func newShop(t testing.TB) *shop {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := &shop{t: t, dir: filepath.Join(t.TempDir(), "store"), address: l.Addr().String()}
	must(t, l.Close())
	must(t, os.Mkdir(s.dir, 0o700))
	t.Cleanup(s.stop)
	s.start()
	return s
}

func (s *shop) start() {
	s.t.Helper()
	s.server = exec.Command(drive.Program(s.t), "serve", "--dir", s.dir, "--listen", s.address)
	s.server.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID=shop", "AWS_SECRET_ACCESS_KEY=shop-secret", "HOME="+s.t.TempDir())
	must(s.t, s.server.Start())
	eventually(s.t, "the server listens", 2*time.Minute, func() bool {
		c, err := net.Dial("tcp", s.address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func (s *shop) stop() {
	if s.server != nil {
		_ = s.server.Process.Kill()
		_ = s.server.Wait()
		s.server = nil
	}
}

// change has the folder of the repository changed while nobody serves it.
func (s *shop) change(fn func(repository string)) {
	s.t.Helper()
	s.stop()
	fn(filepath.Join(s.dir, "music", "library"))
	s.start()
}

// objects lists the names and sizes of what the server keeps.
func (s *shop) objects() (names []string) {
	s.t.Helper()
	err := filepath.WalkDir(filepath.Join(s.dir, "music"), func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			names = append(names, fmt.Sprintf("%s %d", strings.TrimPrefix(p, s.dir), info.Size()))
		}
		return err
	})
	must(s.t, err)
	return names
}

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

// TestBucketChangesBehindOurBack: the bucket is emptied, rolled back, or another
// repository lies in its place, while the drive is mounted and between mounts. The
// drive stays as it is, what is cached plays, the rest is EIO; it is reported;
// nothing is uploaded or deleted in answer. With the bucket as it was all goes on.
func TestBucketChangesBehindOurBack(t *testing.T) {
	for i, c := range []struct {
		name   string
		change func(t testing.TB, repository, older, other string)
	}{
		{"emptied", func(t testing.TB, r, _, _ string) {
			must(t, os.RemoveAll(r))
			must(t, os.Mkdir(r, 0o755))
		}},
		{"rolled back", func(t testing.TB, r, older, _ string) {
			must(t, os.RemoveAll(r))
			run(t, "cp", "-a", older, r)
		}},
		{"exchanged", func(t testing.TB, r, _, other string) {
			must(t, os.RemoveAll(r))
			run(t, "cp", "-a", other, r)
		}},
	} {
		for _, mounted := range []bool{i%2 == 0, i%2 != 0}[:tools.Count(t, 1, 2, 2)] {
			t.Run(fmt.Sprintf("%s, mounted %t", c.name, mounted), func(t *testing.T) {
				s := newShop(t)
				keep := t.TempDir()
				older, whole, other := filepath.Join(keep, "older"), filepath.Join(keep, "whole"), filepath.Join(keep, "other")
				server := &realserver.Server{AccessKey: "shop", SecretKey: "shop-secret"}

				stranger := drive.New(t, server)
				stranger.Init("http://" + s.address)
				s.change(func(r string) { run(t, "mv", r, other) })

				h := drive.New(t, server)
				h.Init("http://" + s.address)
				h.Mount(settle)
				sound := bytes.Repeat([]byte("sound that is no longer here, "), 40_000)
				must(t, os.WriteFile(filepath.Join(h.At, "cold.bin"), sound, 0o644))
				h.Run("wait", "--timeout", "1m")
				s.change(func(r string) { run(t, "cp", "-a", r, older) })
				must(t, os.WriteFile(filepath.Join(h.At, "warm.bin"), []byte("here"), 0o644))
				h.Run("wait", "--timeout", "1m")
				h.Run("unmount", h.At)
				must(t, os.RemoveAll(filepath.Join(h.Dir, "cache", "packs")))
				cold, err := filepath.Glob(filepath.Join(h.Dir, "cache", "content", "*", "*"))
				must(t, err)
				for _, p := range cold { // as eviction does
					if st, err := os.Stat(p); err == nil && st.Size() == int64(len(sound)) {
						must(t, os.Remove(p))
					}
				}
				if mounted {
					h.Mount(settle)
				}
				s.change(func(r string) {
					run(t, "cp", "-a", r, whole)
					c.change(t, r, older, other)
				})
				before := s.objects()
				if !mounted {
					_, stderr, code := h.Try("mount", settle, h.At)
					if code != 0 || !strings.Contains(stderr, "warning: ") || !strings.Contains(stderr, "hint: ") {
						t.Errorf("mount: exit code %d, %q; want a warning", code, stderr)
					}
				}
				must(t, os.WriteFile(filepath.Join(h.At, "new.bin"), bytes.Repeat([]byte("new"), 200_000), 0o644))
				must(t, os.Remove(filepath.Join(h.At, "warm.bin")))
				must(t, os.WriteFile(filepath.Join(h.At, "warm.bin"), []byte("here again"), 0o644))
				_, stderr, code := h.Try("wait", "--timeout", "4s")
				if code != 3 || !strings.Contains(stderr, "log is broken") {
					t.Errorf("wait: exit code %d, %q; want 3 and what is wrong with the bucket", code, stderr)
				}
				if out := h.Run("status"); !strings.Contains(out, "log is broken") {
					t.Errorf("status does not tell:\n%s", out)
				}
				if !strings.Contains(h.Log(), "log is broken") {
					t.Error("the log does not tell")
				}
				if after := s.objects(); !slices.Equal(before, after) {
					t.Errorf("the bucket was changed in answer:\n%q\n%q", before, after)
				}
				if got, err := os.ReadFile(filepath.Join(h.At, "warm.bin")); err != nil || string(got) != "here again" {
					t.Errorf("what is cached: %q, %v", got, err)
				}
				if names, _ := os.ReadDir(h.At); len(names) != 3 {
					t.Errorf("%d names on the drive, want 3", len(names))
				}
				got, err := os.ReadFile(filepath.Join(h.At, "cold.bin"))
				if c.name != "rolled back" && !errors.Is(err, syscall.EIO) || err == nil && !bytes.Equal(got, sound) {
					t.Errorf("what is not here: %d bytes, %v", len(got), err)
				}
				s.change(func(r string) {
					must(t, os.RemoveAll(r))
					run(t, "cp", "-a", whole, r)
				})
				h.Run("wait", "--timeout", "2m")
				if got, err := os.ReadFile(filepath.Join(h.At, "cold.bin")); err != nil || !bytes.Equal(got, sound) {
					t.Errorf("with the bucket as it was: %d bytes, %v", len(got), err)
				}
				mustBeClean(t, h)
			})
		}
	}
}
