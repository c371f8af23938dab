package sync

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// withCover is a WAVE file with a title and a picture in a tag behind the sound.
func withCover(sound []byte, title string, picture []byte) []byte {
	var tag []byte
	for _, f := range [][2]string{{"TIT2", "\x00" + title}, {"TPE1", "\x00Jean Sibelius"}, {"APIC", "\x00image/jpeg\x00\x03\x00\xff\xd8\xff\xe0" + string(picture)}} {
		tag = binary.BigEndian.AppendUint32(append(tag, f[0]...), uint32(len(f[1])))
		tag = append(append(tag, 0, 0), f[1]...)
	}
	n := len(tag)
	tag = append([]byte{'I', 'D', '3', 3, 0, 0, byte(n >> 21 & 127), byte(n >> 14 & 127), byte(n >> 7 & 127), byte(n & 127)}, tag...)
	if len(tag)%2 == 1 {
		tag = append(tag, 0)
	}
	p := wav(nil, 0)
	binary.LittleEndian.PutUint32(p[4:], uint32(len(p)-8+len(sound)+8+len(tag)))
	binary.LittleEndian.PutUint32(p[40:], uint32(len(sound)))
	p = append(append(p, sound...), "id3 "...)
	return append(binary.LittleEndian.AppendUint32(p, uint32(len(tag))), tag...)
}

// night is a library, and what a device that settles for a minute sends of what is
// done to it in one go.
type night struct {
	*device
	w     *world
	rng   *rand.Rand
	files map[string][]byte
	sound map[string][]byte
}

// newNight has 25 tracks of two albums in the bucket.
func newNight(t *testing.T) *night {
	t.Helper()
	seed := tools.Seed(t)
	w := newWorld(t)
	n := &night{device: w.device("one"), w: w, rng: rand.New(rand.NewPCG(uint64(seed), 9)), files: map[string][]byte{}, sound: map[string][]byte{}}
	n.close()
	n.settle = time.Minute // what is written together is one commit: to wait ends it
	n.open(w.st)
	n.together(func() {
		for i := range 25 {
			if i%12 == 0 {
				n.files["cover"] = hiss(n.rng, 40_000)
			}
			n.track(fmt.Sprintf("old %02d.wav", i), "as it came", n.files["cover"])
		}
		delete(n.files, "cover")
	})
	n.wait()
	return n
}

// track writes a track: the sound it had, or new sound.
func (n *night) track(name, title string, picture []byte) {
	if n.sound[name] == nil {
		n.sound[name] = hiss(n.rng, 300_000+2*n.rng.IntN(50_000))
	}
	n.files[name] = withCover(n.sound[name], title, picture)
	n.write(name, n.files[name])
}

// sends counts what goes through until all that change does is safe.
func (n *night) sends(change func()) store.Counts {
	n.t.Helper()
	before := n.w.st.Counts()
	n.together(change)
	n.wait()
	after := n.w.st.Counts()
	return store.Counts{Puts: after.Puts - before.Puts, Lists: after.Lists - before.Lists, UploadedBytes: after.UploadedBytes - before.UploadedBytes}
}

// mixed gives the packs of several kinds that the index knows.
func (n *night) mixed() (rows []repo.ObjectRow) {
	n.t.Helper()
	for o, err := range n.index.Objects() {
		if err != nil {
			n.t.Fatal(err)
		}
		if o.Kind == repo.Mixed {
			rows = append(rows, o)
		}
	}
	return rows
}

// TestOrdinaryNight: an artist corrected on 20 tracks and an album of five new ones, with
// a picture, are two objects and one for each new track: all labour is in one.
func TestOrdinaryNight(t *testing.T) {
	n := newNight(t)
	art := hiss(n.rng, 700_000) // of the new album, larger than most are
	old := hiss(n.rng, 300_000) // and one that an old album gets
	got := n.sends(func() {
		for i := range 20 {
			n.track(fmt.Sprintf("old %02d.wav", i), "corrected", old)
		}
		for i := range 5 {
			n.track(fmt.Sprintf("new %d.wav", i), fmt.Sprintf("Tapiola %d", i), art)
		}
	})
	t.Logf("figure: 20 corrected, 5 new: %d PUTs, %d LISTs, %d bytes", got.Puts, got.Lists, got.UploadedBytes)
	if got.Puts > 2+5 {
		t.Errorf("%d PUTs of a night with 5 new tracks, want at most 7", got.Puts)
	}
	lists := got.Lists
	for _, k := range []int{20, 1} {
		got = n.sends(func() {
			for i := range k {
				n.track(fmt.Sprintf("old %02d.wav", i), fmt.Sprintf("again %d", k), old)
			}
		})
		t.Logf("figure: %d corrected: %d PUTs, %d LISTs, %d bytes", k, got.Puts, got.Lists, got.UploadedBytes)
		if got.Puts > 2 || got.Lists > lists {
			t.Errorf("%d PUTs and %d LISTs of a night of %d corrections, want 2 and %d", got.Puts, got.Lists, k, lists)
		}
	}
	if lists > 2 {
		t.Errorf("%d LISTs", lists)
	}
	n.w.sameAs(n.files)
	n.w.mustCheck().close()
}

