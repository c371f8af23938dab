package feed

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// TestRandomBraked changes a folder at random with a brake that holds almost
// anything. What is held stays readable and as it was, whatever else happens, until
// it is approved, or mended; once all is approved the place has the folder.
func TestRandomBraked(t *testing.T) {
	for range tools.Count(t, 4, 60, 600) {
		seed := tools.Seed(t)
		t.Run(fmt.Sprint(seed), func(t *testing.T) { randomBraked(t, seed) })
	}
}

func randomBraked(t *testing.T, seed int64) {
	r := newRig(t)
	r.o.Limits = Limits{GoneFiles: 1, GoneShare: 0.001, Emptied: 1, Rotten: 1, Unreadable: 1}
	m := &mutator{r: r, rnd: rand.New(rand.NewPCG(uint64(seed), 2))}
	defer func() {
		if t.Failed() {
			t.Log(m.log)
		}
	}()
	for i := range 20 {
		r.write(fmt.Sprintf("%c/%d.mp3", 'a'+i%3, i), track(fmt.Sprint(i), "a", "b", uint64(i)))
		r.write(fmt.Sprintf("%c/%d", 'a'+i%3, i), body(fmt.Sprint(i)))
	}
	r.backup()
	for round := range 12 {
		for range 1 + m.rnd.IntN(10) {
			m.step()
		}
		before := r.heldNow()
		if m.rnd.IntN(4) == 0 {
			m.cutShort()
		}
		r.backup()
		r.stillHas(before)
		if t.Failed() {
			t.Fatalf("round %d of seed %d", round, seed)
		}
		m.log = ""
		switch m.rnd.IntN(5) {
		case 0:
			_, err := Decide(r.cache, r.place(), Rejected)
			must(t, err)
		case 1, 2:
			r.approveAll()
			if r.same(); t.Failed() {
				t.Fatalf("round %d of seed %d", round, seed)
			}
		}
	}
}

// approveAll approves and backs up until nothing is held.
func (r *rig) approveAll() {
	r.t.Helper()
	for range 6 {
		_, err := Decide(r.cache, r.place(), Approved)
		must(r.t, err)
		if rep := r.backup(); len(rep.Held) == 0 {
			return
		}
	}
	r.t.Error("after six approvals it still holds")
}

// heldNow is what every held file of the place reads as.
func (r *rig) heldNow() map[cache.Ino]string {
	r.t.Helper()
	rec, err := loadRecord(r.cache, r.place().Dir)
	must(r.t, err)
	now := map[cache.Ino]string{}
	for kind, h := range rec.Held {
		for ino := range h.set() {
			a, err := r.cache.Attr(ino)
			if err != nil {
				r.t.Errorf("held %s: inode %x: %v", kind, ino, err)
				continue
			}
			// What has another name may change under that one.
			if typeOf(a.Mode) == unix.S_IFREG && a.Nlink == 1 && r.cache.StaleReason(ino) == nil {
				now[ino] = string(r.read(ino, a.Size))
			}
		}
	}
	return now
}

// stillHas tells whether the place lost or changed what was held and still is.
func (r *rig) stillHas(before map[cache.Ino]string) {
	r.t.Helper()
	now := r.heldNow()
	for ino := range maps.Keys(before) {
		if text, ok := now[ino]; ok && text != before[ino] {
			r.t.Errorf("inode %x is held, and has %d other bytes", ino, len(text))
		}
		if _, err := r.cache.Attr(ino); errors.Is(err, cache.ErrNotExist) && now[ino] != "" {
			r.t.Errorf("inode %x was held and is gone", ino)
		}
	}
}
