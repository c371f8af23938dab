// Package agent runs tunesafe agent as people have it run: a process that is told
// nothing more, beside a folder that changes.
package agent

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/s3proxy"
)

func TestMain(m *testing.M) { os.Exit(drive.Main(m)) }

// house is a home with a folder that is backed up, and a proxy before its bucket.
type house struct {
	*drive.Home
	t     *testing.T
	music string
	proxy *s3proxy.Proxy
}

func newHouse(t *testing.T) *house {
	t.Helper()
	server := realserver.StartEmbedded(t)
	h := &house{Home: drive.New(t, server), t: t, music: filepath.Join(t.TempDir(), "Music"), proxy: s3proxy.Start(server.Endpoint)}
	t.Cleanup(h.proxy.Close)
	h.proxy.SetRoot(drive.Prefix)
	if err := os.Mkdir(h.music, 0o755); err != nil {
		t.Fatal(err)
	}
	h.Init(h.proxy.URL)
	h.write("first", 100)
	h.Run("backup", h.music)
	t.Cleanup(func() {
		if pid := h.Status().PID; pid != 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			h.AwaitEnd(pid)
		}
	})
	return h
}

// write makes a file in the folder that no other equals.
func (h *house) write(name string, size int) {
	h.t.Helper()
	data := []byte(strings.Repeat(name+" ", size/len(name)+1))
	for i := range data {
		data[i] ^= byte(i*i>>7 ^ i>>13)
	}
	if err := os.WriteFile(filepath.Join(h.music, name), data[:size], 0o644); err != nil {
		h.t.Fatal(err)
	}
}

// start starts an agent that looks at a folder soon after it changed.
func (h *house) start(flags ...string) (pid int) {
	h.t.Helper()
	h.Run(append([]string{"agent", "--after-change", "300ms"}, flags...)...)
	s := h.Status()
	if s.PID == 0 || s.Agent == nil || !s.Agent.Runs {
		h.t.Fatalf("no agent: %+v", s)
	}
	return s.PID
}

