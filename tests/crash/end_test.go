package crash

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/tests/s3proxy"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// TestEnds ends the process that serves the drive in every orderly way while
// files wait: the mount is gone, the log says what waits, and the next mount has
// everything and uploads it.
func TestEnds(t *testing.T) {
	r := newRig(t, 1, 6)
	ends := []struct {
		name string
		end  func(pid int)
	}{
		{"SIGTERM", func(pid int) { r.Signal(pid, syscall.SIGTERM) }},
		{"SIGINT", func(pid int) { r.Signal(pid, syscall.SIGINT) }},
		{"fusermount3", func(pid int) {
			if out, err := exec.Command("fusermount3", "-u", r.At).CombinedOutput(); err != nil {
				t.Fatalf("fusermount3 -u: %v\n%s", err, out)
			}
			r.AwaitEnd(pid)
		}},
	}
	for _, e := range ends {
		t.Run(e.name, func(t *testing.T) {
			r.Mount(settle)
			r.Run("wait")
			r.proxy.Set(s3proxy.Faults{Offline: true})
			r.copyAll()
			waiting := r.Status().WaitingFiles
			if waiting != int64(len(r.files)) {
				t.Errorf("%d files wait, not %d", waiting, len(r.files))
			}
			e.end(r.Pid())
			if r.Mounted() {
				t.Error("still mounted")
			}
			mustSay(t, r.Log(), waiting)
			r.proxy.Set(s3proxy.Faults{})
			r.Mount(settle)
			tools.SameTree(t, r.lib, r.At)
			r.Run("wait", "--timeout", "2m")
			r.Run("unmount", r.At)
		})
	}
	r.Mount()
	r.mustBecomeSafe()
	tools.SameTree(t, r.lib, r.fromBucketAlone().At)
}

// TestEndInTheForeground interrupts a mount in the foreground, as Ctrl-C does.
func TestEndInTheForeground(t *testing.T) {
	r := newRig(t, 1, 6)
	r.proxy.Set(s3proxy.Faults{})
	cmd := r.Command("mount", "--foreground", "--settle=1h", r.At)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the drive is mounted", 2*time.Minute, r.Mounted)
	r.copyAll()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("mount --foreground: %v", err)
	}
	if r.Mounted() {
		t.Error("still mounted")
	}
	mustSay(t, stderr.String(), int64(len(r.files)))
}

// TestEndInUse sends SIGTERM while a program has a file open: it loses the drive,
// and what it had written is kept.
func TestEndInUse(t *testing.T) {
	r := newRig(t, 1, 6)
	r.Mount(settle)
	f, err := os.Create(filepath.Join(r.At, "half"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("written before the end"); err != nil {
		t.Fatal(err)
	}
	r.Signal(r.Pid(), syscall.SIGTERM)
	_ = f.Close() // reaches nobody
	if r.Mounted() {
		t.Error("still mounted")
	}
	r.Mount(settle)
	got, err := os.ReadFile(f.Name())
	if err != nil || string(got) != "written before the end" {
		t.Errorf("after the end: %q, %v", got, err)
	}
	r.mustBecomeSafe()
}

var waitingFiles = regexp.MustCompile(`msg=unmounted waiting_files=(\d+)`)

// mustSay looks for the last words of the process.
func mustSay(t testing.TB, log string, waiting int64) {
	t.Helper()
	all := waitingFiles.FindAllStringSubmatch(log, -1)
	if len(all) == 0 {
		t.Fatalf("the log does not say what waits:\n%s", log)
	}
	if got := all[len(all)-1][1]; got != strconv.FormatInt(waiting, 10) {
		t.Errorf("the log says that %s files wait, and %d do", got, waiting)
	}
}
