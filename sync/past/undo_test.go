package past

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/history"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/internal/store/mem"
	tsync "github.com/tunesafe/tunesafe/sync"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// undoing is a drive over a bucket in memory.
type undoing struct {
	t     *testing.T
	c     *cache.Cache
	p     *Past
	w     *tsync.Worker
	index *repo.Index
	st    *store.Counter
	rng   *rand.Rand
	later atomic.Int64 // how much the clock of commits is ahead
}

func newUndoing(t *testing.T, seed uint64) *undoing {
	t.Helper()
	dir, st, log := t.TempDir(), store.Count(mem.New()), slog.New(slog.DiscardHandler)
	id, err := repo.NewRecoveryKey()
	var keys *repo.Keys
	var root []byte
	if err == nil {
		keys, root, err = repo.Create(t.Context(), st, id)
	}
	var dev *repo.Device
	if err == nil {
		dev, err = repo.Enrol(t.Context(), st, keys, root, "one")
	}
	u := &undoing{t: t, st: st, rng: rand.New(rand.NewPCG(seed, 3))}
	if err == nil {
		u.index, err = repo.OpenIndex(filepath.Join(dir, "index"))
	}
	if err != nil {
		t.Fatal(err)
	}
	rd := repo.NewReader(st, keys, u.index, filepath.Join(dir, "packs"), repo.ReaderOptions{})
	fetcher := tsync.NewFetcher(rd)
	if u.c, err = cache.Open(dir, cache.Options{Fetcher: fetcher, InoBase: 1 << 40, Log: log}); err != nil {
		t.Fatal(err)
	}
	u.p = New(Options{File: filepath.Join(dir, "history"), Store: st, Keys: keys, Index: u.index, Cache: u.c, Log: log})
	u.w = tsync.New(tsync.Options{Cache: u.c, Store: st, Keys: keys, Device: dev, Index: u.index, Reader: rd, Dir: dir, Log: log,
		Now:    func() time.Time { return time.Now().Add(time.Duration(u.later.Load())) },
		Settle: time.Millisecond, Committed: u.p.Committed, Kept: repo.OpenKept(filepath.Join(dir, "kept"))})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); u.w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-ended
		rd.Close()
		u.p.Close()
		u.c.Close()
		u.index.Close()
	})
	return u
}

// safe waits until all is, and gives the newest moment.
func (u *undoing) safe() *history.View {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	if err := u.w.Wait(ctx); err != nil {
		u.t.Fatal(err, u.w.Status())
	}
	db, err := u.p.CatchUp(ctx, nil)
	if err != nil {
		u.t.Fatal(err)
	}
	all, err := db.Moments()
	if err != nil || len(all) == 0 {
		u.t.Fatal(err, len(all))
	}
	return db.At(all[len(all)-1].Rev)
}

// tree tells all of the drive: what lies where, with bytes and modes; names of one file
// are told as such.
func (u *undoing) tree() (lines []string) {
	u.t.Helper()
	first := map[cache.Ino]string{}
	var walk func(dir cache.Ino, at string)
	walk = func(dir cache.Ino, at string) {
		list, err := u.c.List(dir)
		if err != nil {
			u.t.Fatal(err)
		}
		slices.SortFunc(list, func(a, b cache.DirEntry) int { return strings.Compare(a.Name, b.Name) })
		for _, e := range list {
			name := path.Join(at, e.Name)
			a, err := u.c.Attr(e.Ino)
			if err != nil {
				u.t.Fatal(err)
			}
			line := fmt.Sprintf("%s %o", name, a.Mode)
			switch {
			case a.Mode&unix.S_IFMT == unix.S_IFDIR:
				lines = append(lines, line)
				walk(e.Ino, name)
				continue
			case first[e.Ino] != "":
				line += " is " + first[e.Ino]
			default:
				first[e.Ino] = name
				line += " " + u.read(e.Ino, a.Size)
			}
			lines = append(lines, line)
		}
	}
	walk(cache.Root, "/")
	return lines
}

