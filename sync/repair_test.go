package sync

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// hurt is a bucket with music of which a home, and a folder, have most, and which is
// damaged and repaired again.
type hurt struct {
	t     testing.TB
	w     *world
	d     *device
	rng   *rand.Rand
	files map[string][]byte // at the top of the drive
	fed   string            // the folder that feeds the place Music

	known   map[[32]byte]bool // SHA-256 of each state of a file that was stored
	other   string            // a second device, that wrote before
	foreign *hurt             // another repository

	otherHome From // of the second device
}

func newHurt(t testing.TB, seed int64) *hurt { return newHurtIn(t, newWorld(t), seed) }

func newHurtIn(t testing.TB, w *world, seed int64) *hurt {
	h := &hurt{t: t, w: w, rng: rand.New(rand.NewPCG(uint64(seed), 5)), files: map[string][]byte{}, fed: t.TempDir()}
	for i := range 6 {
		sound := h.sound(60_000 + i*90_000)
		h.files[fmt.Sprintf("%d.wav", i)] = track(sound, fmt.Sprintf("title %02d", i))
	}
	h.files["notes.txt"] = []byte("what a library database may look like\n")
	h.files["data.bin"] = h.sound(400_000)
	for i := range 4 {
		h.outside(fmt.Sprintf("f%d.wav", i), track(h.sound(50_000+i*150_000), fmt.Sprintf("outer %02d", i)))
	}
	h.stored(slices.Collect(maps.Keys(h.files))...)
	d := w.device("mine")
	h.d = d
	d.checkpoint = 3
	d.close()
	d.open(w.st)
	for _, n := range slices.Sorted(maps.Keys(h.files)) {
		d.write(n, h.files[n])
		if n == "2.wav" || n == "4.wav" {
			d.wait()
		}
	}
	feed(t, d.cache, h.fed, false)
	d.wait()
	h.files["copy.wav"] = bytes.Clone(h.files["0.wav"]) // of which the tags alone are new
	copy(h.files["copy.wav"][len(h.files["copy.wav"])-8:], "retagged")
	h.stored("copy.wav")
	d.write("copy.wav", h.files["copy.wav"])
	d.wait()
	d.close()
	return h
}

func (h *hurt) sound(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(h.rng.Uint32())
	}
	return p
}

func (h *hurt) outside(name string, p []byte) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.fed, name), p, 0o644); err != nil {
		h.t.Fatal(err)
	}
	if h.known == nil {
		h.known = map[[32]byte]bool{}
	}
	h.known[sha256.Sum256(p)] = true
}

