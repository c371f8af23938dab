package sync

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// TestRebuildFromPacks: the home is gone, and so is the log, or its end, with the commits of the
// checkpoints. What the last checkpoint had is rebuilt from its packs.
func TestRebuildFromPacks(t *testing.T) {
	tools.StepByStep(t)
	seed := tools.Seed(t)
	for _, keep := range []int{0, 3} {
		t.Run(fmt.Sprintf("%d commits left", keep), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(seed), uint64(keep)))
			w := newWorld(t)
			a := w.device("a")
			a.close()
			a.checkpoint = 1000
			a.open(w.st)
			at := func(step, i int) { // long names, so that the rows fill several blobs
				a.inFolder(fmt.Sprintf("folder %d", i%7), fmt.Sprintf("%s %d %03d", strings.Repeat("name ", 30), step, i), fmt.Appendf(nil, "content %d %d", step, i))
			}
			var kept []string
			for step := range 4 {
				for i := range 90 {
					at(step, i)
				}
				for range 10 * step {
					a.removeAny(rng)
				}
				a.wait()
				if step != 1 {
					a.checkpointNow()
				}
				kept = commitsOf(t, w, a.dev.ID)
			}
			want := a.tree()
			a.close()
			for _, name := range kept[keep:] {
				if err := w.raw.Delete(t.Context(), name); err != nil {
					t.Fatal(err)
				}
			}
			for info, err := range w.raw.List(t.Context(), "checkpoints/", "") {
				if err == nil && !strings.Contains(strings.Join(kept[:keep], " "), info.Key[len(info.Key)-64:]) {
					err = w.raw.Delete(t.Context(), info.Key)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			b := w.device("b")
			b.close()
			done, err := b.repaired(w.st, RepairOptions{GiveUp: true, Read: true})
			if err != nil || len(done.Left)+len(done.Lost) > 0 {
				t.Fatalf("%v, %+v", err, done)
			}
			if keep > 0 { // what was removed since may be there again: what is left of the log has it
				b.open(w.st)
				got := b.tree()
				b.close()
				for name := range got {
					if _, ok := want[name]; !ok {
						delete(got, name)
					}
				}
				if !maps.Equal(got, want) {
					t.Fatalf("%d of %d names are as they were", len(got), len(want))
				}
				return
			}
			want["new"] = "new"
			goesOn(t, w, b, want)
		})
	}
}

// removeAny removes some file in a folder.
func (d *device) removeAny(rng *rand.Rand) {
	d.t.Helper()
	dir, err := d.cache.Lookup(cache.Root, fmt.Sprintf("folder %d", rng.IntN(7)))
	if err != nil {
		d.t.Fatal(err)
	}
	list, err := d.cache.ReadDir(dir.Ino)
	if err == nil && len(list) > 0 {
		err = d.cache.Unlink(dir.Ino, list[rng.IntN(len(list))].Name)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// checkpointNow makes a checkpoint of what is there.
func (d *device) checkpointNow() {
	d.t.Helper()
	d.stop()
	if err := d.w.checkpoint(context.Background()); err != nil {
		d.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); d.w.Run(ctx) }()
	d.stop = func() { cancel(); <-ended }
}

// TestPlacesAreFoundAgain: objects of which only a lost commit told are known again by
// what they hold, where a file needs it.
func TestPlacesAreFoundAgain(t *testing.T) {
	sound := func(n byte) []byte { return []byte(strings.Repeat(string(rune('a'+n)), 30_000)) }
	w, b, commits := commitLost(t,
		func(a *device) { a.write("one.wav", track(sound(1), "first 01")) },
		func(a *device) { a.write("two.wav", track(sound(2), "second 2")) },
		func(a *device) { a.write("copy.wav", track(sound(2), "third 03")) })
	if err := w.raw.Delete(t.Context(), commits[1]); err != nil {
		t.Fatal(err)
	}
	done, err := b.repaired(w.st, RepairOptions{GiveUp: true, Read: true})
	if err != nil || len(done.Left)+len(done.Lost) > 0 {
		t.Fatalf("%v, %+v", err, done)
	}
	goesOn(t, w, b, map[string]string{"one.wav": string(track(sound(1), "first 01")), "copy.wav": string(track(sound(2), "third 03")), "new": "new"})
}
