package sync

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// errCut is what a store says whose line is cut.
var errCut = errors.New("the line is cut")

// again closes a device and opens it as a start of the program does.
func (n *pruning) again(t *testing.T, w *world) {
	t.Helper()
	n.closeFiles()
	n.assemble(w.mem)
	if _, err := n.w.Pull(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// devices makes some that prune, closed when the test ends.
func (w *world) pruners(t *testing.T, names ...string) (all []*pruning) {
	for _, name := range names {
		n := newPruning(t, w, name)
		n.assemble(w.mem)
		t.Cleanup(func() { n.closeFiles() })
		all = append(all, n)
	}
	return all
}

// pruned runs a prune that must succeed.
func (n *pruning) pruned(t *testing.T, keep Keep) Pruned {
	t.Helper()
	p, err := n.prune(t, keep)
	if err != nil {
		t.Fatalf("%s: %+v, %v", n.dev.Name, p, err)
	}
	return p
}

// saved makes everything safe.
func (n *pruning) saved(t *testing.T) {
	t.Helper()
	if err := n.backup(); err != nil {
		t.Fatalf("%s: %v", n.dev.Name, err)
	}
}

// removes takes files off the drive, and backs that up, with another file.
func (n *pruning) removes(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := n.cache.Unlink(cache.Root, name); err != nil {
			t.Fatal(err)
		}
	}
	n.write("last", tagged(n.rng, 1000))
	n.saved(t)
}

// coldDrive reads files on a device that has nothing.
func coldDrive(t *testing.T, w *world, want map[string][]byte) {
	t.Helper()
	bucketIsWhole(t, w.mem, w.keys, nil)
	cold := w.pruners(t, "cold")[0]
	if _, err := cold.w.Pull(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, p := range want {
		if got := cold.read(name); !bytes.Equal(got, p) {
			t.Errorf("%s has other bytes", name)
		}
	}
}

// TestPruneOfWhatIsCommittedLate: what another device uploaded days ago, and has not
// committed for want of a line, looks like a leftover. It commits it before it hears of
// that. It is not deleted once it heard, either, by a device that has not taken in its
// commit.
func TestPruneOfWhatIsCommittedLate(t *testing.T) {
	w := newWorld(t)
	all := w.pruners(t, "one", "two")
	one, two := all[0], all[1]
	one.write("first", tagged(one.rng, 1000))
	one.saved(t)
	song := tagged(two.rng, 400_000)
	f := &faulty{Store: w.mem, before: func(key string) error {
		if strings.HasPrefix(key, "log/") {
			return errCut
		}
		return nil
	}}
	two.closeFiles()
	two.assemble(f)
	two.write("song", song)
	if err := two.backup(); !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	one.w.o.Now = func() time.Time { return time.Now().Add(25 * time.Hour) }
	p := one.pruned(t, keepLast(1))
	t.Logf("%+v", p)
	f.before = nil
	two.saved(t) // it has not heard
	two.again(t, w)
	two.saved(t) // now it has
	for range 2 {
		one.pruned(t, keepLast(1))
	}
	coldDrive(t, w, map[string][]byte{"song": song})
}

// TestPruneTwoAtOnce: two devices prune side by side, neither hears of what the other is
// about to commit, and each copies what is needed of the same packs. Then there are two copies,
// and each takes the other's for the better one, and condemns its own. Never both go.
func TestPruneTwoAtOnce(t *testing.T) {
	w := newWorld(t)
	all := w.pruners(t, "one", "two")
	one, two := all[0], all[1]
	want := map[string][]byte{}
	for i := range 12 {
		name := string(rune('a' + i))
		want[name] = tagged(one.rng, 3000)
		one.write(name, want[name])
	}
	one.saved(t)
	for i := range 9 { // of one object of sound, and one of each kind of labour, little is left
		name := string(rune('a' + i))
		delete(want, name)
		if err := one.cache.Unlink(cache.Root, name); err != nil {
			t.Fatal(err)
		}
	}
	one.saved(t)
	var copied, deleted int64
	for range tools.Count(t, 6, 20, 100) {
		one.again(t, w)
		one.saved(t)
		f := &faulty{Store: w.mem}
		two.closeFiles()
		two.assemble(f)
		if _, err := two.w.Pull(t.Context()); err != nil {
			t.Fatal(err)
		}
		two.saved(t)
		atOnce := gosync.OnceFunc(func() {
			p := one.pruned(t, keepLast(1))
			copied += p.Rewritten
			deleted += p.Deleted
		})
		f.before = func(key string) error {
			if strings.HasPrefix(key, "log/") {
				atOnce()
			}
			return nil
		}
		p := two.pruned(t, keepLast(1))
		f.before = nil
		copied += p.Rewritten
		deleted += p.Deleted
		bucketIsWhole(t, w.mem, w.keys, nil)
	}
	if copied < 2 || deleted < 1 {
		t.Errorf("%d objects copied, %d deleted: want both to copy the same, and something to go", copied, deleted)
	}
	for range 3 { // one after the other
		for _, n := range []*pruning{one, two} {
			n.again(t, w)
			n.saved(t)
			n.pruned(t, keepLast(1))
		}
	}
	one.again(t, w)
	one.saved(t)
	if p := two.pruned(t, keepLast(1)); p.Condemned+p.TakenBack > 0 {
		t.Errorf("it does not come to rest: %+v", p)
	}
	coldDrive(t, w, want)
}

// TestPruneOfWhatACutOffDeviceUses: a device was away while the others removed what it has
// built on since without having it: a copy and a retag of tracks that are not here. It
// brings their sound here before it says that it heard, and uploads it anew.
func TestPruneOfWhatACutOffDeviceUses(t *testing.T) {
	w := newWorld(t)
	all := w.pruners(t, "one", "two")
	one, two := all[0], all[1]
	song, other := tagged(one.rng, 400_000), tagged(one.rng, 400_000)
	one.write("song", song)
	one.write("other", other)
	one.saved(t)
	two.again(t, w)
	// two is cut off: it retags one and copies the other, and has the sound of neither.
	two.closeFiles()
	two.assemble(&faulty{Store: w.mem, before: func(string) error { return errCut }})
	song = bytes.Clone(song)
	copy(song[len(song)-8:], "retagged")
	two.patch("song", song[len(song)-8:], int64(len(song)-8))
	two.copyCold("other", "copy")
	one.removes(t, "song", "other")
	if p := one.pruned(t, keepLast(1)); p.Condemned < 2 || p.Deleted > 0 {
		t.Fatalf("%+v", p)
	}
	two.again(t, w)
	// Another prune may come in between any two of its commits.
	f := &faulty{Store: w.mem, before: func(key string) error {
		if strings.HasPrefix(key, "log/") {
			_, err := one.prune(t, keepLast(1))
			return err
		}
		return nil
	}}
	two.closeFiles()
	two.assemble(f)
	two.saved(t)
	f.before = nil
	for range 3 {
		one.pruned(t, keepLast(1))
		two.saved(t)
	}
	coldDrive(t, w, map[string][]byte{"song": song, "copy": other})
}

// patch writes into a file, wherever its bytes are.
func (d *device) patch(name string, p []byte, off int64) {
	d.t.Helper()
	a, err := d.cache.Lookup(cache.Root, name)
	if err != nil {
		d.t.Fatal(err)
	}
	h, err := d.cache.OpenFile(a.Ino, cache.OpenFlags{Write: true})
	if err != nil {
		d.t.Fatal(err)
	}
	if _, err := h.WriteAt(p, off); err != nil {
		d.t.Fatal(err)
	}
	if err := h.Release(); err != nil {
		d.t.Fatal(err)
	}
}

// copyCold copies a file of which nothing is here.
func (d *device) copyCold(from, to string) {
	d.t.Helper()
	a, err := d.cache.Lookup(cache.Root, from)
	if err != nil {
		d.t.Fatal(err)
	}
	src, err := d.cache.OpenFile(a.Ino, cache.OpenFlags{Read: true})
	if err != nil {
		d.t.Fatal(err)
	}
	defer src.Release()
	_, dst, err := d.cache.Create(cache.Root, to, 0o644, cache.Owner{}, cache.OpenFlags{Write: true})
	if err != nil {
		d.t.Fatal(err)
	}
	defer dst.Release()
	if n, err := d.cache.CopyRange(src, 0, dst, 0, a.Size); err != nil || n != a.Size {
		d.t.Fatalf("copied %d of %d: %v", n, a.Size, err)
	}
}

// TestPruneLeavesFreshUploads: what no commit names is nobody's only when a day has passed,
// also where no other device is known: it may be a copy of this home that uploads.
func TestPruneLeavesFreshUploads(t *testing.T) {
	w := newWorld(t)
	one := w.pruners(t, "one")[0]
	one.write("first", tagged(one.rng, 1000))
	one.saved(t)
	home := copyDir(t, one.dir)
	twin := &pruning{device: &device{t: t, dir: home, keys: one.keys, dev: one.dev, transfers: 1, checkpoint: 1000}, rng: one.rng}
	twin.enrol = w.enroller(twin.device)
	f := &faulty{Store: w.mem, before: func(key string) error {
		if strings.HasPrefix(key, "log/") {
			return errCut
		}
		return nil
	}}
	twin.assemble(f)
	defer func() { twin.closeFiles() }()
	song := tagged(one.rng, 400_000)
	twin.write("song", song)
	if err := twin.backup(); !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	one.write("second", tagged(one.rng, 1000))
	one.saved(t)
	if p := one.pruned(t, keepLast(1)); p.Leftovers > 0 {
		t.Errorf("%+v: what was uploaded a moment ago is taken for a leftover", p)
	}
	f.before, f.puts = nil, nil
	twin.again(t, w) // as a device of its own
	twin.w.o.Store = f
	twin.saved(t)
	if n := f.count("audio/"); n > 0 || f.count("log/") == 0 {
		t.Errorf("%d objects of sound went again", n)
	}
	one.again(t, w)
	one.dayLater(t)
	coldDrive(t, w, map[string][]byte{"song": song})
}

// TestPruneBetweenAnyTwo: at each request of a prune another device makes a whole backup. It
// uses sound that this prune condemns and has not heard of that, or sound that it deletes.
func TestPruneBetweenAnyTwo(t *testing.T) {
	tools.StepByStep(t)
	w := newWorld(t)
	all := w.pruners(t, "one", "two")
	one, two := all[0], all[1]
	want := map[string][]byte{}
	files := map[string][]byte{"first": tagged(one.rng, 400_000), "second": tagged(one.rng, 400_000)}
	for i := range 8 {
		files[fmt.Sprint("small", i)] = tagged(one.rng, 2000)
	}
	remove := func(names ...string) {
		for _, name := range names {
			if err := one.cache.Unlink(cache.Root, name); err != nil {
				t.Fatal(err)
			}
		}
		one.saved(t)
	}
	for name, p := range files {
		one.write(name, p)
	}
	want["small7"] = files["small7"]
	one.saved(t)
	two.again(t, w)
	two.saved(t)
	remove("first")
	one.pruned(t, keepLast(1)) // condemns what first had
	two.again(t, w)
	two.saved(t)
	one.again(t, w)
	remove("second", "small0", "small1", "small2", "small3", "small4", "small5", "small6")
	one.closeFiles()
	two.closeFiles()
	homes, bucket := [2]string{one.dir, two.dir}, w.mem
	defer func() {
		one.dir, two.dir = homes[0], homes[1]
		one.assemble(w.mem) // for those who close them
		two.assemble(w.mem)
	}()
	step := tools.Count(t, 6, 1, 1)
	var taken, deleted int64
	at := 1 + one.rng.IntN(step)
	for ; ; at += step {
		v := *w
		v.mem = copyBucket(t, bucket)
		one.dir, two.dir = copyDir(t, homes[0]), copyDir(t, homes[1])
		two.assemble(v.mem)
		stop := &stopping{Store: v.mem, left: 1 << 30}
		stop.hook = func(n int) {
			if n == at {
				two.write("again first", files["first"])
				two.write("again second", files["second"])
				two.write("again small", files["small3"])
				two.saved(t)
			}
		}
		one.assemble(stop)
		p := one.pruned(t, keepLast(1))
		_, ops := stop.state()
		deleted += p.Deleted
		bucketIsWhole(t, v.mem, w.keys, nil)
		one.closeFiles()
		one.assemble(v.mem)
		for range 2 {
			p := one.pruned(t, keepLast(1)) // it has not taken in what the other did
			taken += p.TakenBack
			two.again(t, &v)
			two.saved(t)
		}
		one.again(t, &v)
		p = one.pruned(t, keepLast(1))
		taken += p.TakenBack
		if at <= len(ops) {
			for name, was := range map[string]string{"again first": "first", "again second": "second", "again small": "small3"} {
				want[name] = files[was]
			}
			t.Logf("before %d of %d: %s", at, len(ops), ops[at-1][:min(20, len(ops[at-1]))])
			coldDrive(t, &v, want)
		}
		one.closeFiles()
		two.closeFiles()
		if t.Failed() || at > len(ops) {
			break
		}
	}
	if taken == 0 || deleted == 0 || at < 12 {
		t.Errorf("%d taken back, %d deleted, %d requests: it shows nothing", taken, deleted, at)
	}
}