// keys lists the bucket.
func (h *hurt) keys(prefix string) (keys []string) {
	h.t.Helper()
	for info, err := range h.w.raw.List(context.Background(), prefix, "") {
		if err != nil {
			h.t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	return keys
}

func (h *hurt) get(key string) []byte {
	h.t.Helper()
	r, err := h.w.raw.Get(context.Background(), key, 0, -1)
	if err != nil {
		h.t.Fatal(key, err)
	}
	defer r.Close()
	p, err := io.ReadAll(r)
	if err != nil {
		h.t.Fatal(key, err)
	}
	return p
}

func (h *hurt) put(key string, p []byte) {
	h.t.Helper()
	if err := h.w.raw.Put(context.Background(), key, p); err != nil {
		h.t.Fatal(err)
	}
}

func (h *hurt) remove(key string) {
	h.t.Helper()
	if err := h.w.raw.Delete(context.Background(), key); err != nil {
		h.t.Fatal(err)
	}
}

// damage does something to an object, at random, and to a second one, if two are
// exchanged. It says what was done to which.
func (h *hurt) damage(key string, what map[string]string) {
	p := h.get(key)
	switch way := h.rng.IntN(6); way {
	case 0:
		h.remove(key)
		what[key] = "deleted"
		return
	case 1:
		n := h.rng.IntN(len(p))
		h.put(key, p[:n])
		what[key] = fmt.Sprintf("cut to %d of %d bytes", n, len(p))
		return
	case 2, 3, 4:
		k, q := h.another(key, way == 4)
		if q == nil || bytes.Equal(p, q) || what[k] != "" {
			break
		}
		h.put(key, q)
		what[key] = "replaced by " + k
		if way == 2 {
			h.put(k, p)
			what[k] = "replaced by " + key
		}
		return
	}
	at := h.rng.IntN(len(p))
	p[at] ^= 1 << h.rng.IntN(8)
	h.put(key, p)
	what[key] = fmt.Sprintf("flipped a bit of byte %d of %d", at, len(p))
}

// check gives what a check that reads all finds, by object.
func (h *hurt) check() map[string][]repo.Finding {
	h.t.Helper()
	h.d.assemble(h.w.st)
	defer h.d.closeFiles()
	found := map[string][]repo.Finding{}
	list, _, err := repo.Check(context.Background(), h.w.st, h.w.keys, h.d.index, repo.CheckOptions{Read: true, Kept: h.d.w.o.Kept, Recovery: h.w.recovery})
	if err != nil {
		h.t.Fatal("check:", err)
	}
	for _, f := range list {
		found[f.Object] = append(found[f.Object], f)
	}
	return found
}

// repair does what the command does.
func (h *hurt) repair(o RepairOptions) Repaired {
	h.t.Helper()
	ctx := context.Background()
	h.d.assemble(h.w.st)
	defer h.d.closeFiles()
	done, err := h.d.w.MendLog(ctx, o)
	if err != nil {
		h.t.Fatal("the log:", err)
	}
	if _, err := h.d.w.Pull(ctx); err != nil {
		h.t.Fatal("taking in:", err)
	}
	if _, err := h.d.w.SayAgain(ctx); err != nil {
		h.t.Fatal("saying again:", err)
	}
	objects, err := h.d.w.Mend(ctx, o)
	if err != nil {
		h.t.Fatal("the objects:", err)
	}
	objects.Mended = append(done.Mended, objects.Mended...)
	objects.Left = append(done.Left, objects.Left...)
	return objects
}

// clean fails unless the bucket is whole and a cold home equals this one.
func (h *hurt) clean() {
	h.t.Helper()
	for object, list := range h.check() {
		for _, f := range list {
			old := strings.Contains(f.Problem, "leads to no commit") // one that is lost, and another checkpoint took its place
			if !f.Harmless || f.Kind == repo.KindReadme || f.Kind == repo.KindHint && !old {
				h.t.Errorf("still found: %s: %s", object, f.Problem)
			}
		}
	}
	cold := h.w.device("cold")
	defer cold.close()
	for name, p := range h.files {
		if got := cold.read(name); !bytes.Equal(got, p) {
			h.t.Errorf("%s: a cold home reads other bytes", name)
		}
	}
	mustEqual(h.t, cold, h.fed)
	if list, err := cold.cache.ReadDir(cache.Root); err != nil || len(list) != len(h.files)+1 {
		h.t.Errorf("a cold home has %d names: %v", len(list), err)
	}
}

// believed fails if a cold home reads other bytes than were stored. It may fail to read.
func (h *hurt) believed() {
	h.t.Helper()
	dev, err := repo.Enrol(context.Background(), h.w.mem, h.w.keys, h.w.root, "reader")
	if err != nil {
		h.t.Fatal(err)
	}
	d := &device{t: h.t, dir: h.t.TempDir(), keys: h.w.keys, dev: dev}
	d.assemble(h.w.st)
	defer d.closeFiles()
	if _, err := d.w.Pull(context.Background()); err != nil {
		return
	}
	h.versions(d)
	for name, want := range h.files {
		a, err := Resolve(d.cache, name)
		if err != nil {
			continue
		}
		f, err := d.cache.OpenFile(a.Ino, cache.OpenFlags{Read: true})
		if err != nil {
			continue
		}
		p := make([]byte, len(want)+1)
		n, err := f.ReadAt(context.Background(), p, 0)
		// Where the newest commits of a device are gone a new home shows what was before them.
		if err == nil && !bytes.Equal(p[:n], want) && !h.known[sha256.Sum256(p[:n])] {
			h.t.Errorf("%s: %d bytes that were never stored were believed", name, n)
		}
		f.Release()
	}
}

// forget takes contents and packs from the home, so that other sources must do.
func (h *hurt) forget(contents, packs bool) {
	h.t.Helper()
	if contents {
		h.d.assemble(h.w.st)
		if _, err := h.d.cache.EvictAll(); err != nil {
			h.t.Fatal(err)
		}
		h.d.closeFiles()
	}
	if packs {
		os.RemoveAll(filepath.Join(h.d.dir, "packs"))
	}
}

// TestRepairAtRandom damages a bucket of several devices, with a past, at random places, some at once: bits are
// flipped, objects cut, deleted, exchanged, and replaced by older and foreign ones. Every one is
// found; every one that has a source is repaired; none is believed, by a new home, in
// the history, or by the script.
func TestRepairAtRandom(t *testing.T) {
	tools.StepByStep(t)
	seed := tools.Seed(t)
	places := tools.Count(t, 40, 1000, 20000)
	done := 0
	for world := int64(0); done < places; world++ {
		h := newHurt(t, seed+world)
		h.grow()
		for round := 0; round < 5 && done < places; round++ {
			done += h.round(round)
		}
		h.clean()
		cold := h.w.device("to look back")
		if whole, failed := h.versions(cold); failed > 0 || whole < len(h.files)+6 {
			t.Errorf("of the past %d versions can be read, and %d cannot", whole, failed)
		}
		cold.close()
		if t.Failed() {
			t.Fatalf("seed %d", seed+world)
		}
	}
	t.Logf("%d places", done)
}

// round damages up to four places and repairs them.
func (h *hurt) round(round int) int {
	h.forget(round%3 == 2, false)
	keys := h.keys("")
	keys = slices.DeleteFunc(keys, func(k string) bool { return strings.HasPrefix(k, "devices/") && !h.ours(k) })
	what := map[string]string{}
	for range 1 + h.rng.IntN(4) {
		if key := keys[h.rng.IntN(len(keys))]; what[key] == "" {
			h.damage(key, what)
		}
	}
	for key, how := range what {
		h.t.Logf("%s %s", key, how)
	}
	if round%2 == 0 {
		h.believed()
	}
	if round == 1 {
		h.script()
	}
	found := h.check()
	cert := slices.ContainsFunc(slices.Collect(maps.Keys(what)), func(k string) bool { return strings.HasPrefix(k, "devices/") }) // without it no commit can be judged
	gone := h.condemned()
	var unread bool // what only a damaged commit names is found once that is back
	for key := range what {
		unread = unread || strings.HasPrefix(key, "log/")
	}
	for key := range what {
		object := !strings.HasPrefix(key, "log/")
		if len(found[key]) == 0 && !gone[key] && !cert && !missedBy(found, key) && !(unread && object) {
			h.t.Errorf("%s: %s, and the check did not find it", key, what[key])
		}
	}
	done := h.repair(RepairOptions{Read: true, Recovery: h.w.recovery, From: []From{h.otherHome, {Dir: h.elsewhere()}}})
	for _, f := range done.Left {
		h.t.Errorf("left: %s: %s", f.Object, f.Problem)
	}
	for _, f := range done.Lost {
		h.t.Errorf("lost: %s, %d bytes", f.Path, f.Bytes)
	}
	return len(what)
}

// condemned are the objects that nobody needs: what happens to them is no damage.
func (h *hurt) condemned() map[string]bool {
	gone := map[string]bool{}
	h.d.assemble(h.w.st)
	defer h.d.closeFiles()
	rows, err := h.d.index.Condemned()
	if err != nil {
		h.t.Fatal(err)
	}
	for _, r := range rows {
		gone[r.Name] = true
	}
	return gone
}

// missedBy tells whether a finding says that the commit is missing, without its name.
func missedBy(found map[string][]repo.Finding, key string) bool {
	for object, list := range found {
		if filepath.Dir(object) != filepath.Dir(key) || !strings.HasPrefix(key, "log/") {
			continue
		}
		for _, f := range list {
			if f.Kind == repo.KindBroken {
				return true
			}
		}
	}
	return false
}

// elsewhere is a folder with the same music under other names, with other tags.
func (h *hurt) elsewhere() string {
	h.t.Helper()
	dir := h.t.TempDir()
	n := 0
	for _, name := range slices.Sorted(maps.Keys(h.files)) {
		p := bytes.Clone(h.files[name])
		if strings.HasSuffix(name, ".wav") {
			copy(p[len(p)-8:], "elsewise")
		}
		n++
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("copy %d", n)), p, 0o600); err != nil {
			h.t.Fatal(err)
		}
	}
	return dir
}

