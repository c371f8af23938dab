package sync

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/store/mem"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// TestMendFromVersions: somebody who can write to the bucket deletes everything, or
// writes other bytes over it, or both and several times. Where the bucket keeps
// versions a check says so of each, and all of it is brought back from there: the home
// has neither contents nor packs nor small objects, and its folder is empty.
func TestMendFromVersions(t *testing.T) {
	ctx := context.Background()
	m := mem.NewVersioned(0, time.Now)
	h := newHurtIn(t, newWorldIn(t, m), tools.Seed(t))
	h.forget(true, true)
	if err := os.RemoveAll(filepath.Join(h.d.dir, "kept")); err != nil {
		t.Fatal(err)
	}
	outer := h.fed + "-away"
	if err := os.Rename(h.fed, outer); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(outer)
	unhid, again := 0, 0
	for _, key := range h.keys("") {
		body, sealed := h.get(key), strings.HasSuffix(key, ".age")
		names := strings.HasPrefix(key, "audio/") || strings.HasPrefix(key, "meta/") || strings.HasPrefix(key, "log/")
		over := sealed && names && h.rng.IntN(2) == 0
		if over {
			body[len(body)/2] ^= 1 // of the same size
			h.put(key, body)
			if h.rng.IntN(2) == 0 {
				h.put(key, []byte("encrypted, pay here"))
			}
			again++
		}
		if !over || h.rng.IntN(2) == 0 {
			for range 1 + h.rng.IntN(2) {
				if err := m.Hide(ctx, key); err != nil {
					t.Fatal(err)
				}
			}
			if names && !over {
				unhid++
			}
		}
	}
	sent := h.w.st.Counts().Puts
	said := 0
	for object, list := range h.check() {
		for _, f := range list {
			if strings.Contains(f.Problem, "is still below") {
				said++
			} else if strings.HasPrefix(object, "audio/") && (f.Kind == repo.KindMissing || f.Kind == repo.KindResized || f.Kind == repo.KindDamaged) {
				t.Errorf("found, and nothing is said of its versions: %s: %s", object, f.Problem)
			}
		}
	}
	if said == 0 {
		t.Error("nothing was said of older versions")
	}
	done := h.repair(RepairOptions{Read: true})
	for _, f := range append(done.Left, lostOf(done)...) {
		t.Errorf("left: %s: %s", f.Object, f.Problem)
	}
	if err := os.Rename(outer, h.fed); err != nil {
		t.Fatal(err)
	}
	brought := 0
	for _, mended := range done.Mended {
		if strings.HasPrefix(mended.How, "brought back from the version of") {
			brought++
		}
	}
	if brought < unhid+again {
		t.Errorf("%d brought back of %d hidden and %d overwritten", brought, unhid, again)
	}
	if puts := h.w.st.Counts().Puts - sent; puts > int64(len(done.Mended)-unhid)+5 {
		t.Errorf("%d puts for %d objects, of which %d were only hidden", puts, len(done.Mended), unhid)
	}
	h.clean()
}

func lostOf(done Repaired) (all []repo.Finding) {
	for _, f := range done.Lost {
		all = append(all, repo.Finding{Object: f.Path, Problem: "lost"})
	}
	return all
}

// TestPruneLocked: what the bucket has locked is left, and said to be; nothing is tried
// of which the date is known; once the date has passed the next prune deletes it, and
// every version of it.
func TestPruneLocked(t *testing.T) {
	const locked = 30 * 24 * time.Hour
	now := time.Now()
	clock := func() time.Time { return now }
	m := mem.NewVersioned(locked, clock)
	w := newWorldIn(t, m)
	n := newPruning(t, w, "one")
	n.assemble(w.st)
	n.w.o.Now = clock
	defer n.closeFiles()
	n.files["goes"] = tagged(n.rng, 400_000) // alone in an object
	n.write("goes", n.files["goes"])
	n.night(t, 6)
	if err := n.cache.Unlink(cache.Root, "goes"); err != nil {
		t.Fatal(err)
	}
	delete(n.files, "goes")
	now = now.Add(24 * time.Hour)
	n.night(t, 6)
	before := objectsIn(t, w.mem)
	p, err := n.prune(t, keepLast(1))
	if err != nil || p.Locked == 0 || p.Locked != p.Condemned || p.Kept != p.Locked || p.Denied+p.Deleted > 0 ||
		p.LockedBytes != p.CondemnBytes || p.LockedUntil.Before(now.Add(locked-25*time.Hour)) {
		t.Fatalf("%+v, %v", p, err)
	}
	bucketIsWhole(t, w.mem, n.keys, n.past)
	condemned, err := n.index.Condemned()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range condemned {
		if _, err := m.Stat(t.Context(), r.Name); err != nil {
			t.Errorf("%s: %v", r.Name, err)
		}
	}
	tried := w.st.Counts().Deletes
	until := p.LockedUntil
	db := n.history(t)
	known, err := n.w.Prune(t.Context(), PruneOptions{Keep: keepLast(1), History: db, LockedUntil: func(string) time.Time { return until }})
	db.Close()
	if err != nil || known.Locked < p.Locked || w.st.Counts().Deletes != tried {
		t.Errorf("of known dates: %+v, %v, %d deletes", known, err, w.st.Counts().Deletes-tried)
	}
	now = until.Add(time.Second)
	done, err := n.prune(t, keepLast(1))
	if err != nil || done.Deleted < p.Locked || done.Denied > 0 {
		t.Fatalf("after the date: %+v, %v", done, err)
	}
	for _, r := range condemned {
		for all, err := range m.Versions(t.Context(), r.Name) {
			t.Errorf("%s: %d versions are left: %v", r.Name, len(all), err)
		}
	}
	if len(objectsIn(t, w.mem)) >= len(before) {
		t.Error("nothing is gone")
	}
	bucketIsWhole(t, w.mem, n.keys, n.past)
}
