// Package drive runs the program itself for tests: its commands as processes,
// and its drive as the process in the background that a person would have.
//
// A test's package calls [Main] from TestMain, which removes the program that
// the tests had built.
package drive

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
)

// module is what the program is built from.
const module = "github.com/tunesafe/tunesafe/cmd/tunesafe"

// built are the programs that the tests had built, by build tag.
var built struct {
	mu    sync.Mutex
	dir   string
	paths map[string]string
}

// Main runs the tests of a package and returns the exit code.
func Main(m *testing.M) int {
	defer func() { os.RemoveAll(built.dir) }()
	return m.Run()
}

// Program returns the path of tunesafe: $TUNESAFE_PROGRAM, or one that is built
// once in a test's process.
func Program(t testing.TB) string {
	t.Helper()
	if p := os.Getenv("TUNESAFE_PROGRAM"); p != "" {
		return p
	}
	return Build(t, "")
}

// Build returns the path of tunesafe built with a build tag, "" for none, once
// in a test's process.
func Build(t testing.TB, tag string) string {
	t.Helper()
	built.mu.Lock()
	defer built.mu.Unlock()
	if p := built.paths[tag]; p != "" {
		return p
	}
	if built.dir == "" {
		dir, err := os.MkdirTemp("", "tunesafe-program")
		if err != nil {
			t.Fatal(err)
		}
		built.dir, built.paths = dir, map[string]string{}
	}
	p := filepath.Join(built.dir, "tunesafe"+tag)
	if out, err := exec.Command("go", "build", "-tags", tag, "-o", p, module).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	built.paths[tag] = p
	return p
}

// NeedFUSE skips the test, or fails it if TUNESAFE_REQUIRE_TOOLS is 1, where no
// drive can be mounted.
func NeedFUSE(t testing.TB) {
	t.Helper()
	err := unix.Access("/dev/fuse", unix.R_OK|unix.W_OK)
	if err != nil {
		err = fmt.Errorf("/dev/fuse: %w", err)
	} else {
		_, err = exec.LookPath("fusermount3")
	}
	switch {
	case err == nil:
	case os.Getenv("TUNESAFE_REQUIRE_TOOLS") == "1":
		t.Fatalf("needs FUSE: %v", err)
	default:
		t.Skipf("needs FUSE: %v", err)
	}
}

// Home is an installation: a home folder, and a folder to mount its drive at.
type Home struct {
	Dir string // the home
	At  string // the mount point

	t       testing.TB
	program string
	env     []string
}

// New makes the names of an installation; Init or Adopt makes the home. What is
// mounted when the test ends is unmounted.
func New(t testing.TB, s *realserver.Server) *Home {
	t.Helper()
	return NewWith(t, s, Program(t))
}

// NewWith is [New] for another build of the program.
func NewWith(t testing.TB, s *realserver.Server, program string) *Home {
	t.Helper()
	return NewIn(t, s, program, t.TempDir())
}

// NewIn is [NewWith] in a folder that outlives the test, or did: a home that is there
// is used as it is.
func NewIn(t testing.TB, s *realserver.Server, program, base string) *Home {
	t.Helper()
	NeedFUSE(t)
	h := &Home{Dir: filepath.Join(base, "home"), At: filepath.Join(base, "drive"), t: t, program: program}
	h.env = append(os.Environ(), "TUNESAFE_HOME="+h.Dir, "HOME="+base, "XDG_DATA_HOME=",
		"AWS_EC2_METADATA_DISABLED=true")
	h.env = append(h.env, "AWS_ACCESS_KEY_ID="+s.AccessKey, "AWS_SECRET_ACCESS_KEY="+s.SecretKey)
	if err := os.MkdirAll(h.At, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.end)
	return h
}

// Store is the bucket and prefix of every test's repository.
const Store = "s3://music/library"

// Prefix is the prefix of [Store], as [s3proxy.Proxy.SetRoot] wants it.
const Prefix = "library/"

// Init makes a home and a repository at endpoint.
func (h *Home) Init(endpoint string) {
	h.t.Helper()
	h.Run("init", "--store", Store, "--endpoint", endpoint, "--region", "us-east-1")
}

// Adopt makes a home of the repository at endpoint with nothing but a copy of
// another home's recovery key.
func (h *Home) Adopt(endpoint, recoveryKey string) {
	h.t.Helper()
	h.Run("init", "--store", Store, "--endpoint", endpoint, "--region", "us-east-1", "--recovery-key", recoveryKey)
}

