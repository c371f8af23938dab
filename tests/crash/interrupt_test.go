package crash

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	gosync "sync"
	"syscall"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/place"
	"github.com/tunesafe/tunesafe/tests/s3proxy"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// Figures of the line of an interrupted backup: an object takes seconds.
const (
	interruptedLine  = 150_000 // bytes a second
	interruptedAlbum = 3       // megabytes, six tracks; one for four interruptions
	interruptedPause = 2 * time.Second
	answerUnderWay   = 150 * time.Millisecond
	longSleep        = 80 * time.Second // longer than any exchange may stand still
	wakes            = 60 * time.Second // until uploading goes on after an interruption
)

// interruption is one, and when it was.
type interruption struct {
	what       string
	begin, end time.Time
}

// TestInterruptions interrupts one first backup again and again, in every way in
// which that happens, at random moments: what the bucket had acknowledged is not
// sent again, each interruption costs no more than what was in flight, and in the
// end the bucket has the tree.
func TestInterruptions(t *testing.T) {
	t.Parallel() // it mostly waits
	count := tools.Count(t, 4, 50, 300)
	seed := tools.Seed(t)
	rng := rand.New(rand.NewPCG(uint64(seed), 50))
	albums := count / 4
	r := newRig(t, albums, float64(albums)*interruptedAlbum)
	r.proxy.Set(s3proxy.Faults{UpRate: interruptedLine})
	r.backUp()
	ways := []func(*rig, *rand.Rand) interruption{kill9, sigterm, cutLine, stopped}
	var all []interruption
	how := map[string]int{}
	for len(all) < count {
		if !drive.Alive(r.backup.Process.Pid) {
			t.Fatalf("the backup ended after %d interruptions:\n%s", len(all), r.said.Bytes())
		}
		pause := interruptedPause
		if rng.IntN(4) == 0 { // time for a pack of tags, too
			pause *= 5
		}
		sent := r.proxy.Stats().Count.Up
		time.Sleep(time.Duration(rng.Int64N(int64(pause))))
		if len(all)%4 != 0 { // on a busy machine the program may not have begun yet
			eventually(t, "an upload goes on", 2*time.Minute, func() bool {
				return r.proxy.Stats().Count.Up > sent || !drive.Alive(r.backup.Process.Pid)
			})
		}
		i := ways[len(all)%len(ways)](r, rng)
		how[i.what]++
		all = append(all, i)
	}
	if err := r.ended(); err != nil {
		t.Fatalf("the backup that was let be: %v\n%s", err, r.said.Bytes())
	}
	r.judge(all, how)
	if t.Failed() {
		for _, i := range all {
			t.Logf("%s from %s to %s", i.what, i.begin.Format("05.000"), i.end.Format("05.000"))
		}
		for _, e := range r.proxy.Log() {
			if e.Op == "PutObject" {
				t.Logf("%s from %s took %v, %d bytes, status %d, %d %s", e.Key, e.Start.Format("05.000"), e.Took, e.Up, e.Status, e.Backend, e.Fault)
			}
		}
	}
	r.proxy.Set(s3proxy.Faults{})
	r.Run("check", "--read")
	cold, out := drive.New(t, r.server), filepath.Join(t.TempDir(), "out")
	cold.Adopt(r.proxy.URL, r.Lose())
	cold.Run("restore", "/", out)
	place.Same(t, r.lib, filepath.Join(out, filepath.Base(r.lib)))
}

// backUp begins a backup of the library, or goes on with it.
func (r *rig) backUp() {
	r.t.Helper()
	r.said.Reset()
	r.backup = r.Command("backup", r.lib)
	r.backup.Stdout, r.backup.Stderr = &r.said, &r.said
	if err := r.backup.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.ended = gosync.OnceValue(r.backup.Wait)
}

func kill9(r *rig, _ *rand.Rand) interruption {
	i := interruption{what: "kill -9", begin: time.Now()}
	_ = r.backup.Process.Kill()
	_ = r.ended()
	i.end = time.Now()
	r.backUp()
	return i
}

// sigterm is what a shutdown sends; the program must end at once, also amid an
// object that needs minutes.
func sigterm(r *rig, _ *rand.Rand) interruption {
	r.t.Helper()
	i := interruption{what: "SIGTERM", begin: time.Now()}
	_ = r.backup.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(endPatience, func() {
		r.t.Errorf("SIGTERM did not end the program in %v", endPatience)
		_ = r.backup.Process.Kill()
	})
	_ = r.ended()
	timer.Stop()
	i.end = time.Now()
	r.slowestEnd = max(r.slowestEnd, i.end.Sub(i.begin))
	r.backUp()
	return i
}

