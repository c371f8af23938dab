package home

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// lockEnv makes this test binary hold the lock of a home; see TestMain.
const lockEnv = "TUNESAFE_TEST_LOCK"

func TestMain(m *testing.M) {
	if dir := os.Getenv(lockEnv); dir != "" {
		l, err := Home(dir).Lock()
		if err != nil {
			os.Exit(1)
		}
		os.Stdout.WriteString("locked\n")
		os.Stdin.Read(make([]byte, 1))
		_ = l // kept to the end, as a killed owner would
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// made is a finished home.
func made(t *testing.T) Home {
	t.Helper()
	h := Home(filepath.Join(t.TempDir(), "home"))
	if err := h.Create(); err != nil {
		t.Fatal(err)
	}
	if err := h.SetConfig(Config{Store: Store{Kind: KindLocal, Dir: "/srv/store"}}); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestModes(t *testing.T) {
	h := made(t)
	if _, err := h.NewRecoveryKey(); err != nil {
		t.Fatal(err)
	}
	if err := h.SetCredentials(RandomCredentials()); err != nil {
		t.Fatal(err)
	}
	if err := h.SetKnown(); err != nil {
		t.Fatal(err)
	}
	log, err := h.OpenLog()
	if err != nil {
		t.Fatal(err)
	}
	log.Close()
	l, err := h.Lock()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Unlock()
	err = filepath.WalkDir(string(h), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = fs.ModeDir | 0o700
		}
		if info.Mode() != want {
			t.Errorf("%s: %v, want %v", path, info.Mode(), want)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestConfigRoundTrip(t *testing.T) {
	h := made(t)
	want := Config{
		Repository: strings.Repeat("0f", 16), Created: time.Date(2026, 11, 21, 1, 2, 3, 0, time.UTC), RecoveryKeySaved: true,
		Store: Store{Kind: KindS3, URL: "s3://music/library", Endpoint: "http://nas:9000", Region: "eu-west-1"},
	}
	if err := h.SetConfig(want); err != nil {
		t.Fatal(err)
	}
	got, err := h.Config()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestConfigMistakes(t *testing.T) {
	for name, text := range map[string]string{
		"unknown setting":   "cache_seize = \"1 GB\"\n[store]\nkind = \"local\"\ndir = \"/x\"\n",
		"not TOML":          "store: s3\n",
		"no store":          "repository = \"x\"\n",
		"unknown kind":      "[store]\nkind = \"tape\"\n",
		"bucket without it": "[store]\nkind = \"s3\"\n",
	} {
		h := made(t)
		if err := WriteFile(h.ConfigFile(), []byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Config(); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCreate(t *testing.T) {
	h := made(t)
	if err := h.Create(); !errors.Is(err, ErrExists) {
		t.Errorf("twice: %v", err)
	}
	foreign := Home(t.TempDir())
	if err := os.WriteFile(filepath.Join(string(foreign), "letter.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := foreign.Create(); !errors.Is(err, ErrForeign) {
		t.Errorf("other files: %v", err)
	}
	if _, err := Home("/nowhere").Config(); !errors.Is(err, ErrNone) {
		t.Errorf("absent: %v", err)
	}
}

// An init that was cut short after it had made a recovery key must not make
// another: the first may be the only one to open the repository.
func TestRecoveryKeyIsTakenUp(t *testing.T) {
	h := Home(filepath.Join(t.TempDir(), "home"))
	if err := h.Create(); err != nil {
		t.Fatal(err)
	}
	first, err := h.NewRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Create(); err != nil {
		t.Fatalf("begin again: %v", err)
	}
	second, err := h.NewRecoveryKey()
	if err != nil || second.String() != first.String() {
		t.Errorf("another key (%v)", err)
	}
	read, err := h.RecoveryKey()
	if err != nil || read.String() != first.String() {
		t.Errorf("read: %v", err)
	}
}

func TestReadRecoveryKeyMistakes(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("AGE-SECRET-KEY-1SHORT"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{dir, text} {
		if _, err := ReadRecoveryKey(name); !errors.Is(err, ErrRecoveryFile) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLock(t *testing.T) {
	h := made(t)
	l, err := h.Lock()
	if err != nil {
		t.Fatal(err)
	}
	busy, ok := errors.AsType[*BusyError](func() error { _, err := h.Lock(); return err }())
	if !ok || busy.PID != os.Getpid() {
		t.Fatalf("second lock: %+v", busy)
	}
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	l, err = h.Lock()
	if err != nil {
		t.Fatal(err)
	}
	l.Unlock()
}

// The lock of an owner that is killed is free at once, with its pid in it.
func TestLockOfKilledOwner(t *testing.T) {
	h := made(t)
	owner := exec.Command("/proc/self/exe")
	owner.Env = append(os.Environ(), lockEnv+"="+string(h))
	stdin, err := owner.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	stdout.Read(make([]byte, 16))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	busy, ok := errors.AsType[*BusyError](func() error { _, err := h.LockWithin(ctx, 2*lockPause); return err }())
	if !ok || busy.PID != owner.Process.Pid {
		t.Fatalf("while it lives: %+v", busy)
	}
	owner.Process.Kill()
	owner.Wait()
	l, err := h.LockWithin(ctx, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	l.Unlock()
}

func TestDefaults(t *testing.T) {
	t.Setenv("HOME", "/home/ana")
	for data, want := range map[string]string{
		"":         "/home/ana/.local/share/tunesafe",
		"/data":    "/data/tunesafe",
		"relative": "/home/ana/.local/share/tunesafe",
	} {
		t.Setenv("XDG_DATA_HOME", data)
		if got, err := Default(); err != nil || got != want {
			t.Errorf("XDG_DATA_HOME=%q: %q, %v", data, got, err)
		}
		if got, err := DefaultStoreDir(); err != nil || got != want+"-store" {
			t.Errorf("XDG_DATA_HOME=%q: %q, %v", data, got, err)
		}
	}
}

func TestLocalStore(t *testing.T) {
	s := Store{Kind: KindLocal, Dir: filepath.Join(t.TempDir(), "store")}
	for range 2 { // again with other credentials, as a second home would
		st, err := s.Open(t.Context(), Credentials{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := st.EnsureBucket(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := st.Put(t.Context(), "repo.json", []byte("hello")); err != nil {
			t.Fatal(err)
		}
		if err := st.CheckClock(); err != nil {
			t.Error(err)
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
