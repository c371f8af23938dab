package crash

import (
	"bufio"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/tests/tools"
)

// retagger renames the artist of the files named on its standard input, in
// place as every player does, and prints each name when its file is saved.
const retagger = `
import os, sys, mutagen
for name in sys.stdin.read().split("\n"):
    tags = mutagen.File(os.path.join(sys.argv[1], name), easy=True)
    tags["artist"] = sys.argv[2]
    tags.save()
    print(name, flush=True)
`

// TestKillWhileRetagging kills the program while mutagen rewrites tags: what was
// saved stays saved, what was not can be put right, and all becomes safe.
func TestKillWhileRetagging(t *testing.T) {
	rounds := tools.Count(t, 2, 10, 30)
	albums := tools.Count(t, 2, 10, 20)
	rng := rand.New(rand.NewPCG(uint64(tools.Seed(t)), 1))
	tools.Need(t, tools.Mutagen)
	r := newRig(t, albums, float64(albums)*6)
	r.Mount(settle)
	r.copyAll()
	r.Run("wait")
	before := r.audioBytes()

	// The same tagger makes the same bytes of a copy on an ordinary disk.
	mirror := filepath.Join(t.TempDir(), "mirror")
	if out, err := exec.Command("cp", "-a", r.lib, mirror).CombinedOutput(); err != nil {
		t.Fatalf("cp -a: %v\n%s", err, out)
	}
	var left []string
	for _, track := range r.sum.Tracks {
		if filepath.Ext(track.Path) != ".wav" { // mutagen has no easy tags for it
			left = append(left, track.Path)
		}
	}
	retag(t, mirror, left, nil)

	var finished []string
	for n := range rounds {
		share := left[:max(len(left)/(rounds-n+1), 1)]
		pid := r.Pid()
		delay := time.Duration(rng.Int64N(int64(10 * time.Millisecond)))
		last := rng.IntN(len(share))
		done := retag(t, r.At, share, func(saved int) {
			if saved == last {
				time.AfterFunc(delay, func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
			}
		})
		r.AwaitEnd(pid)
		finished, left = append(finished, share[:done]...), left[done:]
		r.Mount(settle)
		for _, f := range finished {
			sameBytes(t, filepath.Join(mirror, f), filepath.Join(r.At, f))
		}
		if t.Failed() {
			t.Fatalf("lost in round %d of %d", n+1, rounds)
		}
	}
	r.finishBytes(mirror)
	r.mustBecomeSafe()
	t.Logf("figure: %d kills while retagging %d tracks; %d bytes of audio sent", rounds, len(finished)+len(left), r.audioBytes()-before)
	cold := r.fromBucketAlone()
	for _, f := range r.files {
		sameBytes(t, filepath.Join(mirror, f), filepath.Join(cold.At, f))
	}
}

// finishBytes copies from mirror what differs.
func (r *rig) finishBytes(mirror string) {
	r.t.Helper()
	out, err := exec.Command(tools.Need(r.t, "rsync")[0], "-aX", "--checksum", mirror+"/", r.At).CombinedOutput()
	if err != nil {
		r.t.Fatalf("rsync: %v\n%s", err, out)
	}
}

// retag runs the retagger and returns how many files it saved. saved, if not
// nil, is called before each with how many there were so far, and then the
// retagger may fail.
func retag(t testing.TB, root string, files []string, saved func(int)) (done int) {
	t.Helper()
	cmd := exec.Command("/usr/bin/python3", "-c", retagger, root, "Sibelius")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if saved == nil {
		cmd.Stderr = os.Stderr
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for i, f := range files {
		if i > 0 {
			f = "\n" + f
		}
		if _, err := in.Write([]byte(f)); err != nil {
			t.Fatal(err)
		}
	}
	in.Close()
	if saved != nil {
		saved(0)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		done++
		if saved != nil {
			saved(done)
		}
	}
	if err := cmd.Wait(); err != nil && saved == nil {
		t.Fatalf("retagging %s: %v", root, err)
	}
	return done
}