func cutLine(r *rig, rng *rand.Rand) interruption {
	i := interruption{what: "cut line", begin: time.Now()}
	r.proxy.Set(s3proxy.Faults{Offline: true})
	time.Sleep(time.Duration(rng.Int64N(int64(2 * time.Second))))
	r.proxy.Set(s3proxy.Faults{UpRate: interruptedLine})
	i.end = time.Now()
	return i
}

// stopped is a machine that sleeps: nothing of the program runs, and meanwhile
// its connections end.
func stopped(r *rig, rng *rand.Rand) interruption {
	pid := r.backup.Process.Pid
	i := interruption{what: "sleep", begin: time.Now()}
	_ = syscall.Kill(pid, syscall.SIGSTOP)
	length := time.Duration(rng.Int64N(int64(time.Second)))
	if r.sleeps++; r.sleeps <= 2 && tools.Tier() != "ci" {
		length = longSleep
	}
	time.Sleep(length)
	if r.sleeps%2 == 0 {
		r.proxy.Set(s3proxy.Faults{Offline: true})
		time.Sleep(100 * time.Millisecond)
		r.proxy.Set(s3proxy.Faults{UpRate: interruptedLine})
	}
	_ = syscall.Kill(pid, syscall.SIGCONT)
	i.end = time.Now()
	return i
}

// near reports whether a request was under way when it happened.
func (i interruption) near(e s3proxy.Entry) bool {
	return e.Start.Before(i.end) && e.Start.Add(e.Took).After(i.begin.Add(-answerUnderWay))
}

// judge reads the log of the bucket's requests. Sound that is sent again is sealed
// anew and has another name; but all that was acknowledged, each sound once, is
// the library, so that whatever went twice is too much.
func (r *rig) judge(all []interruption, how map[string]int) {
	r.t.Helper()
	const padded = 17 << 10 // an object is padded to 16 KiB, and sealed: FORMAT.md §4
	var sent, acked, largest, excess int64
	objects := 0
	idle := make([]time.Duration, len(all)) // from an interruption until an upload went on
	for n := range idle {
		idle[n] = time.Hour
	}
	hit := map[int]bool{} // interruptions that were amid an upload
	for _, e := range r.proxy.Log() {
		for n, i := range all {
			if e.Op == "PutObject" && i.near(e) {
				hit[n] = true
			}
			if e.Op == "PutObject" && e.Status == 200 && e.Start.Add(e.Took).After(i.end) {
				idle[n] = min(idle[n], max(0, e.Start.Sub(i.end)))
			}
		}
		if e.Op != "PutObject" || !strings.HasPrefix(e.Key, drive.Prefix+"audio/") {
			continue
		}
		sent += e.Up
		largest = max(largest, e.Up)
		switch near := slices.ContainsFunc(all, func(i interruption) bool { return i.near(e) }); {
		case near:
			excess += e.Up
		case e.Status == 200:
			objects++
			acked += e.Up - padded
		default:
			r.t.Errorf("an object broke off by itself, with %d of its bytes sent, status %d (%s)", e.Up, e.Status, e.Fault)
		}
	}
	r.t.Logf("figure: %d interruptions (%v) of a first backup of %d bytes at %d bytes a second: %d of them amid an upload; %d bytes of audio sent, %d of them amid an interruption; SIGTERM ended the program within %v",
		len(all), how, r.sum.Bytes, interruptedLine, len(hit), sent, excess, r.slowestEnd.Round(time.Millisecond))
	r.t.Logf("figure: an upload that succeeded was under way %v after an interruption at the latest", slices.Max(idle).Round(10*time.Millisecond))
	if slices.Max(idle) > wakes {
		r.t.Errorf("after an interruption uploading did not go on: %v", idle)
	}
	if len(hit) < len(all)/2 {
		r.t.Errorf("%d of %d interruptions were amid an upload: the test proves little", len(hit), len(all))
	}
	if objects < r.sum.Files/4 {
		r.t.Errorf("%d objects were acknowledged away from interruptions: the test proves little", objects)
	}
	if acked > r.sum.Bytes {
		r.t.Errorf("%d bytes of sound were acknowledged, the library has %d: something was sent again", acked, r.sum.Bytes)
	}
	if allowed := r.sum.Bytes + int64(len(all))*largest; sent > allowed {
		r.t.Errorf("%d bytes of sound were sent, more than the library and one object for each interruption, %d", sent, allowed)
	}
}
