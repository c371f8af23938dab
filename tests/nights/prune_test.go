package nights

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/tunesafe/tunesafe/tests/place"
)

// pruneMemory is what a prune may take.
const pruneMemory = 150 << 20

func (y *years) model() *model {
	y.t.Helper()
	return readModel(y.t, filepath.Join(y.server.Dir, "music", "library"), filepath.Join(y.Home.Dir, "recovery.key"))
}

// prune forgets all nights but the newest, and compares what is left with the model.
//
// That it can fail was tried with programs made wrong, each caught in the small tier: some
// blobs counted as unneeded; a moment forgotten that is to be kept; the versions of a kept
// moment looked for one moment late; a moment kept that is to be forgotten; an object that
// nothing needs left alone; an object not deleted, and said to be; a blob of each copied
// pack left out.
func (y *years) prune() {
	y.t.Helper()
	before := y.model()
	files, versions := before.nightsAreWhole(y.ledger, 0)
	figure(y.t, "the model: %d nights of %d files, %d versions, each joined from the bucket", len(y.ledger), files, versions)
	listed := before.objects()
	gone := len(y.ledger) - y.shape.kept
	kept := before.momentsAfter(before.lastOf(y.ledger)[gone-1])

	args := []string{"prune", "--keep-last", fmt.Sprint(len(kept))}
	y.measured("prune --dry-run", append(args, "--dry-run")...)
	c := y.measured("prune of "+fmt.Sprint(gone)+" nights", args...)
	if c.Memory > pruneMemory {
		y.t.Errorf("the prune took %d bytes of memory, allowed %d", c.Memory, pruneMemory)
	}

	after := y.model()
	after.pruned(listed, kept)
	files, _ = after.nightsAreWhole(y.ledger, gone)
	figure(y.t, "after the prune: %d nights of %d files joined from the bucket; %s stored in %d objects", y.shape.kept, files,
		humanize.IBytes(uint64(c.Stored)), len(after.objects()))
	y.measured("the next prune", args...)
	y.measured("check --read", "check", "--read")
	y.snapshotsAre(len(kept))
	y.restores(after, gone)
}

// measured runs a command that must succeed, and gives its figures.
func (y *years) measured(name string, args ...string) cost {
	y.t.Helper()
	c, err := y.measure(y.Command(args...), y.own, "music/library")
	y.must(err)
	figure(y.t, "%s: %.1f s, %.1f s of CPU, %s of memory, %d requests, %s up, %s down; %s stored", name, c.Wall, c.CPU,
		humanize.IBytes(uint64(c.Memory)), c.Requests, humanize.IBytes(uint64(c.Up)), humanize.IBytes(uint64(c.Down)), humanize.IBytes(uint64(c.Stored)))
	return c
}

// snapshotsAre says how many the program shows.
func (y *years) snapshotsAre(n int) {
	y.t.Helper()
	var list struct{ Snapshots []any }
	y.must(json.Unmarshal([]byte(y.Run("snapshots", "--json")), &list))
	if len(list.Snapshots) != n {
		y.t.Errorf("%d snapshots are shown after a prune that keeps %d", len(list.Snapshots), n)
	}
}

// restores has the program give a kept night back, to the last attribute if it is the last.
func (y *years) restores(m *model, night int) {
	y.t.Helper()
	out := filepath.Join(y.t.TempDir(), "out")
	y.Run("restore", "--at", m.snapshot(m.lastOf(y.ledger)[night]), "Music", out)
	states(y.ledger[:night+1], func(n int, is map[string]string) {
		if n == night {
			y.same(filepath.Join(out, "Music"), is)
		}
	})
	y.must(os.RemoveAll(out))
	y.Run("restore", "Music", out)
	place.Same(y.t, y.music.dir, filepath.Join(out, "Music"))
}

// same compares the files of a folder with what was there.
func (y *years) same(dir string, is map[string]string) {
	y.t.Helper()
	got := &music{t: y.t, dir: dir, is: map[string]string{}}
	if got.all(); !maps.Equal(got.is, is) {
		y.t.Errorf("%s has other files than it had", dir)
	}
}

// momentsAfter gives the commits behind one that changed the drive.
func (m *model) momentsAfter(seq int) map[int]bool {
	kept := map[int]bool{}
	for i := range m.commits {
		if c := &m.commits[i]; c.seq > seq && c.moment() {
			kept[c.seq] = true
		}
	}
	return kept
}

// needed gives the blobs of all that the drive held at some commits, and holds now.
func (m *model) needed(at map[int]bool) map[string]bool {
	needed := map[string]bool{}
	m.each(func(c *commit, t *tree) {
		if !at[c.seq] && c.seq != len(m.commits) {
			return
		}
		for _, r := range t.inodes {
			m.needs(&r, func(id string) { needed[id] = true })
		}
	})
	return needed
}

