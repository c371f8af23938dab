package machine

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/tests/tools"
)

func TestOnMains(t *testing.T) {
	type supply map[string]string
	mains := func(online string) supply { return supply{"type": "Mains", "online": online} }
	battery := func(status string) supply { return supply{"type": "Battery", "status": status} }
	for name, test := range map[string]struct {
		supplies []supply
		want     bool
	}{
		"no supplies are told":        {nil, true},
		"plugged in":                  {[]supply{mains("1"), battery("Charging")}, true},
		"plugged out":                 {[]supply{mains("0"), battery("Discharging")}, false},
		"by USB":                      {[]supply{mains("0"), {"type": "USB", "online": "1"}, battery("Discharging")}, true},
		"battery alone":               {[]supply{battery("Discharging")}, false},
		"full, and does not say more": {[]supply{battery("Full")}, true},
		"a mouse without wire":        {[]supply{{"type": "Battery", "status": "Discharging", "scope": "Device"}}, true},
	} {
		dir := t.TempDir()
		for i, s := range test.supplies {
			at := filepath.Join(dir, fmt.Sprint("supply", i))
			if err := os.Mkdir(at, 0o755); err != nil {
				t.Fatal(err)
			}
			for file, text := range s {
				if err := os.WriteFile(filepath.Join(at, file), []byte(text+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got := onMains(dir); got != test.want {
			t.Errorf("%s: on mains is %t", name, got)
		}
	}
	if !onMains(filepath.Join(t.TempDir(), "absent")) {
		t.Error("a machine that tells nothing is on battery")
	}
}

func TestSlept(t *testing.T) {
	var w SleepWatch
	wall := time.Date(2026, 3, 29, 2, 0, 0, 0, time.UTC)
	for _, step := range []struct {
		wall, ran time.Duration
		want      bool
	}{
		{time.Hour, time.Hour, false}, // the first look knows nothing
		{2 * time.Hour, time.Hour + time.Minute, true},
		{2*time.Hour + time.Minute, time.Hour + 2*time.Minute, false},
		{2*time.Hour + 70*time.Second, time.Hour + 2*time.Minute, false}, // NTP
		{time.Hour, time.Hour + 3*time.Minute, false},                    // set back
	} {
		if got := w.look(wall.Add(step.wall), step.ran); got != step.want {
			t.Errorf("%v on the wall, %v on the other clock: slept is %t", step.wall, step.ran, got)
		}
	}
	w = SleepWatch{}
	if w.Slept(time.Now()) || w.Slept(time.Now()) {
		t.Error("slept within a test")
	}
}

// What others use is told from what this process does.
func TestIdleIsAboutOthers(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	busy, own, ok := processorTime()
	if !ok {
		t.Fatal("no processor time")
	}
	used := func() time.Duration { // by the wall's clock a busy machine gives it less
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	for begun := used(); used()-begun < 300*time.Millisecond; {
		_ = fmt.Sprint(begun)
	}
	busy2, own2, _ := processorTime()
	if used := own2 - own; used < 100*time.Millisecond {
		t.Errorf("300 ms of work count as %v", used)
	}
	if busy2-busy < 50*time.Millisecond {
		t.Errorf("the machine was busy for %v", busy2-busy)
	}
	if _, ok := parseStat([]byte("cpu  1 2 3 nonsense")); ok {
		t.Error("nonsense is processor time")
	}
	if b, ok := parseStat([]byte("cpu  100 50 25 1000 1000 3 2 0 0 0\ncpu0 1\n")); !ok || b != 1800*time.Millisecond {
		t.Errorf("busy for %v, %t", b, ok)
	}
}

// The test is run again as a process that yields, as that cannot be taken back.
const yieldEnv = "TUNESAFE_TEST_YIELD"

func TestYield(t *testing.T) {
	if os.Getenv(yieldEnv) != "" {
		yield(t)
		return
	}
	if runtime.GOOS != "linux" {
		t.Skip("threads have priorities of their own on Linux only")
	}
	child := exec.Command(os.Args[0], "-test.run=^TestYield$", "-test.v")
	child.Env = append(os.Environ(), yieldEnv+"=1")
	if out, err := child.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func yield(t *testing.T) {
	stop := make(chan struct{})
	var threads sync.WaitGroup
	occupy := func() { // a thread each
		threads.Go(func() { runtime.LockOSThread(); <-stop })
	}
	for range 20 {
		occupy()
	}
	if err := Yield(Quiet); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		occupy()
	}
	tasks, err := filepath.Glob("/proc/self/task/*/stat")
	for begun := time.Now(); len(tasks) < 40 && time.Since(begun) < time.Minute; tasks, err = filepath.Glob("/proc/self/task/*/stat") {
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil || len(tasks) < 40 {
		t.Fatalf("%d threads, %v", len(tasks), err)
	}
	for _, task := range tasks {
		stat, err := os.ReadFile(task)
		if err != nil {
			continue // it ended
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		if nice := strings.Fields(rest)[16]; nice != "19" { // proc_pid_stat(5), field 19
			t.Errorf("%s: nice %s", task, nice)
		}
		out, err := exec.Command("ionice", "-p", filepath.Base(filepath.Dir(task))).Output()
		if err == nil && strings.TrimSpace(string(out)) != "idle" {
			t.Errorf("%s: ionice %s", task, out)
		}
	}
	close(stop)
	threads.Wait()
}

// TestNotify speaks to a real bus, on which this test is the desktop.
func TestNotify(t *testing.T) {
	tools.Need(t, "dbus-daemon")
	address := startBus(t)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", address)
	if err := Notify("nobody", "listens"); err == nil {
		t.Error("shown, though there is no desktop")
	}
	bus, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	defer bus.Close()
	d := &desktop{shown: make(chan string, 1)}
	if err := bus.Export(d, "/org/freedesktop/Notifications", "org.freedesktop.Notifications"); err != nil {
		t.Fatal(err)
	}
	if _, err := bus.RequestName("org.freedesktop.Notifications", dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	if err := Notify("title", "text"); err != nil {
		t.Fatal(err)
	}
	if got := <-d.shown; got != "Tunesafe: title: text" {
		t.Errorf("shown: %q", got)
	}
}

type desktop struct{ shown chan string }

func (d *desktop) Notify(app string, _ uint32, _, title, text string, _ []string, _ map[string]dbus.Variant, _ int32) (uint32, *dbus.Error) {
	d.shown <- app + ": " + title + ": " + text
	return 1, nil
}

// startBus runs a bus of its own and returns its address.
func startBus(t *testing.T) string {
	t.Helper()
	address := "unix:path=" + filepath.Join(t.TempDir(), "bus")
	cmd := exec.Command("dbus-daemon", "--session", "--nofork", "--nopidfile", "--address="+address)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for range 3000 {
		if c, err := dbus.Connect(address); err == nil {
			c.Close()
			return address
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("the bus does not answer")
	return ""
}