// Lose removes all of the home but a copy of its recovery key, and returns the
// path of that. Nothing may be mounted.
func (h *Home) Lose() string {
	h.t.Helper()
	kept := filepath.Join(h.t.TempDir(), "recovery.key")
	key, err := os.ReadFile(filepath.Join(h.Dir, "recovery.key"))
	if err := errors.Join(err, os.WriteFile(kept, key, 0o600), os.RemoveAll(h.Dir)); err != nil {
		h.t.Fatal(err)
	}
	return kept
}

// Mount mounts the drive at h.At.
func (h *Home) Mount(flags ...string) {
	h.t.Helper()
	h.Run(append(append([]string{"mount"}, flags...), h.At)...)
}

// Setenv sets a variable, "name=value", for the commands to come.
func (h *Home) Setenv(v string) { h.env = append(h.env, v) }

// Command is tunesafe with arguments, in this home's environment.
func (h *Home) Command(args ...string) *exec.Cmd {
	cmd := exec.Command(h.program, args...)
	cmd.Env = h.env
	return cmd
}

// Run runs a command that must succeed and returns what it printed.
func (h *Home) Run(args ...string) string {
	h.t.Helper()
	stdout, stderr, code := h.Try(args...)
	if code != 0 {
		h.t.Fatalf("tunesafe %q: exit code %d\n%s%s", args, code, stdout, stderr)
	}
	return stdout
}

// Try runs a command.
func (h *Home) Try(args ...string) (stdout, stderr string, code int) {
	h.t.Helper()
	var out, problems bytes.Buffer
	cmd := h.Command(args...)
	cmd.Stdout, cmd.Stderr = &out, &problems
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		h.t.Fatalf("tunesafe %q: %v", args, err)
	}
	return out.String(), problems.String(), cmd.ProcessState.ExitCode()
}

// Status is what status --json prints.
func (h *Home) Status() control.Status {
	h.t.Helper()
	var s control.Status
	if err := json.Unmarshal([]byte(h.Run("status", "--json")), &s); err != nil {
		h.t.Fatal(err)
	}
	return s
}

// Pid is the process that serves the drive.
func (h *Home) Pid() int {
	h.t.Helper()
	pid := h.Status().PID
	if pid == 0 {
		h.t.Fatal("no process serves the drive")
	}
	return pid
}

// Signal sends a signal to a process and waits until it has ended.
func (h *Home) Signal(pid int, s syscall.Signal) {
	h.t.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		h.t.Fatalf("signal to %d: %v", pid, err)
	}
	h.AwaitEnd(pid)
}

// AwaitEnd returns when a process has ended.
func (h *Home) AwaitEnd(pid int) {
	h.t.Helper()
	const patience = 2 * time.Minute
	for begun := time.Now(); Alive(pid); time.Sleep(2 * time.Millisecond) {
		if time.Since(begun) > patience {
			h.t.Fatalf("process %d did not end within %v", pid, patience)
		}
	}
}

// Alive tells whether a process runs, or one of its threads still does: only with
// the last of them go its files and locks. A zombie does not run: nobody may be
// there to wait for it.
func Alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	return err == nil && (len(threads) > 1 || !strings.Contains(string(stat), ") Z "))
}

// Log is what the process that serves the drive, and those before it, wrote.
func (h *Home) Log() string {
	log, err := os.ReadFile(filepath.Join(h.Dir, "log", "tunesafe.log"))
	if err != nil {
		return err.Error()
	}
	return string(log)
}

// Mounted tells whether anything is mounted at h.At, served or not.
func (h *Home) Mounted() bool {
	table, err := os.ReadFile("/proc/self/mountinfo")
	return err == nil && strings.Contains(string(table), " "+h.At+" ")
}

// end takes everything down, whatever the test left.
func (h *Home) end() {
	if h.t.Failed() {
		log := h.Log()
		h.t.Logf("end of the log of %s:\n%s", h.Dir, log[max(0, len(log)-4000):])
	}
	if !h.Mounted() {
		return
	}
	var s control.Status
	out, err := h.Command("status", "--json").Output()
	if err == nil && json.Unmarshal(out, &s) == nil && s.PID != 0 {
		_ = syscall.Kill(s.PID, syscall.SIGKILL)
	}
	if out, err := exec.Command("fusermount3", "-u", "-z", h.At).CombinedOutput(); err != nil {
		h.t.Errorf("fusermount3 -u -z %s: %v: %s", h.At, err, out)
	}
}