// pruned compares the bucket after a prune with what the kept moments need: nothing of that
// is gone, and nothing else is left but the rest of objects of which half or more is needed.
func (m *model) pruned(before []string, kept map[int]bool) {
	m.t.Helper()
	needed, old, there := m.needed(kept), set(before), set(m.objects())
	checkpoints := m.newestCheckpoints(2)
	left, held, count := map[string]bool{}, map[string]bool{}, map[string]int{} // held: by objects from before
	for name := range there {
		put, ok := m.puts[name]
		switch {
		case !ok:
			m.t.Errorf("%s is there, and no commit names it", name)
			continue
		case m.gone[name] != "":
			m.t.Errorf("%s is %s by the log, and there", name, m.gone[name])
		case put.Kind == "checkpoint":
			if !checkpoints[name] {
				m.t.Errorf("%s is there, and of no checkpoint that is kept", name)
			}
			continue
		}
		n, of := weigh(put, needed, nil)
		switch {
		case n == 0:
			m.t.Errorf("%s (%s) is there, and nothing needs it", name, put.Kind)
		case !old[name] && n < of:
			m.t.Errorf("%s was made by the prune of %d bytes, of which %d are needed", name, of, n)
		case 2*n < of:
			m.t.Errorf("%s is there, though %d of its %d bytes are needed", name, n, of)
		}
		for _, b := range listed(put) {
			left[b.id] = true
			held[b.id] = held[b.id] || old[name]
		}
		count["kept"]++
		if !old[name] {
			count["new"]++
		}
	}
	for id := range needed {
		if !left[id] {
			m.t.Errorf("%s is needed, and gone", id)
		}
	}
	for name := range old {
		if there[name] {
			continue
		}
		put := m.puts[name]
		n, of := weigh(put, needed, held)
		switch {
		case put.Kind == "checkpoint" && checkpoints[name]:
			m.t.Errorf("%s is gone, and of a checkpoint that is kept", name)
		case put.Kind != "checkpoint" && 2*n >= of:
			m.t.Errorf("%s is gone, and %d of its %d bytes are needed", name, n, of)
		case m.gone[name] != "deleted":
			m.t.Errorf("%s is gone, and the log does not say so", name)
		}
		switch {
		case put.Kind == "checkpoint":
			count["of checkpoints"]++
		case n == 0:
			count["unneeded"]++
		default:
			count["copied"]++
		}
	}
	for name, end := range m.gone {
		if end == "deleted" && there[name] {
			m.t.Errorf("%s was deleted by the log, and is there", name)
		}
	}
	m.forgotten(kept)
	figure(m.t, "the prune by the model: %d objects unneeded, %d mostly so and copied into %d, %d of older checkpoints, all deleted; %d kept, %d blobs needed",
		count["unneeded"], count["copied"], count["new"], count["of checkpoints"], count["kept"], len(needed))
	if count["unneeded"] == 0 || count["copied"] == 0 {
		m.t.Error("nothing was to be deleted, or copied: this prune shows little")
	}
	if m.t.Failed() {
		m.t.FailNow()
	}
}

// weigh gives how many bytes of an object's blobs are needed, of how many. What is held
// elsewhere does not count.
func weigh(put row, needed, elsewhere map[string]bool) (n, of int64) {
	for _, b := range listed(put) {
		of += b.size
		if needed[b.id] && !elsewhere[b.id] {
			n += b.size
		}
	}
	return n, of
}

// newestCheckpoints gives the objects that the newest of them place.
func (m *model) newestCheckpoints(n int) map[string]bool {
	names := map[string]bool{}
	for i := len(m.commits) - 1; i >= 0 && n > 0; i-- {
		if c := m.commits[i]; c.kind == "checkpoint" {
			n--
			for _, name := range c.puts {
				names[name] = true
			}
		}
	}
	return names
}

// forgotten looks whether the log says it of just the moments that are not kept.
func (m *model) forgotten(kept map[int]bool) {
	m.t.Helper()
	said := map[int]bool{}
	for _, c := range m.commits {
		for _, r := range c.rows {
			for _, spans := range r.Forgotten {
				for i := 0; i+1 < len(spans); i += 2 {
					for seq := spans[i]; seq <= spans[i+1]; seq++ {
						said[seq] = true
					}
				}
			}
		}
	}
	for i := range m.commits {
		if c := &m.commits[i]; c.moment() && said[c.seq] == kept[c.seq] {
			m.t.Errorf("commit %d: kept %v, forgotten by the log %v", c.seq, kept[c.seq], said[c.seq])
		}
	}
}

func set(names []string) map[string]bool {
	s := map[string]bool{}
	for _, n := range names {
		s[n] = true
	}
	return s
}

// snapshot is the name of a moment below .snapshots.
func (m *model) snapshot(seq int) string {
	for i := seq - 1; i >= 0; i-- {
		if c := &m.commits[i]; c.moment() {
			return strings.ReplaceAll(c.time.UTC().Format("2006-01-02T15:04:05Z"), ":", "")
		}
	}
	return ""
}
