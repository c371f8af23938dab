package history

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// nights is a library of albums of twenty tracks that changes night after night.
type nights struct {
	b      *bucket
	rnd    *rand.Rand
	albums int
	next   uint64   // inode
	tracks []uint64 // all there are
	lies   map[uint64]repo.NameRow
	now    time.Time
}

func (n *nights) row(ino uint64) repo.InodeRow {
	part := func(kind string, size int64) repo.Part {
		return repo.Part{Kind: kind, Size: size, Blobs: []repo.Slice{{ID: repo.ID{byte(n.rnd.Uint32()), byte(ino), 1}, Size: size}}}
	}
	return repo.InodeRow{Inode: ino, Type: "file", Mode: 0o644, Mtime: n.now, Size: 4_003_000,
		Parts: []repo.Part{part("tags", 3000), part("audio", 4_000_000)},
		Runs:  []repo.Run{{Part: 0, Length: 3000}, {Part: 1, Length: 4_000_000}}}
}

func (n *nights) add(c *repo.Commit, tracks int) {
	for range tracks {
		n.next++
		name := repo.NameRow{In: 2 + uint64(n.rnd.IntN(n.albums)), Name: fmt.Sprintf("%d.mp3", n.next), Inode: n.next}
		n.lies[n.next] = name
		n.tracks = append(n.tracks, n.next)
		c.Inodes, c.Names = append(c.Inodes, n.row(n.next)), append(c.Names, name)
	}
}

// night retags a hundredth of the tracks, and adds and deletes a thousandth.
func (n *nights) night() *repo.Commit {
	n.now = n.now.Add(24 * time.Hour)
	c := &repo.Commit{}
	all := len(n.tracks)
	for range max(1, all/1000) {
		i := n.rnd.IntN(len(n.tracks))
		ino := n.tracks[i]
		n.tracks = slices.Delete(n.tracks, i, i+1)
		name := n.lies[ino]
		name.Inode = 0
		c.Inodes, c.Names = append(c.Inodes, repo.InodeRow{Inode: ino, Gone: true}), append(c.Names, name)
	}
	for i := range all / 100 {
		ino := n.tracks[(i*97+int(n.now.Unix()/86400)*31)%len(n.tracks)]
		c.Inodes = append(c.Inodes, n.row(ino))
	}
	n.add(c, max(1, all/1000))
	return n.sealed(c)
}

func (n *nights) sealed(c *repo.Commit) *repo.Commit {
	d := n.b.devs[0]
	head := n.b.heads[d.ID]
	slices.SortFunc(c.Inodes, func(a, b repo.InodeRow) int { return int(a.Inode) - int(b.Inode) })
	c.Inodes = slices.CompactFunc(c.Inodes, func(a, b repo.InodeRow) bool { return a.Inode == b.Inode })
	c.Kind, c.Seq, c.Prev, c.Time = repo.Changes, head.Seq+1, head.SHA, n.now
	if c.Seq == 1 {
		var err error
		if c.Repo, err = repo.RepoHash(n.b.t.Context(), n.b.st, n.b.k); err != nil {
			n.b.t.Fatal(err)
		}
	}
	if _, err := repo.EncodeCommit(n.b.k, d, c); err != nil {
		n.b.t.Fatal(err)
	}
	n.b.heads[d.ID] = c.Head()
	return c
}

// look opens an album of a night, and each track in it; it returns the median time.
func (n *nights) look(d *DB, first time.Time, nights int) time.Duration {
	n.b.t.Helper()
	var took []time.Duration
	for range 200 {
		when := first.Add(time.Duration(n.rnd.IntN(nights)) * 24 * time.Hour)
		begun := time.Now()
		v, err := d.AtTime(when)
		if err != nil {
			n.b.t.Fatal(err)
		}
		album, err := v.Lookup(Root, fmt.Sprint(n.rnd.IntN(n.albums)))
		if err != nil {
			n.b.t.Fatal(err)
		}
		list, err := v.List(album.Inode)
		if err != nil {
			n.b.t.Fatal(err)
		}
		for _, e := range list {
			if _, _, err := v.Inode(e.Inode); err != nil {
				n.b.t.Fatal(err)
			}
		}
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// TestCostOfLookingBack: an album of any night costs what the album costs, not what the
// library or its history does.
func TestCostOfLookingBack(t *testing.T) {
	tracks, many := tools.Count(t, 2000, 20_000, 20_000), tools.Count(t, 100, 400, 1000)
	n := &nights{b: newBucket(t), rnd: rand.New(rand.NewPCG(uint64(tools.Seed(t)), 0)), albums: tracks / 20,
		next: 1 << 32, lies: map[uint64]repo.NameRow{}, now: noon}
	c := &repo.Commit{}
	for i := range n.albums {
		c.Inodes = append(c.Inodes, repo.InodeRow{Inode: 2 + uint64(i), Type: "dir", Mode: 0o755, In: Root, Name: fmt.Sprint(i)})
	}
	n.add(c, tracks)
	d, young := open1(t, filepath.Join(t.TempDir(), "history.db")), open1(t, filepath.Join(t.TempDir(), "young.db"))
	first := n.sealed(c)
	if err := errors.Join(d.Add(first), young.Add(first)); err != nil {
		t.Fatal(err)
	}
	for range many / 20 {
		var batch []*repo.Commit
		for range 20 {
			batch = append(batch, n.night())
		}
		if err := d.Add(batch...); err != nil {
			t.Fatal(err)
		}
	}
	one, all := n.look(young, noon, 1), n.look(d, noon, many)
	for range 5 { // on a busy machine one may have had to wait
		if all <= 5*one+time.Millisecond {
			break
		}
		one, all = n.look(young, noon, 1), n.look(d, noon, many)
	}
	t.Logf("figure: an album of twenty of %d tracks: %v after the first night, %v in any of %d", tracks, one, all, many)
	if all > 5*one+time.Millisecond {
		t.Errorf("an album took %v after one night, and %v after %d", one, all, many)
	}
}