// look asks as tunesafe status does, without a process for each question.
func (h *house) look() control.Status {
	h.t.Helper()
	c, err := control.Dial(h.t.Context(), filepath.Join(h.Dir, "run"))
	if err != nil {
		return h.Status()
	}
	s, err := c.Status(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

func (h *house) await(what string, f func(control.Status) bool) {
	h.t.Helper()
	const patience = 2 * time.Minute
	for begun := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		s := h.look()
		if f(s) {
			return
		}
		if time.Since(begun) > patience {
			h.t.Fatalf("does not come true: %s; %+v, agent %+v", what, s, s.Agent)
		}
	}
}

func safeFiles(n int64) func(control.Status) bool {
	return func(s control.Status) bool { return s.Safe() && s.SafeFiles == n }
}

// never holds that something stays as it is for a while.
func (h *house) never(what string, f func(control.Status) bool) {
	h.t.Helper()
	for begun := time.Now(); time.Since(begun) < 2*time.Second; time.Sleep(100 * time.Millisecond) {
		if s := h.look(); f(s) {
			h.t.Fatalf("%s: %+v, agent %+v", what, s, s.Agent)
		}
	}
}

// closed is a window that opens in some hours.
func closed() string {
	now := time.Now()
	return now.Add(3*time.Hour).Format("15:04") + "-" + now.Add(4*time.Hour).Format("15:04")
}

// open is a window that is open, for a while.
func open() string {
	now := time.Now()
	return now.Add(-time.Hour).Format("15:04") + "-" + now.Add(2*time.Hour).Format("15:04")
}

// TestByItself: what changes in a folder is backed up with nobody asking, through
// kill -9, SIGTERM and pauses.
func TestByItself(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pid := h.start("--window", open())
	h.write("second", 1000)
	h.await("a new file is backed up", safeFiles(2))
	if err := os.Mkdir(filepath.Join(h.music, "Album"), 0o755); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	h.write("Album/third", 1000)
	h.await("and one in a new folder", safeFiles(3))

	h.Signal(pid, syscall.SIGKILL)
	h.write("fourth", 1000)
	pid = h.start()
	h.await("what changed while it was dead is found", safeFiles(4))

	h.Run("pause")
	h.write("fifth", 1000)
	h.never("backed up in a pause", func(s control.Status) bool { return s.SafeFiles > 4 })
	if _, stderr, code := h.Try("run-now"); code == 0 || !strings.Contains(stderr, "tunesafe resume") {
		t.Errorf("run-now in a pause: %d, %s", code, stderr)
	}
	h.Signal(pid, syscall.SIGTERM)
	if log := h.Log(); !strings.Contains(log[strings.LastIndex(log, "msg=start"):], `msg=end pid=`+strconv.Itoa(pid)+` err=<nil>`) {
		t.Error("SIGTERM does not end it in order")
	}
	if s := h.Status(); !s.Agent.Paused {
		t.Error("the pause ended with the process")
	}
	h.start()
	h.never("backed up in a pause from before", func(s control.Status) bool { return s.SafeFiles > 4 })
	h.Run("resume")
	h.await("what changed in the pause is backed up", safeFiles(5))
	if _, stderr, code := h.Try("agent"); code == 0 || !strings.Contains(stderr, "an agent serves this home already") {
		t.Errorf("a second agent: %d, %s", code, stderr)
	}
}

// TestWindow: nothing goes up outside the window but on run-now.
func TestWindow(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.start("--window", closed())
	h.proxy.Reset()
	h.write("second", 1000)
	h.never("backed up outside the window", func(s control.Status) bool { return s.SafeFiles > 1 || s.Agent.Working })
	if n := h.proxy.Stats().Ops["PutObject"].Requests; n > 0 {
		t.Errorf("%d uploads outside the window", n)
	}
	if out := h.Run("status"); !strings.Contains(out, "outside the window, next at ") {
		t.Errorf("status does not say when:\n%s", out)
	}
	h.Run("run-now", "Music")
	h.await("run-now backs up", safeFiles(2))
	h.await("and it rests again", func(s control.Status) bool { return !s.Agent.Working })
	h.write("third", 1000)
	h.Run("backup", h.music) // who asks for a backup wants it now
	h.await("tunesafe backup backs up", safeFiles(3))
	if _, stderr, code := h.Try("run-now", "Nowhere"); code == 0 || !strings.Contains(stderr, "Nowhere") {
		t.Errorf("run-now of no place: %d, %s", code, stderr)
	}
}

// TestLimit measures what goes over the wire under a limit, and the end of a
// window of pauses within an object.
func TestLimit(t *testing.T) {
	t.Parallel()
	const limit = 100e3
	h := newHouse(t)
	h.start("--limit-upload", "100kB/s")
	h.write("large", 3e6)
	h.await("the upload has begun", func(s control.Status) bool { return h.proxy.Stats().Count.Up > 50e3 })
	from, begun := h.proxy.Stats().WireUp, time.Now()
	time.Sleep(4 * time.Second)
	rate := float64(h.proxy.Stats().WireUp-from) / time.Since(begun).Seconds()
	t.Logf("%.0f bytes/s under a limit of %.0f", rate, limit)
	if rate < 0.3*limit || rate > 1.15*limit { // less, where the machine is busy
		t.Errorf("%.0f bytes/s under a limit of %.0f", rate, limit)
	}
	h.Run("pause")
	time.Sleep(2500 * time.Millisecond) // the grace
	from = h.proxy.Stats().WireUp
	time.Sleep(time.Second)
	if more := h.proxy.Stats().WireUp - from; more > 5000 {
		t.Errorf("%d bytes were sent in the pause", more)
	}
}

// TestAgentAndMount: an agent mounts the drive when it is asked to; where a mount
// owns the home it says what to do.
func TestAgentAndMount(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pid := h.start()
	h.Mount()
	if !h.Mounted() || h.Pid() != pid {
		t.Fatal("the agent does not show the drive")
	}
	if _, err := os.Stat(filepath.Join(h.At, "Music", "first")); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(h.At, "own"), []byte("on the drive"), 0o644); err != nil {
		t.Fatal(err)
	}
	h.await("what is on the drive is backed up, too", safeFiles(2))
	if _, stderr, code := h.Try("mount", h.At); code == 0 || !strings.Contains(stderr, "mounted there already") {
		t.Errorf("mounted twice: %d, %s", code, stderr)
	}
	h.Run("unmount", h.At)
	if h.Mounted() || !drive.Alive(pid) {
		t.Error("the agent did not stay, or the drive did")
	}
	h.Mount()
	h.Signal(pid, syscall.SIGTERM)
	if h.Mounted() {
		t.Error("the drive outlives the agent")
	}
	h.Mount()
	if _, stderr, code := h.Try("agent"); code == 0 || !strings.Contains(stderr, "agent --mount "+h.At) {
		t.Errorf("an agent beside a mount: %d, %s", code, stderr)
	}
	h.Run("pause") // a mount can be paused, too
	if s := h.Status(); !s.Agent.Paused || s.Agent.Runs {
		t.Errorf("a paused mount: %+v", s.Agent)
	}
	h.Run("resume")
	h.Run("unmount", h.At)
}

