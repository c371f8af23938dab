package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errStrange = errors.New("strange")

// testOwner answers with what it was asked.
type testOwner struct {
	Remembering
	Showing
	Drawing
	cancelled chan struct{}
}

func (o *testOwner) Status(context.Context) (Status, error) { return Status{PID: 7}, nil }

func (o *testOwner) Wait(ctx context.Context, r WaitRequest, progress func(Status)) (Status, error) {
	for i := range 3 {
		progress(Status{WaitingFiles: int64(3 - i)})
	}
	if r.Timeout > 0 {
		<-ctx.Done()
		close(o.cancelled)
	}
	return Status{SafeFiles: 3}, ctx.Err()
}

func (o *testOwner) Unmount(_ context.Context, r UnmountRequest, _ func(Status)) (Status, error) {
	return Status{}, fmt.Errorf("%s: %w", r.Dir, errStrange)
}

func (o *testOwner) Restore(_ context.Context, r RestoreRequest, _ func(RestoreProgress)) (RestoreProgress, error) {
	return RestoreProgress{Files: int64(len(r.Paths))}, nil
}

func (o *testOwner) List(_ context.Context, r ListRequest, entry func(Entry)) error {
	entry(Entry{Name: r.Path})
	return nil
}

func (o *testOwner) Health(_ context.Context, r HealthRequest, file func(FileHealth)) (HealthReport, error) {
	file(FileHealth{Path: r.Path})
	return HealthReport{Files: 7}, nil
}

func (o *testOwner) Rehearse(_ context.Context, r RehearseRequest, _ func(RehearseProgress)) (Rehearsal, error) {
	return Rehearsal{Files: int64(r.Files)}, nil
}

func (o *testOwner) Prune(_ context.Context, r PruneRequest, _ func(PruneProgress)) (PruneReport, error) {
	return PruneReport{DryRun: r.DryRun}, nil
}

func (o *testOwner) Picture(_ context.Context, r PictureRequest) (Picture, error) {
	return Picture{Where: string(r.Path), Tracks: 7}, nil
}

func (o *testOwner) Backup(_ context.Context, r BackupRequest, progress func(BackupProgress)) (BackupReport, error) {
	progress(BackupProgress{Place: r.As})
	return BackupReport{Places: []PlaceReport{{Name: r.As, Root: r.Dirs[0]}}}, nil
}

func (o *testOwner) Detach(_ context.Context, r DetachRequest) error {
	return fmt.Errorf("%q: %w", r.Name, errStrange)
}

func (o *testOwner) Decide(_ context.Context, r DecideRequest) (DecideReport, error) {
	return DecideReport{Held: []Held{{Place: r.Name}}}, nil
}

func (*testOwner) Log(context.Context, LogRequest, func(LogCommit)) (LogReport, error) {
	return LogReport{}, nil
}

func (*testOwner) ExportLog(context.Context, ExportRequest, func(LogReport)) (ExportReport, error) {
	return ExportReport{}, nil
}

func (o *testOwner) Check(context.Context, CheckRequest, func(CheckProgress)) (CheckReport, error) {
	panic(http.ErrAbortHandler)
}

func (*testOwner) Repair(_ context.Context, r RepairRequest, progress func(RepairProgress)) (RepairReport, error) {
	put := RepairedObject{Object: string(r.From[0])}
	progress(RepairProgress{Put: &put})
	return RepairReport{Put: []RepairedObject{put}}, nil
}

func (o *testOwner) Work(context.Context, WorkRequest) (AgentStatus, error) {
	return AgentStatus{}, errStrange
}

func (o *testOwner) Mount(context.Context, MountRequest) error { return errStrange }

func explain(err error) *Fault { return &Fault{Text: err.Error(), Hint: "try again", Exit: 1} }

// start serves a new owner in dir until the test ends.
func start(t *testing.T, dir string) (*testOwner, *Client) {
	t.Helper()
	l, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	o := &testOwner{cancelled: make(chan struct{})}
	s := NewServer(o, explain)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), <-served); err != nil {
			t.Error(err)
		}
		if _, err := Dial(context.Background(), dir); !errors.Is(err, ErrNoOwner) {
			t.Errorf("after Close: %v", err)
		}
	})
	c, err := Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return o, c
}

// longDir is a folder whose socket does not fit into sun_path.
func longDir(t *testing.T) string {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 40))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestLongPath(t *testing.T) {
	dir := longDir(t)
	_, c := start(t, dir)
	if s, err := c.Status(t.Context()); err != nil || s.PID != 7 {
		t.Fatal(s, err)
	}
	info, err := os.Stat(filepath.Join(dir, socketName))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("mode of the socket: %v", info.Mode())
	}
}