// oneOf gives an object of the bucket of that kind of blob, or below that prefix.
func (h *hurt) oneOf(kind string) string {
	h.t.Helper()
	if strings.HasSuffix(kind, "/") {
		keys := h.keys(kind)
		return keys[h.rng.IntN(len(keys))]
	}
	h.d.assemble(h.w.st)
	defer h.d.closeFiles()
	for o, err := range h.d.index.Objects() {
		if err != nil {
			h.t.Fatal(err)
		}
		if o.Kind == kind {
			return o.Name
		}
	}
	h.t.Fatalf("no object of kind %s", kind)
	return ""
}

// TestRepairEachKind damages one object of each kind in each way, in homes that keep
// a copy of it and in homes that do not.
func TestRepairEachKind(t *testing.T) {
	tools.StepByStep(t)
	seed := tools.Seed(t)
	ways := map[string]func(*hurt, string){
		"deleted": func(h *hurt, key string) { h.remove(key) },
		"cut":     func(h *hurt, key string) { p := h.get(key); h.put(key, p[:len(p)/2]) },
		"flipped": func(h *hurt, key string) {
			p := h.get(key)
			at := max(0, len(p)-9)
			if key == "repo.json" { // its time is known by the first commit alone, which may be lost here
				at = bytes.Index(p, []byte(h.d.keys.RepoID()))
			}
			p[at] ^= 4
			h.put(key, p)
		},
	}
	for _, kept := range []bool{true, false} {
		for _, way := range slices.Sorted(maps.Keys(ways)) {
			t.Run(fmt.Sprintf("%s kept %v", way, kept), func(t *testing.T) {
				h := newHurt(t, seed)
				damaged := map[string]bool{} // a commit that is lost stays as it was found
				for _, kind := range []string{repo.Tags, repo.Mixed, repo.Data, repo.Checkpoint, repo.Audio,
					"log/", "log/", "checkpoints/", "devices/", "repo.json", "readme.txt", "keys/recovery.age", "keys/root.age"} {
					key := kind
					for key == kind && !strings.Contains(kind, ".") || damaged[key] {
						key = h.oneOf(kind)
					}
					damaged[key] = true
					if hints := h.keys(kind); kind == "checkpoints/" {
						key = hints[len(hints)-1] // the commits of others may be lost by now
					}
					if strings.HasPrefix(kind, "devices/") {
						key = "devices/" + h.d.dev.ID + ".age"
					}
					if !kept {
						if kind == "devices/" || kind == "keys/root.age" {
							continue // nothing else has it, or could tell
						}
						os.RemoveAll(filepath.Join(h.d.dir, "kept"))
						h.forget(false, true)
					}
					ways[way](h, key)
					done := h.repair(RepairOptions{Read: true, Recovery: h.w.recovery})
					if len(done.Mended) == 0 {
						t.Errorf("%s %s: nothing was mended", kind, key)
					}
					for _, f := range done.Left {
						t.Errorf("%s: left: %s: %s", kind, f.Object, f.Problem)
					}
					if len(done.Lost) > 0 {
						t.Errorf("%s: lost %v", kind, done.Lost)
					}
					if t.Failed() {
						t.FailNow()
					}
				}
				h.clean()
			})
		}
	}
}