func (u *undoing) read(ino cache.Ino, size int64) string {
	u.t.Helper()
	h, err := u.c.OpenFile(ino, cache.OpenFlags{Read: true})
	if err != nil {
		u.t.Fatal(err)
	}
	defer h.Release()
	p := make([]byte, size)
	if n, err := h.ReadAt(context.Background(), p, 0); err != nil || int64(n) < size {
		u.t.Fatalf("read %d of %d: %v", n, size, err)
	}
	return string(p)
}

func (u *undoing) write(dir cache.Ino, name, text string) {
	u.t.Helper()
	var h *cache.Handle
	a, err := u.c.Lookup(dir, name)
	if err == nil {
		h, err = u.c.OpenFile(a.Ino, cache.OpenFlags{Write: true, Truncate: true})
	} else {
		_, h, err = u.c.Create(dir, name, 0o644, cache.Owner{}, cache.OpenFlags{Write: true})
	}
	if err == nil {
		_, err = h.WriteAt([]byte(text), 0)
	}
	if err == nil {
		err = h.Release()
	}
	if err != nil {
		u.t.Fatal(err)
	}
}

// folders lists all folders.
func (u *undoing) folders() []cache.Ino {
	all := []cache.Ino{cache.Root}
	for i := 0; i < len(all); i++ {
		list, err := u.c.List(all[i])
		if err != nil {
			u.t.Fatal(err)
		}
		for _, e := range list {
			if a, err := u.c.Attr(e.Ino); err == nil && a.Mode&unix.S_IFMT == unix.S_IFDIR {
				all = append(all, e.Ino)
			}
		}
	}
	return all
}

// change does something to the drive; much of it fails, as it would for a program.
func (u *undoing) change() {
	dirs := u.folders()
	dir, to := dirs[u.rng.IntN(len(dirs))], dirs[u.rng.IntN(len(dirs))]
	name, other := string(rune('a'+u.rng.IntN(4))), string(rune('a'+u.rng.IntN(4)))
	a, err := u.c.Lookup(dir, name)
	isFile := err == nil && a.Mode&unix.S_IFMT == unix.S_IFREG
	switch u.rng.IntN(10) {
	case 0, 1:
		if isFile || err != nil {
			u.write(dir, name, fmt.Sprint("text ", u.rng.IntN(1000)))
		}
	case 2, 3:
		_ = u.c.Rename(dir, name, to, other, cache.RenameFlags{})
	case 4:
		_ = u.c.Rename(dir, name, to, other, cache.RenameFlags{Exchange: true})
	case 5:
		if isFile {
			_, _ = u.c.Link(a.Ino, to, other)
		}
	case 6:
		_, _ = u.c.Mkdir(dir, name, 0o700+uint32(u.rng.IntN(64)), cache.Owner{})
	case 7:
		_ = u.c.Unlink(dir, name)
	case 8:
		_ = u.c.Rmdir(dir, name)
	case 9:
		mode := 0o600 + uint32(u.rng.IntN(64))
		if err == nil {
			_, _ = u.c.SetAttr(a.Ino, cache.Change{Mode: &mode})
		}
	}
}

// undo takes all back, and tells of how many new versions that is.
func (u *undoing) undo(to *history.View) (versions int) {
	u.t.Helper()
	before := u.moments()
	changes, err := Undoing(u.t.Context(), to, nil)
	if err == nil {
		err = u.w.Apart(u.t.Context(), func() error {
			_, err := u.p.Undo(u.t.Context(), u.c, changes)
			return err
		})
	}
	if err != nil {
		u.t.Error(err)
	}
	u.safe()
	return u.moments() - before
}

func (u *undoing) moments() int {
	u.t.Helper()
	all, err := u.p.Moments(u.t.Context())
	if err != nil {
		u.t.Fatal(err)
	}
	return len(all)
}