// TestMixedPackDamaged: a pack with all labour of a night is put back as it was
// uploaded; made again from what else is here, by its kinds; and where nothing else is, all
// frames of it that are whole are kept.
func TestMixedPackDamaged(t *testing.T) {
	tools.StepByStep(t)
	for _, way := range []string{"kept", "not kept", "only itself"} {
		t.Run(way, func(t *testing.T) {
			n := newNight(t)
			n.sends(func() { n.track("new.wav", "Tapiola", hiss(n.rng, 200_000)) })
			packs := n.mixed()
			n.close()
			if len(packs) != 2 {
				t.Fatalf("%d mixed packs, want one of each night", len(packs))
			}
			h := &hurt{t: t, w: n.w, d: n.device, rng: n.rng, files: n.files}
			if way != "kept" {
				h.forget(way == "only itself", true)
			}
			want := map[repo.ID]string{}
			for _, row := range packs {
				for id, kind := range row.BlobKinds() {
					want[id] = kind
				}
				p := h.get(row.Name)
				p[len(p)-1] ^= 1 // the last 64 KiB do not open: its pictures lie there
				h.put(row.Name, p)
			}
			if found := h.check(); len(found[packs[0].Name]) == 0 || len(found[packs[1].Name]) == 0 {
				t.Errorf("the damage is not found: %v", found)
			}
			done := h.repair(RepairOptions{Read: true, Recovery: n.w.recovery})
			lost := len(done.Lost) > 0
			for _, f := range done.Lost {
				if len(f.Kinds) != 1 || f.Kinds[repo.Art] == 0 {
					t.Errorf("%s lost %v", f.Path, f.Kinds)
				}
			}
			if lost != (way == "only itself") || len(done.Left) > 0 != lost {
				t.Errorf("left %v, lost %v", done.Left, done.Lost)
			}
			n.device.assemble(n.w.st)
			for id, kind := range want {
				p, ok, err := n.index.Lookup(id)
				if err != nil || !ok {
					t.Fatal("a blob is nowhere:", err)
				}
				row, _, err := n.index.Object(p.Object)
				if err != nil || row.BlobKinds()[id] != kind {
					t.Errorf("a blob of %s is one of %s now: %v", kind, row.BlobKinds()[id], err)
				}
			}
			n.device.closeFiles()
			if lost {
				return
			}
			cold := n.w.mustCheck()
			defer cold.close()
			for name, p := range n.files {
				if !bytes.Equal(cold.read(name), p) {
					t.Errorf("%s: other bytes", name)
				}
			}
		})
	}
}

// TestMixedPackPruned: what is needed of a mixed pack of which most is dead is copied by
// its kinds, and nothing else is.
func TestMixedPackPruned(t *testing.T) {
	w := newWorld(t)
	n := newPruning(t, w, "one")
	n.assemble(w.mem)
	art, other := hiss(n.rng, 400_000), hiss(n.rng, 100_000)
	sounds := map[string][]byte{}
	for night := range 3 {
		for i := range 6 {
			name, picture := fmt.Sprintf("track%02d", i), art
			if night > 0 {
				picture = other // of the first night the probes alone are needed still
			}
			if sounds[name] == nil {
				sounds[name] = hiss(n.rng, 60_000)
			}
			n.files[name] = withCover(sounds[name], fmt.Sprintf("night %d of %d", night, i), picture)
			n.write(name, n.files[name])
		}
		if err := n.backup(); err != nil {
			t.Fatal(err)
		}
		n.remember(t)
	}
	first := (&night{device: n.device}).mixed()
	n.pruneAndCompare(t, 1)
	now := map[string]bool{}
	for o, err := range n.index.Objects() {
		if err != nil {
			t.Fatal(err)
		}
		now[o.Name] = true
		for id, kind := range o.BlobKinds() {
			for _, was := range first {
				if is, ok := was.BlobKinds()[id]; ok && is != kind {
					t.Errorf("a blob of %s is copied as one of %s", is, kind)
				}
			}
		}
	}
	if len(first) == 0 {
		t.Fatal("no mixed pack")
	}
	kept, err := filepath.Glob(filepath.Join(n.dir, "packs", "pinned", "*"))
	if err != nil || len(kept) == 0 {
		t.Fatal("no packs are kept:", err)
	}
	for _, file := range kept {
		if base := filepath.Base(file); !now["meta/"+base[:2]+"/"+base+".age"] {
			t.Errorf("%s was deleted, and is kept on the disk", base)
		}
	}
	n.closeFiles()
}

// TestMixedPackStays: the labour of a night stays on the disk, whatever else is read.
func TestMixedPackStays(t *testing.T) {
	tools.StepByStep(t)
	n := newNight(t)
	n.close()
	pinned, err := filepath.Glob(filepath.Join(n.dir, "packs", "pinned", strings.Repeat("?", 64)))
	if err != nil || len(pinned) != 1 {
		t.Fatalf("%d packs are pinned: %v", len(pinned), err)
	}
	cold := n.w.device("cold")
	defer cold.close()
	ctx := context.Background()
	a, err := Resolve(cold.cache, "old 00.wav")
	if err != nil {
		t.Fatal(err)
	}
	r, _, err := cold.cache.RecipeOf(a.Ino)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.Parts {
		if p.Kind != repo.Audio {
			if _, err := cold.rd.Blob(repo.WholePacks(ctx), p.Blobs[0].ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	for began := time.Now(); ; time.Sleep(time.Millisecond) { // its frames are read before its end is here
		_, err := os.Stat(filepath.Join(cold.dir, "packs", "pinned", filepath.Base(pinned[0])))
		if err == nil {
			break
		}
		if time.Since(began) > 30*time.Second {
			t.Fatal("what was fetched is not pinned:", err)
		}
	}
}