func TestNoOwner(t *testing.T) {
	for _, dir := range []string{t.TempDir(), longDir(t), filepath.Join(t.TempDir(), "absent")} {
		if _, err := Dial(t.Context(), dir); !errors.Is(err, ErrNoOwner) {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// An owner that was killed leaves its socket.
func TestSocketLeft(t *testing.T) {
	dir := t.TempDir()
	l, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	l.(*listener).Listener.Close()
	if _, err := Dial(t.Context(), dir); !errors.Is(err, ErrNoOwner) {
		t.Fatal(err)
	}
	_, c := start(t, dir)
	if _, err := c.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestProgress(t *testing.T) {
	_, c := start(t, t.TempDir())
	var seen []int64
	s, err := c.Wait(t.Context(), WaitRequest{}, func(s Status) { seen = append(seen, s.WaitingFiles) })
	if err != nil || s.SafeFiles != 3 || fmt.Sprint(seen) != "[3 2 1]" {
		t.Error(s, err, seen)
	}
}

func TestFault(t *testing.T) {
	_, c := start(t, t.TempDir())
	_, err := c.Unmount(t.Context(), UnmountRequest{Dir: []byte("/mnt")}, nil)
	f, ok := errors.AsType[*Fault](err)
	if !ok || *f != (Fault{Text: "/mnt: strange", Hint: "try again", Exit: 1}) {
		t.Errorf("%#v", err)
	}
}

// Names are bytes: one that is not UTF-8 arrives unchanged.
func TestBytes(t *testing.T) {
	_, c := start(t, t.TempDir())
	name := "Bj\xf6rk\x00\n"
	err := c.List(t.Context(), ListRequest{Path: []byte(name)}, func(e Entry) {
		if string(e.Name) != name {
			t.Errorf("%q", e.Name)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

// What is asked of a backup arrives, and so does the answer.
func TestBackup(t *testing.T) {
	_, c := start(t, t.TempDir())
	name, told := "Bj\xf6rk", ""
	r, err := c.Backup(t.Context(), BackupRequest{As: []byte(name), Dirs: [][]byte{[]byte("/\xff")}},
		func(p BackupProgress) { told = string(p.Place) })
	if err != nil || told != name || len(r.Places) != 1 || string(r.Places[0].Name) != name || string(r.Places[0].Root) != "/\xff" {
		t.Errorf("%+v %v, told %q", r, err, told)
	}
	if err := c.Detach(t.Context(), DetachRequest{Name: []byte("a")}); err == nil || err.Error() != `"a": strange` {
		t.Error(err)
	}
	if d, err := c.Decide(t.Context(), DecideRequest{Name: []byte(name)}); err != nil || string(d.Held[0].Place) != name {
		t.Error(d, err)
	}
}

func TestRepair(t *testing.T) {
	_, c := start(t, t.TempDir())
	var told string
	r, err := c.Repair(t.Context(), RepairRequest{From: [][]byte{[]byte("/some")}}, func(p RepairProgress) { told = p.Put.Object })
	if err != nil || told != "/some" || len(r.Put) != 1 || !r.Whole() {
		t.Errorf("%+v %v, told %q", r, err, told)
	}
}

func TestCancel(t *testing.T) {
	o, c := start(t, t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Wait(ctx, WaitRequest{Timeout: time.Hour}, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	<-o.cancelled
}

// An owner that ends in the middle of an answer is told apart from a fault.
func TestEnded(t *testing.T) {
	_, c := start(t, t.TempDir())
	if _, err := c.Check(t.Context(), CheckRequest{}, nil); !errors.Is(err, ErrEnded) {
		t.Error(err)
	}
}

// An owner that ends tells whoever waits, and is not held up by them.
func TestCloseEndsWhatWaits(t *testing.T) {
	dir := t.TempDir()
	l, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(&testOwner{cancelled: make(chan struct{})}, explain)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	c, err := Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	waits := make(chan struct{}, 3)
	answer := make(chan error, 1)
	go func() {
		_, err := c.Wait(t.Context(), WaitRequest{Timeout: time.Hour}, func(Status) { waits <- struct{}{} })
		answer <- err
	}()
	<-waits
	begun := time.Now()
	if err := errors.Join(s.Close(), <-served); err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took >= closeTimeout {
		t.Errorf("closing took %v", took)
	}
	if err := <-answer; !errors.Is(err, ErrEnded) {
		t.Errorf("who waited is told %v", err)
	}
}

func TestConcurrentClients(t *testing.T) {
	dir := longDir(t)
	start(t, dir)
	var g sync.WaitGroup
	for range 20 {
		g.Go(func() {
			c, err := Dial(t.Context(), dir)
			if err != nil {
				t.Error(err)
				return
			}
			for range 5 {
				if s, err := c.Wait(t.Context(), WaitRequest{}, func(Status) {}); err != nil || s.SafeFiles != 3 {
					t.Error(s, err)
				}
			}
		})
	}
	g.Wait()
}

func (o *testOwner) Pin(context.Context, PinRequest) (PinReport, error) { return PinReport{}, nil }