// TestService is an agent under a service manager, which it tells how it is.
func TestService(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	at := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: at, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	cmd := h.Command("agent", "--foreground", "--window", open())
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+at, "WATCHDOG_USEC=20000000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	told := func(what string) {
		t.Helper()
		_ = manager.SetReadDeadline(time.Now().Add(2 * time.Minute))
		for buf := make([]byte, 1000); ; {
			n, err := manager.Read(buf)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if strings.Contains(string(buf[:n]), what) {
				return
			}
		}
	}
	told("READY=1")
	told("WATCHDOG=1")
	told("STATUS=working")
	expectQuiet(t, cmd.Process.Pid)
	h.Run("pause")
	told("STATUS=paused")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	told("STOPPING=1")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// expectQuiet looks at every thread: the last in the queues for processors and disk.
func expectQuiet(t *testing.T, pid int) {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(threads) < 3 {
		t.Fatalf("%d threads, %v", len(threads), err)
	}
	for _, thread := range threads {
		stat, err := os.ReadFile(thread)
		if err != nil {
			continue // it ended
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		if nice := strings.Fields(rest)[16]; nice != "19" { // proc_pid_stat(5), field 19
			t.Errorf("%s: nice %s", thread, nice)
		}
		out, err := exec.Command("ionice", "-p", filepath.Base(filepath.Dir(thread))).Output()
		if err == nil && strings.TrimSpace(string(out)) != "idle" {
			t.Errorf("%s: ionice %s", thread, out)
		}
	}
}

// TestNeedsAPerson: a bucket that refuses is told to programs that watch, and the
// log has it once.
func TestNeedsAPerson(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.start()
	if out, _, code := h.Try("status", "--check"); code != 0 || out != "" {
		t.Errorf("all is well: %d, %s", code, out)
	}
	h.proxy.Before(func(r *http.Request) s3proxy.Action {
		if s3proxy.Op(r) == "PutObject" {
			return s3proxy.Refuse(http.StatusForbidden, "AccessDenied")
		}
		return s3proxy.Forward
	})
	h.write("second", 1000)
	h.await("the refusal is told", func(s control.Status) bool { return len(s.Needs) > 0 })
	out, _, code := h.Try("status", "--check")
	if code != 6 || !strings.Contains(out, "access denied") || !strings.Contains(out, "hint: ") {
		t.Errorf("refused: %d, %s", code, out)
	}
	h.await("the log has it", func(control.Status) bool { return strings.Contains(h.Log(), "needs a person") })
	h.proxy.Before(nil)
	h.Run("run-now")
	h.await("it goes on by itself", safeFiles(2))
	if _, _, code := h.Try("status", "--check"); code != 0 {
		t.Errorf("it is over: %d", code)
	}
	if n := strings.Count(h.Log(), "needs a person"); n != 1 {
		t.Errorf("told %d times", n)
	}
}
