package history

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/store/mem"
)

// bucket is a repository in memory with a log.
type bucket struct {
	t     *testing.T
	st    *mem.Store
	k     *repo.Keys
	certs map[string]repo.Certificate
	devs  []*repo.Device
	heads map[string]repo.Head
	all   []*repo.Commit
}

func newBucket(t *testing.T) *bucket {
	t.Helper()
	b := &bucket{t: t, st: mem.New(), heads: map[string]repo.Head{}}
	recovery, err := repo.NewRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	k, root, err := repo.Create(t.Context(), b.st, recovery)
	if err != nil {
		t.Fatal(err)
	}
	b.k = k
	for range 2 {
		d, err := repo.Enrol(t.Context(), b.st, k, root, "host")
		if err != nil {
			t.Fatal(err)
		}
		b.devs = append(b.devs, d)
	}
	if b.certs, _, err = repo.Devices(t.Context(), b.st, k); err != nil {
		t.Fatal(err)
	}
	return b
}

// commit has a device place the inode under a name at a time.
func (b *bucket) commit(device int, at time.Time, name string, ino uint64) *repo.Commit {
	b.t.Helper()
	return b.publish(device, &repo.Commit{Kind: repo.Changes, Time: at,
		Inodes: []repo.InodeRow{{Inode: 1, Type: "dir"}, {Inode: ino, Type: "fifo", Mtime: at}}, Names: []repo.NameRow{{In: 1, Name: name, Inode: ino}}})
}

// publish puts a commit behind the others of a device.
func (b *bucket) publish(device int, c *repo.Commit) *repo.Commit {
	b.t.Helper()
	d := b.devs[device]
	head := b.heads[d.ID]
	c.Seq, c.Prev = head.Seq+1, head.SHA
	if c.Seq == 1 {
		var err error
		if c.Repo, err = repo.RepoHash(b.t.Context(), b.st, b.k); err != nil {
			b.t.Fatal(err)
		}
	}
	s, err := repo.EncodeCommit(b.k, d, c)
	if err == nil {
		err = b.st.Put(b.t.Context(), s.Name, s.Body)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	b.heads[d.ID] = c.Head()
	b.all = append(b.all, c)
	return c
}

func (b *bucket) catchUp(d *DB) {
	b.t.Helper()
	if err := d.CatchUp(b.t.Context(), b.st, b.k, b.certs, nil); err != nil {
		b.t.Fatal(err)
	}
}

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// at tells what a name at the top was at a time; 0 is nothing.
func at(t *testing.T, d *DB, when time.Time, name string) uint64 {
	t.Helper()
	v, err := d.AtTime(when)
	if errors.Is(err, ErrNotExist) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	e, err := v.Walk(name)
	if err != nil && !errors.Is(err, ErrNotExist) {
		t.Fatal(err)
	}
	return e.Inode
}

// TestLate has another device's commit become known after one that is younger. It counts
// where it belongs, and what was said of that moment before is so no more.
func TestLate(t *testing.T) {
	b := newBucket(t)
	d := open1(t, filepath.Join(t.TempDir(), "history.db"))
	for _, c := range []*repo.Commit{b.commit(0, noon, "x", 10), b.commit(0, noon.Add(2*time.Hour), "x", 12)} {
		if err := d.Add(c); err != nil {
			t.Fatal(err)
		}
	}
	if got := at(t, d, noon.Add(time.Hour), "x"); got != 10 {
		t.Fatalf("x was %d", got)
	}
	if d.Late() != 0 {
		t.Error("commits in their order are said to be late")
	}
	b.commit(1, noon.Add(time.Hour), "x", 11)
	b.catchUp(d)
	if d.Late() == 0 {
		t.Error("a late commit is not said to be")
	}
	for i, want := range []uint64{10, 11, 12} {
		if got := at(t, d, noon.Add(time.Duration(i)*time.Hour), "x"); got != want {
			t.Errorf("after %d hours x was %d, want %d", i, got, want)
		}
	}
	if got := at(t, d, noon.Add(-time.Millisecond), "x"); got != 0 {
		t.Errorf("before the first commit x was %d", got)
	}
	moments, err := d.Moments()
	if err != nil || len(moments) != 3 || moments[1].Rev.Device() != b.devs[1].ID || !moments[1].Rev.Time().Equal(noon.Add(time.Hour)) {
		t.Errorf("moments %v, %v", moments, err)
	}
	if m := moments[0]; m.Added != 2 || m.Changed != 0 || m.Named != 1 {
		t.Errorf("the first changed %+v", m)
	}
	if m := moments[2]; m.Added != 1 || m.Changed != 1 {
		t.Errorf("the last changed %+v", m)
	}
}

// TestAddRefuses asks for what would leave a hole.
func TestAddRefuses(t *testing.T) {
	b := newBucket(t)
	d := open1(t, filepath.Join(t.TempDir(), "history.db"))
	first, second, third := b.commit(0, noon, "x", 10), b.commit(0, noon, "x", 11), b.commit(0, noon, "x", 12)
	if err := d.Add(first, third); !errors.Is(err, ErrGap) {
		t.Fatal("a gap:", err)
	}
	if heads, err := d.Heads(); err != nil || len(heads) != 0 {
		t.Fatal("of what was refused there is", heads, err)
	}
	if err := d.Add(first, second, second); err != nil {
		t.Fatal(err)
	}
	other := *second
	other.Name = fmt.Sprintf("log/%s/%016d-%064x.age", other.Device, 2, 7)
	if err := d.Add(&other); !errors.Is(err, repo.ErrFork) {
		t.Fatal("a fork:", err)
	}
	if got := at(t, d, noon, "x"); got != 11 {
		t.Errorf("of two commits of one time the first one counts: %d", got)
	}
}

// TestMadeAnew damages the database in each way that is possible between two runs.
func TestMadeAnew(t *testing.T) {
	b := newBucket(t)
	for i := range 50 {
		b.commit(i%2, noon.Add(time.Duration(i)*time.Minute), fmt.Sprint(i%7), uint64(10+i))
	}
	edit := func(bucket, key, value []byte) func(string) error {
		return func(path string) error {
			db, err := bolt.Open(path, 0o600, nil)
			if err != nil {
				return err
			}
			put := func(tx *bolt.Tx) error { return tx.Bucket(bucket).Put(key, value) }
			return errors.Join(db.Update(put), db.Close())
		}
	}
	for name, harm := range map[string]func(path string) error{
		"missing":   os.Remove,
		"cut":       func(path string) error { return os.Truncate(path, 5000) },
		"empty":     func(path string) error { return os.Truncate(path, 0) },
		"noise":     func(path string) error { return os.WriteFile(path, make([]byte, 100000), 0o600) },
		"older":     edit(metaBucket, schemaKey, binary.BigEndian.AppendUint64(nil, 0)),
		"other":     edit(metaBucket, repoKey, []byte("of another repository")),
		"untouched": func(string) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "history.db")
			d := open1(t, path)
			b.catchUp(d)
			if err := errors.Join(d.Close(), harm(path)); err != nil {
				t.Fatal(err)
			}
			d = open1(t, path)
			if whole, err := d.Whole(); err != nil || whole != (name == "untouched") {
				t.Fatal("whole:", whole, err)
			}
			b.catchUp(d)
			for i := range 50 {
				rev := RevOf(b.all[i])
				want := replay(b.all, rev).list(1)
				if got, err := d.At(rev).List(1); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("at %s %v, %v, want %v", rev, got, err, want)
				}
			}
		})
	}
}

