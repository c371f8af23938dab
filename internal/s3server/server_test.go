package s3server_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/s3server"
	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/internal/store/s3"
	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
)

// TestRun runs the server in this process, as Tunesafe does.
func TestRun(t *testing.T) {
	t.Chdir(t.TempDir()) // the server changes it; this restores it
	dir := filepath.Join(t.TempDir(), "new", "data")
	ctx, stop := context.WithCancel(t.Context())
	ready, ended := make(chan string, 1), make(chan error, 1)
	c := s3server.Config{
		Dir: dir, Listen: "127.0.0.1:0", AccessKey: "key", SecretKey: "secret-secret",
		Ready: func(addr string) { ready <- addr },
	}
	printed := captureStdout(t, func() {
		go func() { ended <- s3server.Run(ctx, c) }()
		use(t, <-ready)
		if err := s3server.Run(ctx, c); !errors.Is(err, s3server.ErrRunning) {
			t.Errorf("a second server: %v", err)
		}
		stop()
		expectEnds(t, ended)
	})
	if len(printed) > 0 {
		t.Errorf("printed to standard output: %s", printed)
	}
	expectPrivate(t, dir)
}

// use does a little of everything and closes its connections.
func use(t *testing.T, addr string) {
	t.Helper()
	s, err := s3.Open(t.Context(), s3.Config{
		Bucket: "music", Endpoint: "http://" + addr,
		Credentials: s3.Credentials{AccessKey: "key", SecretKey: "secret-secret"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.EnsureBucket(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Put(t.Context(), "a/b", []byte("x")); err != nil {
		t.Error(err)
	}
	if _, err := s.Stat(t.Context(), "absent"); !errors.Is(err, store.ErrNotExist) {
		t.Error(err)
	}
}

func expectEnds(t *testing.T, ended <-chan error) {
	t.Helper()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("did not end")
	}
}

func captureStdout(t *testing.T, f func()) []byte {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
	if err != nil {
		t.Fatal(err)
	}
	real := os.Stdout
	os.Stdout = file
	defer func() { os.Stdout = real }()
	f()
	printed, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	return printed
}

// expectPrivate fails if others than the owner may enter or read anything.
func expectPrivate(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestRunFails(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct {
		name   string
		config s3server.Config
		want   error // nil for any
	}{
		{"no user attributes", s3server.Config{Dir: "/proc/self/task", Listen: "127.0.0.1:0"}, s3server.ErrNoXattr},
		{"below a file", s3server.Config{Dir: "/etc/passwd/x", Listen: "127.0.0.1:0"}, nil},
		{"no address", s3server.Config{Dir: t.TempDir()}, nil},
		{"no keys", s3server.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0"}, nil},
		{"a foreign address", s3server.Config{
			Dir: t.TempDir(), Listen: "192.0.2.1:0", AccessKey: "k", SecretKey: "s",
		}, nil},
	} {
		err := s3server.Run(t.Context(), c.config)
		if os.Geteuid() != 0 {
			c.want = nil // others may not even ask for attributes there
		}
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
}

// TestS3cmd uses another client than ours.
func TestS3cmd(t *testing.T) {
	program := realserver.Tool(t, "s3cmd")
	server := realserver.StartEmbedded(t)
	host := strings.TrimPrefix(server.Endpoint, "http://")
	file := filepath.Join(t.TempDir(), "file")
	want := bytes.Repeat([]byte("some music "), 100_000)
	if err := os.WriteFile(file, want, 0o600); err != nil {
		t.Fatal(err)
	}
	s3cmd := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, append([]string{
			"--config=/dev/null", "--no-ssl", "--host=" + host, "--host-bucket=" + host,
			"--access_key=" + server.AccessKey, "--secret_key=" + server.SecretKey,
		}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("s3cmd %s: %v\n%s", args, err, out)
		}
		return string(out)
	}
	s3cmd("mb", "s3://bucket")
	s3cmd("put", file, "s3://bucket/some/object")
	if out := s3cmd("ls", "--recursive", "s3://bucket"); !strings.Contains(out, "s3://bucket/some/object") {
		t.Errorf("lists as %s", out)
	}
	s3cmd("get", "--force", "s3://bucket/some/object", file)
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %d bytes back, %v", len(got), err)
	}
	s3cmd("del", "s3://bucket/some/object")
	if out := s3cmd("ls", "--recursive", "s3://bucket"); strings.TrimSpace(out) != "" {
		t.Errorf("after the delete lists %s", out)
	}
	s3cmd("rb", "s3://bucket")
}

// Lines of strace: "7 fsync(9</data/bucket/key>) = 0", or, when another thread
// came between, "7 fsync(9</data/bucket/key> <unfinished ...>" and later
// "7 <... fsync resumed>) = 0".
var (
	syncLine   = regexp.MustCompile(`^(\d+) +f(?:data)?sync\(\d+<([^>]*)>(?:\(deleted\))?(?:\) *= 0| <unfinished)`)
	resumeLine = regexp.MustCompile(`^(\d+) +<\.\.\. f(?:data)?sync resumed>.*= 0`)
)

// TestDurable watches the system calls of a server process: what must be synced
// is synced before the answer.
func TestDurable(t *testing.T) {
	trace := filepath.Join(t.TempDir(), "trace")
	server := realserver.StartEmbeddedUnder(t, realserver.Tool(t, "strace"),
		"-f", "-y", "-qq", "-e", "trace=fsync,fdatasync", "-o", trace)
	s, err := s3.Open(t.Context(), s3.Config{
		Bucket: "bucket", Endpoint: server.Endpoint,
		Credentials: s3.Credentials{AccessKey: server.AccessKey, SecretKey: server.SecretKey},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	seen := 0
	expectSynced := func(what string, paths ...string) {
		t.Helper()
		lines := syncs(t, trace)
		for _, path := range paths {
			if !slices.Contains(lines[seen:], filepath.Join(server.Dir, path)) {
				t.Errorf("%s: %q was not synced, only %q", what, path, lines[seen:])
			}
		}
		seen = len(lines)
	}
	if _, err := s.EnsureBucket(t.Context()); err != nil {
		t.Fatal(err)
	}
	expectSynced("new bucket", "bucket", "")
	if err := s.Put(t.Context(), "new/folder/object", []byte("x")); err != nil {
		t.Fatal(err)
	}
	staged := syncs(t, trace)[seen]
	if strings.HasSuffix(staged, "/object") {
		t.Errorf("the first sync of a put is of %q: the body was published before it was safe", staged)
	}
	expectSynced("put", "bucket/new/folder/object", "bucket/new/folder", "bucket/new", "bucket", "")
	if err := s.Delete(t.Context(), "new/folder/object"); err != nil {
		t.Fatal(err)
	}
	expectSynced("delete", "bucket", "")
}

// syncs returns the paths synced so far, in order. The server has answered when
// this is called; the lines were written before the calls they show returned.
func syncs(t *testing.T, trace string) []string {
	t.Helper()
	b, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	begun := map[string]string{} // by thread
	for line := range strings.Lines(string(b)) {
		if m := syncLine.FindStringSubmatch(line); m != nil {
			if strings.Contains(line, "<unfinished") {
				begun[m[1]] = m[2]
			} else {
				paths = append(paths, m[2])
			}
		} else if m := resumeLine.FindStringSubmatch(line); m != nil {
			paths = append(paths, begun[m[1]])
		}
	}
	return paths
}