// TestUndoAtRandom: whatever was done since to names, files with one name and with several,
// and folders, taking it back gives the drive as it was, in one new version; and that taken
// back, as it was before.
func TestUndoAtRandom(t *testing.T) {
	seed := uint64(tools.Seed(t))
	for i := range tools.Count(t, 2, 20, 200) {
		u := newUndoing(t, seed+uint64(i))
		for range 12 {
			for range 12 {
				u.change()
			}
			u.write(cache.Root, "z", fmt.Sprint(u.rng.Uint64()))
			then := u.safe()
			was := u.tree()
			for range 1 + u.rng.IntN(20) {
				u.change()
			}
			u.write(cache.Root, "z", fmt.Sprint(u.rng.Uint64()))
			now := u.safe()
			is := u.tree()
			for _, step := range []struct {
				name string
				to   *history.View
				want []string
			}{{"undo", then, was}, {"undo of the undo", now, is}} {
				versions := u.undo(step.to)
				if got := u.tree(); t.Failed() || versions != 1 || !slices.Equal(got, step.want) {
					t.Fatalf("seed %d: %s: %d new versions\n got %s\nwant %s\nfrom %s", seed+uint64(i), step.name, versions,
						strings.Join(got, "\n     "), strings.Join(step.want, "\n     "), strings.Join(is, "\n     "))
				}
			}
		}
	}
}

// TestUndoOfFoldersExchanged: folders exchanged their names, and a file went from the one to the
// other: it lies where it lay, in another folder.
func TestUndoOfFoldersExchanged(t *testing.T) {
	u := newUndoing(t, uint64(tools.Seed(t)))
	x, err := u.c.Mkdir(cache.Root, "x", 0o755, cache.Owner{})
	if err != nil {
		t.Fatal(err)
	}
	y, err := u.c.Mkdir(cache.Root, "y", 0o700, cache.Owner{})
	if err != nil {
		t.Fatal(err)
	}
	u.write(x.Ino, "f", "of x")
	then := u.safe()
	was := u.tree()
	if err := u.c.Rename(cache.Root, "x", cache.Root, "y", cache.RenameFlags{Exchange: true}); err != nil {
		t.Fatal(err)
	}
	if err := u.c.Rename(x.Ino, "f", y.Ino, "f", cache.RenameFlags{}); err != nil {
		t.Fatal(err)
	}
	u.safe()
	u.undo(then)
	if got := u.tree(); !slices.Equal(got, was) {
		t.Errorf("got %s\nwant %s", strings.Join(got, "\n     "), strings.Join(was, "\n     "))
	}
}

// TestUndoOfMuch: a thousand changes are taken back as one version, though everything
// is committed as soon as it may be; and nothing of the sound is sent or fetched for it.
func TestUndoOfMuch(t *testing.T) {
	u := newUndoing(t, uint64(tools.Seed(t)))
	dir, err := u.c.Mkdir(cache.Root, "much", 0o755, cache.Owner{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		u.write(dir.Ino, fmt.Sprint(i), fmt.Sprint("old ", i))
	}
	u.write(cache.Root, "large", strings.Repeat("sound", 100_000))
	then := u.safe()
	was := u.tree()
	for i := range 1000 {
		if u.rng.IntN(2) == 0 {
			u.write(dir.Ino, fmt.Sprint(i), fmt.Sprint("new ", i))
		} else if err := u.c.Rename(dir.Ino, fmt.Sprint(i), cache.Root, fmt.Sprint("m", i), cache.RenameFlags{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := u.c.Unlink(cache.Root, "large"); err != nil {
		t.Fatal(err)
	}
	u.safe()
	if _, err := u.c.EvictAll(); err != nil {
		t.Fatal(err)
	}
	before := u.st.Counts()
	ctx, hurry := context.WithCancel(t.Context())
	hurried := make(chan struct{})
	go func() { // somebody waits for all to be safe, so that whatever waits is committed at once
		defer close(hurried)
		for ctx.Err() == nil {
			_ = u.w.Wait(ctx)
		}
	}()
	if n := u.undo(then); n != 1 {
		t.Errorf("%d new versions, want one", n)
	}
	hurry()
	<-hurried
	after := u.st.Counts()
	if g, p := after.Gets-before.Gets, after.Puts-before.Puts; g > 0 || p != 1 {
		t.Errorf("%d objects fetched and %d sent for it, want none and a commit", g, p)
	}
	if got := u.tree(); !slices.Equal(got, was) {
		t.Error("it is not as it was")
	}
}
