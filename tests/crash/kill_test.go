package crash

import (
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/tests/tools"
)

// kill is one kill -9, and what it may excuse.
type kill struct {
	at   time.Time
	file int64 // bytes of the file that was being copied
}

// TestKillWhileCopying is show 5: whatever cp had finished when the program was
// killed is there afterwards and becomes safe, and what the bucket had
// acknowledged is not sent again.
func TestKillWhileCopying(t *testing.T) {
	rounds := tools.Count(t, 4, 20, 60)
	albums := tools.Count(t, 4, 16, 40)
	rng := rand.New(rand.NewPCG(uint64(tools.Seed(t)), 0))
	r := newRig(t, albums, float64(albums)*12)

	left, finished := r.files, []string(nil)
	var kills []kill
	for n := range rounds {
		r.Mount(settle)
		r.mustHave(finished)
		share := len(left) / (rounds - n + 1) // some are left when the last round ends
		done, k := r.copyUntilKilled(rng, left[:max(share, 1)])
		finished, left = append(finished, left[:done]...), left[done:]
		kills = append(kills, k)
		if t.Failed() {
			t.Fatalf("lost in round %d of %d", n+1, rounds)
		}
	}
	r.Mount(settle)
	r.mustHave(finished)
	r.finishCopy(len(left))
	r.mustBecomeSafe()
	tools.SameTree(t, r.lib, r.At)
	r.mustNotRepeat(kills)
	cold := r.fromBucketAlone()
	tools.SameTree(t, r.lib, cold.At)
}

// finishCopy has rsync copy what is missing, which must be no more than so many
// files.
func (r *rig) finishCopy(files int) {
	r.t.Helper()
	out, err := exec.Command(tools.Need(r.t, "rsync")[0], "-aX", "--itemize-changes", r.lib+"/", r.At).CombinedOutput()
	if err != nil {
		r.t.Fatalf("rsync: %v\n%s", err, out)
	}
	if n := strings.Count(string(out), ">f"); n > files {
		r.t.Errorf("rsync found %d files to copy, %d were missing:\n%s", n, files, out)
	}
}

// mustHave compares the files with those of the library.
func (r *rig) mustHave(files []string) {
	r.t.Helper()
	for _, f := range files {
		tools.SameFile(r.t, filepath.Join(r.lib, f), filepath.Join(r.At, f))
	}
}

// copyUntilKilled copies files one after another, with small pauses in which
// uploads go on, and kills the program during one of them or shortly after. It
// returns how many were finished.
func (r *rig) copyUntilKilled(rng *rand.Rand, files []string) (done int, k kill) {
	r.t.Helper()
	pid := r.Pid()
	last := rng.IntN(len(files))
	killed := make(chan time.Time, 1)
	for i, f := range files {
		if i == last {
			delay := time.Duration(rng.Int64N(int64(25 * time.Millisecond)))
			if rng.IntN(3) == 0 { // now and then in the midst of uploading
				delay = time.Duration(rng.Int64N(int64(time.Second)))
			}
			time.AfterFunc(delay, func() {
				_ = syscall.Kill(pid, syscall.SIGKILL) // the process is there: nobody else ends it
				killed <- time.Now()
			})
		}
		if err := r.copyFile(f); err != nil {
			if i < last {
				r.t.Errorf("cp -a %s: %v", f, err)
			}
			k.file = r.size(f)
			break
		}
		done++
		if i < last {
			time.Sleep(time.Duration(rng.Int64N(int64(250 * time.Millisecond))))
		}
	}
	k.at = <-killed
	r.AwaitEnd(pid)
	return done, k
}

func (r *rig) size(file string) int64 {
	for _, t := range r.sum.Tracks {
		if t.Path == file {
			return t.Size
		}
	}
	return 0
}

// mustNotRepeat checks that no sound was sent twice but what was on its way when
// the program was killed.
func (r *rig) mustNotRepeat(kills []kill) {
	r.t.Helper()
	const (
		late   = 100 * time.Millisecond // an answer may have been under way so long
		padded = 17 << 10               // an object is padded to 16 KiB, and sealed: FORMAT.md §4
	)
	allowed := r.sum.Bytes
	objects := int64(0)
	for _, e := range r.proxy.Log() {
		if e.Op != "PutObject" || !strings.HasPrefix(e.Key, "library/audio/") {
			continue
		}
		objects++
		for _, k := range kills {
			if e.Start.Before(k.at.Add(late)) && e.Start.Add(e.Took).After(k.at.Add(-late)) {
				allowed += e.Up
				break
			}
		}
	}
	for _, k := range kills {
		allowed += k.file // its first part may have been uploaded as it was
	}
	allowed += objects * padded
	sent := r.audioBytes()
	r.t.Logf("figure: %d kills; audio sent %d bytes in %d objects, library %d bytes, allowed with what was on its way %d",
		len(kills), sent, objects, r.sum.Bytes, allowed)
	if sent > allowed {
		r.t.Errorf("%d bytes of audio were sent, more than the %d of the library and what was on its way", sent, allowed)
	}
	if sent < r.sum.Bytes/2 {
		r.t.Errorf("only %d bytes of audio were seen of a library of %d: does the proxy count?", sent, r.sum.Bytes)
	}
}
