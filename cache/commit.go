package cache

import (
	"errors"
	"time"

	"github.com/tunesafe/tunesafe/internal/kv"
)

// Row is the state of one inode on its way to or from the bucket.
type Row struct {
	Ino       Ino
	Mode      uint32 // as st_mode
	UID, GID  uint32
	Rdev      uint32
	Mtime     time.Time
	Xattrs    map[string][]byte
	Target    string // symbolic links
	Parent    Ino    // directories
	Name      string // directories
	Recipe    *Recipe
	TakenOpen bool
	Base      string // "<device>:<seq>" of the commit with the row before
	Succeeds  Ino
	Fed       string // directories at the top: the device that feeds them
	Gone      bool
}

// NameRow places an inode that is no directory; Ino 0 says that the name is gone.
type NameRow struct {
	Parent Ino
	Name   string
	Ino    Ino
}

// Batch is a set of rows for one commit, with what is needed to tell later
// whether they have changed since.
type Batch struct {
	Rows  []Row
	Names []NameRow

	Vers map[Ino]uint64 // version of each row, by inode
	Seqs []uint64       // sequence of each waiting name, beside Names
	Done []NameRow      // waiting names of which the bucket need not hear
}

// Empty reports whether there is nothing to commit.
func (b *Batch) Empty() bool { return len(b.Rows)+len(b.Names) == 0 }

// DropNames takes the names of inodes out of the batch; they go on waiting.
func (b *Batch) DropNames(of map[Ino]bool) {
	names, seqs := b.Names[:0], b.Seqs[:0]
	for i, r := range b.Names {
		if !of[r.Ino] {
			names, seqs = append(names, r), append(seqs, b.Seqs[i])
		}
	}
	b.Names, b.Seqs = names, seqs
}

// Pending gathers up to about limit rows that can be committed now. Held back
// are files not yet cut, and every name that would show a reader such a file or
// hide the one it replaces; more reports whether rows were left for another batch.
func (c *Cache) Pending(limit int) (b *Batch, more bool, err error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	g := gather{c: c, b: &Batch{Vers: map[Ino]uint64{}}, limit: limit}
	if err := g.inodes(); err != nil {
		return nil, false, err
	}
	if err := g.names(); err != nil {
		return nil, false, err
	}
	if !g.heldName && !g.more {
		err = g.gone()
	}
	return g.b, g.more, err
}

// gather puts a batch together.
type gather struct {
	c        *Cache
	b        *Batch
	limit    int
	slices   int // of the parts of the rows; six take as much as a row does
	more     bool
	heldName bool
	removed  []Ino
}

func (g *gather) inodes() error {
	inos, err := g.c.keys(bPRow)
	if err != nil {
		return err
	}
	for _, ino := range inos {
		if len(g.b.Rows)+g.slices/6 >= g.limit {
			g.more = true
			return nil
		}
		n, err := g.c.inode(ino)
		if errors.Is(err, ErrNotExist) || err == nil && n.Nlink == 0 {
			g.removed = append(g.removed, ino)
			continue
		}
		if err != nil {
			return err
		}
		if err := g.inode(ino, n); err != nil {
			return err
		}
	}
	return nil
}

func (g *gather) inode(ino Ino, n *inode) error {
	r := Row{Ino: ino, Mode: n.Mode, UID: n.UID, GID: n.GID, Rdev: n.Rdev, Mtime: n.Mtime.time(), Xattrs: n.Xattrs,
		Target: n.Target, Parent: n.Parent, Name: n.Name, TakenOpen: n.TakenOpen, Base: n.Base, Succeeds: n.Succeeds, Fed: n.Fed}
	if n.isFile() {
		if n.dirty() {
			return nil // its recipe is not of these attributes yet
		}
		var err error
		if r.Recipe, err = g.c.recipe(ino); err != nil {
			return err
		}
		for _, p := range r.Recipe.Parts {
			g.slices += len(p.Blobs)
		}
	}
	g.b.Rows = append(g.b.Rows, r)
	g.b.Vers[ino] = n.Ver
	return nil
}

func (g *gather) names() error {
	type waiting struct {
		key []byte
		pname
	}
	var list []waiting
	err := g.c.db.Scan(bPName, nil, nil, func(k, v []byte) bool {
		list = append(list, waiting{append([]byte(nil), k...), decodePName(v)})
		return true
	})
	if err != nil {
		return err
	}
	for _, w := range list {
		row := NameRow{Parent: keyIno(w.key), Name: string(w.key[8:])}
		e, ok, err := g.c.name(row.Parent, row.Name)
		if err != nil {
			return err
		}
		if ok {
			row.Ino = e.ino
		}
		if err := g.nameRow(row, w.pname); err != nil {
			return err
		}
	}
	return nil
}

func (g *gather) nameRow(row NameRow, w pname) error {
	if row.Ino != 0 {
		n, err := g.c.inode(row.Ino)
		if err != nil {
			return err
		}
		if n.isDir() {
			row.Ino = 0 // placed by its own row; the name's file is gone
		} else if _, now := g.b.Vers[row.Ino]; !n.committed() && !now {
			// A stale one may wait for long, and holds up nothing else.
			g.heldName = g.heldName || g.c.StaleReason(row.Ino) == nil
			return nil
		}
	}
	if row.Ino == 0 && !w.Committed {
		g.b.Done = append(g.b.Done, row)
		return nil
	}
	g.b.Names = append(g.b.Names, row)
	g.b.Seqs = append(g.b.Seqs, w.Seq)
	return nil
}