// TestDamagedRow has a row be damaged that only reading it shows: it is an error, and the
// next opening begins anew.
func TestDamagedRow(t *testing.T) {
	b := newBucket(t)
	c := b.commit(0, noon, "x", 10)
	path := filepath.Join(t.TempDir(), "history.db")
	d := open1(t, path)
	b.catchUp(d)
	harm := func(tx *bolt.Tx) error { return tx.Bucket(inodesBucket).Put(inodeKey(10, RevOf(c)), []byte{5, 1}) }
	if err := d.db.Update(harm); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.At(Newest).Inode(10); !errors.Is(err, ErrDamaged) {
		t.Fatal("a damaged row:", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = open1(t, path)
	b.catchUp(d)
	if _, _, err := d.At(Newest).Inode(10); err != nil {
		t.Fatal(err)
	}
}

// TestCatchUpEndsEarly has the catch-up end at a commit that cannot be read, and go on
// from there once it can.
func TestCatchUpEndsEarly(t *testing.T) {
	b := newBucket(t)
	for i := range 20 {
		b.commit(i%2, noon.Add(time.Duration(i)*time.Minute), fmt.Sprint(i%3), uint64(10+i))
	}
	d := open1(t, filepath.Join(t.TempDir(), "history.db"))
	bad := b.all[13]
	body, err := b.st.Get(t.Context(), bad.Name, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	whole, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.st.Put(t.Context(), bad.Name, whole[:len(whole)-1]); err != nil {
		t.Fatal(err)
	}
	if err := d.CatchUp(t.Context(), b.st, b.k, b.certs, nil); !errors.Is(err, repo.ErrCorrupt) {
		t.Fatal("a damaged commit:", err)
	}
	heads, err := d.Heads()
	if has, e := d.Whole(); has || err != nil || e != nil || len(heads) != 2 {
		t.Fatal("whole:", has, e, "heads:", heads, err)
	}
	if err := b.st.Put(t.Context(), bad.Name, whole); err != nil {
		t.Fatal(err)
	}
	told := 0
	if err := d.CatchUp(t.Context(), b.st, b.k, b.certs, func(n int) { told = n }); err != nil {
		t.Fatal(err)
	}
	if told == 0 || told >= 20 {
		t.Errorf("%d commits were read again", told)
	}
	comparePast(t, d, b.all, RevOf(b.all[19]))
}
