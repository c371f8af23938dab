package renew

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/internal/store/mem"
)

const locked = 30 * 24 * time.Hour

// bucket is one that locks, with some objects of an index.
type bucket struct {
	t   *testing.T
	now time.Time
	*mem.Versioned
	o     Options
	names []string // of audio objects
}

func newBucket(t *testing.T) *bucket {
	b := &bucket{t: t, now: time.Now()}
	clock := func() time.Time { return b.now }
	b.Versioned = mem.NewVersioned(locked, clock)
	dir := t.TempDir()
	index, err := repo.OpenIndex(filepath.Join(dir, "index"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { index.Close() })
	db, err := Open(filepath.Join(dir, "dates"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	b.o = Options{Store: store.Count(b.Versioned), Index: index, DB: db, For: locked, Now: clock}
	c := &repo.Commit{Device: "0123456789abcdef", Seq: 1, Time: b.now}
	for i := range 6 {
		c.Puts = append(c.Puts, b.object(i))
	}
	c.Name = b.put("log/0123456789abcdef/0000000000000001-", "commit")
	c.Condemned = []repo.CondemnRow{{Name: b.names[5], Size: 8, Device: c.Device, Seq: 1}}
	if err := index.Apply(c); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		b.put(fmt.Sprintf("checkpoints/%016d-", i), "\n")
	}
	for _, name := range []string{"keys/recovery.age", "keys/removed.age", "repo.json", "devices/0123456789abcdef.age", "foreign/thing"} {
		if err := b.Put(t.Context(), name, []byte(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Hide(t.Context(), "keys/removed.age"); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bucket) object(i int) repo.ObjectRow {
	body := fmt.Sprintf("object %d", i)
	sum := sha256.Sum256([]byte(body))
	name := hex.EncodeToString(sum[:])
	name = "audio/" + name[:2] + "/" + name + ".age"
	b.names = append(b.names, name)
	if err := b.Put(b.t.Context(), name, []byte(body)); err != nil {
		b.t.Fatal(err)
	}
	return repo.ObjectRow{Name: name, Size: int64(len(body)), Kind: repo.Audio, Raw: []repo.BlobRef{{ID: repo.ID{byte(i), 1}, Size: 1}}}
}

// put writes an object under a name that ends in the hash of its bytes.
func (b *bucket) put(prefix, body string) string {
	sum := sha256.Sum256([]byte(body))
	name := prefix + hex.EncodeToString(sum[:])
	if prefix[0] == 'l' {
		name += ".age"
	}
	if err := b.Put(b.t.Context(), name, []byte(body)); err != nil {
		b.t.Fatal(err)
	}
	return name
}

func (b *bucket) sweep() Swept {
	b.t.Helper()
	s, err := b.o.Sweep(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// until gives the dates of an object's versions, the newest first.
func (b *bucket) until(name string) (dates []time.Time) {
	b.t.Helper()
	for all, err := range b.Versions(b.t.Context(), name) {
		if err != nil {
			b.t.Fatal(err)
		}
		for _, v := range all {
			is, err := b.StatVersion(b.t.Context(), name, v.ID)
			if err != nil {
				b.t.Fatal(err)
			}
			dates = append(dates, is.LockedUntil)
		}
	}
	return dates
}

// needed is what a sweep sees to: five objects, a commit, two hints, a key, repo.json and
// a certificate.
const needed = 5 + 1 + 2 + 1 + 1 + 1

// TestSweep goes through the months: each object is asked for once and renewed twice in
// the time that it is locked for, what is needed always has half of it left, and what
// was condemned, removed or is foreign runs out.
func TestSweep(t *testing.T) {
	b := newBucket(t)
	begun := b.now
	first := b.sweep()
	if first.Objects != needed || first.Asked != needed || first.Renewed != 0 || !first.Until.Equal(begun.Add(locked)) && first.Until.Unix() != begun.Add(locked).Unix() {
		t.Fatalf("a first sweep: %+v", first)
	}
	var asked, renewed int64
	for night := range 60 {
		b.now = begun.Add(time.Duration(night+1) * 24 * time.Hour)
		s := b.sweep()
		asked, renewed = asked+s.Asked, renewed+s.Renewed
		if s.Objects != needed || s.Until.Sub(b.now) < locked/2-24*time.Hour {
			t.Fatalf("night %d: %+v at %v", night, s, b.now)
		}
	}
	if renewed < 3*needed || renewed > 4*needed || asked > 2*renewed {
		t.Errorf("in sixty nights %d renewed and %d asked for, of %d", renewed, asked, needed)
	}
	for _, name := range []string{b.names[5], "keys/removed.age", "foreign/thing"} {
		if dates := b.until(name); len(dates) == 0 || dates[len(dates)-1].After(b.now) {
			t.Errorf("%s is locked until %v", name, dates)
		}
	}
	if err := b.Delete(t.Context(), b.names[5]); err != nil {
		t.Errorf("what was condemned: %v", err)
	}
	if last, ok, err := b.o.DB.Last(); err != nil || !ok || !last.Ended.Equal(b.now) {
		t.Errorf("the last sweep: %+v, %v, %v", last, ok, err)
	}
}

// TestSweepOverwritten: of an object over which somebody wrote, once with as many bytes,
// or which he deleted, what was there first stays locked.
func TestSweepOverwritten(t *testing.T) {
	b := newBucket(t)
	ctx := t.Context()
	if err := b.Put(ctx, b.names[0], []byte("other 0.")); err != nil {
		t.Fatal(err)
	}
	if err := b.Put(ctx, b.names[1], []byte("pay here to have it back")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{b.names[1], b.names[2]} {
		if err := b.Hide(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	for range 80 {
		b.now = b.now.Add(24 * time.Hour)
		b.sweep()
	}
	for _, name := range b.names[:3] {
		if dates := b.until(name); dates[len(dates)-1].Sub(b.now) < locked/2-24*time.Hour {
			t.Errorf("%s: dates %v at %v", name, dates, b.now)
		}
	}
}

// TestSweepLocksTheRest: what was written without a lock, as by a machine that has no
// such setting, is locked by the next sweep.
func TestSweepLocksTheRest(t *testing.T) {
	b := newBucket(t)
	b.now = b.now.Add(2 * locked) // nothing is locked any more
	s := b.sweep()
	if s.Renewed != needed || s.Until.Sub(b.now) < locked-time.Second {
		t.Errorf("%+v", s)
	}
}