// gone tells of the inodes without a name. They go last: until the names that
// replace them are known to the bucket, a reader still needs the old ones.
func (g *gather) gone() error {
	for _, ino := range g.removed {
		g.b.Rows = append(g.b.Rows, Row{Ino: ino, Gone: true})
		g.b.Vers[ino] = 0
	}
	return nil
}

// EachRecipe yields what every file here is made of as last cut, also of files that
// changed since, and of those without a name that are in use. Files made meanwhile may
// be left out.
func (c *Cache) EachRecipe(fn func(*Recipe) error) error { return c.eachRecipe(bRecipe, fn) }

// EachWaiting yields what every file that waits for the bucket is made of as last cut.
func (c *Cache) EachWaiting(fn func(*Recipe) error) error {
	for _, mark := range []kv.Bucket{bPRow, bUncut} {
		if err := c.eachRecipe(mark, fn); err != nil {
			return err
		}
	}
	return nil
}

// eachRecipe yields the recipes of the files that have a row there.
func (c *Cache) eachRecipe(there kv.Bucket, fn func(*Recipe) error) error {
	inos, err := c.keys(there)
	if err != nil {
		return err
	}
	for _, ino := range inos {
		r, err := c.recipe(ino)
		if err == nil {
			err = fn(r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Each yields every row as the bucket knows it, inodes by number, then names by
// directory and name, those too whose inode has no row, as the commit with it was
// lost. It is the committed state only while [Cache.Idle] is true
// and Version does not move.
func (c *Cache) Each(inode func(Row) error, nameOf func(NameRow) error) error {
	inos, err := c.keys(bInode)
	if err != nil {
		return err
	}
	g := gather{c: c, b: &Batch{Vers: map[Ino]uint64{}}}
	for _, ino := range inos {
		n, err := c.inode(ino)
		if err != nil {
			return err
		}
		if ino == Root && !n.committed() {
			continue
		}
		if gone, err := c.marked(bOrphan, ino); err != nil || gone {
			if err != nil {
				return err
			}
			continue // still in use here; the bucket has heard that it is gone
		}
		g.b.Rows = g.b.Rows[:0]
		if err := g.inode(ino, n); err != nil {
			return err
		}
		for _, r := range g.b.Rows {
			if err := inode(r); err != nil {
				return err
			}
		}
	}
	var names []NameRow
	err = c.db.Scan(bName, nil, nil, func(k, v []byte) bool {
		names = append(names, NameRow{Parent: keyIno(k), Name: string(k[8:]), Ino: decodeName(v).ino})
		return true
	})
	if err != nil {
		return err
	}
	for _, r := range names {
		n, err := c.inode(r.Ino)
		if err != nil && !errors.Is(err, ErrNotExist) {
			return err
		}
		if err == nil && n.isDir() {
			continue
		}
		if err := nameOf(r); err != nil {
			return err
		}
	}
	return nil
}

// Version moves with every change of the namespace.
func (c *Cache) Version() uint64 { return c.version.Load() }

// Committed marks the rows of a batch as known to the bucket, but for those that
// changed since it was gathered. base names the commit.
func (c *Cache) Committed(b *Batch, base string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.begin()
	for ino, ver := range b.Vers {
		if err := x.committedRow(ino, ver, base); err != nil {
			return err
		}
	}
	for i, row := range b.Names {
		if err := x.committedName(row, b.Seqs[i]); err != nil {
			return err
		}
	}
	for _, row := range b.Done {
		if err := x.dropName(row); err != nil {
			return err
		}
	}
	defer c.mayGo.Store(true)
	return x.apply()
}

func (x *change) committedRow(ino Ino, ver uint64, base string) error {
	n, err := x.inode(ino)
	if errors.Is(err, ErrNotExist) || err == nil && n.Nlink == 0 {
		// Removed since the batch was gathered: the bucket has the row now,
		// and has to hear that it is gone.
		delete(x.inodes, ino)
		if ver == 0 {
			x.b.Delete(bPRow, inoKey(ino))
		} else {
			x.b.Put(bPRow, inoKey(ino), nil)
		}
		return nil
	}
	if err != nil {
		return err
	}
	n.CVer, n.Base, n.Succeeds = ver, base, 0
	if n.Ver == ver {
		x.b.Delete(bPRow, inoKey(ino))
	}
	return nil
}

func (x *change) committedName(row NameRow, seq uint64) error {
	key := nameKey(row.Parent, row.Name)
	v, ok, err := x.c.db.Get(bPName, key)
	if err != nil {
		return err
	}
	if ok && decodePName(v).Seq != seq { // changed since; the bucket knows an older state
		p := decodePName(v)
		p.Committed = row.Ino != 0
		x.b.Put(bPName, key, p.encode())
		return nil
	}
	x.b.Delete(bPName, key)
	e, ok, err := x.c.name(row.Parent, row.Name)
	if err == nil && ok && e.ino == row.Ino {
		e.committed = true
		x.b.Put(bName, key, e.encode())
	}
	return err
}

// dropName forgets a waiting name that came and went between two commits.
func (x *change) dropName(row NameRow) error {
	key := nameKey(row.Parent, row.Name)
	e, ok, err := x.c.name(row.Parent, row.Name)
	if err != nil {
		return err
	}
	if ok {
		n, err := x.c.inode(e.ino)
		if err != nil {
			return err
		}
		if !n.isDir() {
			return nil // there is a file now: it waits
		}
	}
	x.b.Delete(bPName, key)
	return nil
}