// TestRepairWholeLog deletes all of log/ and checkpoints/: a home puts them back, or,
// where it keeps none, says all of it again.
func TestRepairWholeLog(t *testing.T) {
	tools.StepByStep(t)
	for _, kept := range []bool{true, false} {
		t.Run(fmt.Sprintf("kept %v", kept), func(t *testing.T) {
			h := newHurt(t, tools.Seed(t))
			for _, key := range append(h.keys("log/"), h.keys("checkpoints/")...) {
				h.remove(key)
			}
			if !kept {
				os.RemoveAll(filepath.Join(h.d.dir, "kept"))
			}
			h.repair(RepairOptions{Read: true})
			h.clean()
			h.d.open(h.w.st) // and it goes on
			h.files["new.wav"] = track(h.sound(300_000), "new one.")
			h.d.write("new.wav", h.files["new.wav"])
			h.d.wait()
			h.d.close()
			h.clean()
		})
	}
}

// TestRepairNames says which files are lost, and keeps what held them until it is told
// to give up.
func TestRepairNames(t *testing.T) {
	tools.StepByStep(t)
	h := newHurt(t, tools.Seed(t))
	h.forget(true, false)
	ino := func() cache.Ino {
		h.d.assemble(h.w.st)
		defer h.d.closeFiles()
		a, err := Resolve(h.d.cache, "4.wav")
		if err != nil {
			t.Fatal(err)
		}
		r, _, err := h.d.cache.RecipeOf(a.Ino)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range r.Parts {
			if p.Kind != repo.Audio {
				continue
			}
			place, ok, err := h.d.index.Lookup(p.Blobs[0].ID)
			if err != nil || !ok {
				t.Fatal(ok, err)
			}
			h.remove(place.Object)
		}
		return a.Ino
	}()
	done := h.repair(RepairOptions{})
	if len(done.Lost) != 1 || done.Lost[0].Path != "4.wav" || done.Lost[0].Ino != ino || len(done.Left) == 0 {
		t.Fatalf("lost %v, left %v", done.Lost, done.Left)
	}
	done = h.repair(RepairOptions{From: []From{{Dir: h.elsewhere()}}})
	if len(done.Lost) > 0 || len(done.Left) > 0 {
		t.Fatalf("with a copy: lost %v, left %v", done.Lost, done.Left)
	}
	h.clean()
}
