package cache

import (
	"errors"
	"math"
	"slices"
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
	return c.PendingTo(limit, math.MaxUint64)
}

// PendingTo is Pending for inodes up to one: while files are cut in the order of their
// numbers, it does not look at all those that wait to be cut.
func (c *Cache) PendingTo(limit int, last Ino) (b *Batch, more bool, err error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	g := gather{c: c, b: &Batch{Vers: map[Ino]uint64{}}, limit: limit, upTo: last}
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
	upTo     Ino // rows of inodes behind it are another batch's
	last     Ino // of the rows
	heldName bool
	removed  []Ino
}

func (g *gather) inodes() error {
	err := g.c.pages(bPRow, nil, func(k, _ []byte) error {
		ino := keyIno(k)
		if len(g.b.Rows)+g.slices/6 >= g.limit || ino > g.upTo {
			g.more = true
			return errEnough
		}
		n, err := g.c.inode(ino)
		if errors.Is(err, ErrNotExist) || err == nil && n.Nlink == 0 {
			g.removed = append(g.removed, ino)
			return nil
		}
		if err != nil {
			return err
		}
		g.last = ino
		return g.inode(ino, n)
	})
	return unlessEnough(err)
}

// errEnough ends a walk of rows.
var errEnough = errors.New("enough")

func unlessEnough(err error) error {
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// inode gathers the row of an inode, unless its recipe is not of its attributes yet.
func (g *gather) inode(ino Ino, n *inode) error {
	if n.dirty() {
		return nil
	}
	r, err := g.c.committedRow(ino, n)
	if err != nil {
		return err
	}
	if r.Recipe != nil {
		for _, p := range r.Recipe.Parts {
			g.slices += len(p.Blobs)
		}
	}
	g.b.Rows = append(g.b.Rows, r)
	g.b.Vers[ino] = n.Ver
	return nil
}

// committedRow is an inode as a commit has it.
func (c *Cache) committedRow(ino Ino, n *inode) (r Row, err error) {
	r = Row{Ino: ino, Mode: n.Mode, UID: n.UID, GID: n.GID, Rdev: n.Rdev, Mtime: n.Mtime.time(), Xattrs: n.Xattrs,
		Target: n.Target, Parent: n.Parent, Name: n.Name, TakenOpen: n.TakenOpen, Base: n.Base, Succeeds: n.Succeeds, Fed: n.Fed}
	if n.isFile() {
		r.Recipe, err = c.recipe(ino)
	}
	return r, err
}

// pageOfRows is how many rows are read before what they lead to is: a scan holds the
// database, and all names of a large drive would not fit into memory.
const pageOfRows = 2000

// pages calls fn for each row of a bucket behind a key, nil for all, in order, a page at a time: fn may
// read other rows. It may keep neither key nor value.
func (c *Cache) pages(b kv.Bucket, after []byte, fn func(key, value []byte) error) error {
	type row struct{ key, value int } // lengths in text
	var page []row
	var text []byte
	after = slices.Clone(after)
	for {
		page, text = page[:0], text[:0]
		err := c.db.Scan(b, nil, after, func(k, v []byte) bool {
			text = append(append(text, k...), v...)
			page = append(page, row{len(k), len(v)})
			return len(page) < pageOfRows
		})
		if err != nil || len(page) == 0 {
			return err
		}
		rest := text
		for _, r := range page {
			k, v := rest[:r.key], rest[r.key:][:r.value]
			if err := fn(k, v); err != nil {
				return err
			}
			rest = rest[r.key+r.value:]
			after = append(after[:0], k...)
		}
	}
}

// names gathers the names of this batch. While rows are left for another one, those in
// directories behind its last row are left, too: nearly all of them are names of such rows, and
// to look at all that wait for each batch would take the square of the time.
func (g *gather) names() error {
	err := g.c.pages(bPName, nil, func(k, v []byte) error {
		row := NameRow{Parent: keyIno(k), Name: string(k[8:])}
		if g.more && row.Parent > g.last {
			return errEnough
		}
		e, ok, err := g.c.name(row.Parent, row.Name)
		if err != nil {
			return err
		}
		if ok {
			row.Ino = e.ino
		}
		return g.nameRow(row, decodePName(v))
	})
	return unlessEnough(err)
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
	if row.Ino == 0 && g.more {
		return nil // what lost this name may have another, which is a later batch's
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
	return c.pages(there, nil, func(k, _ []byte) error {
		r, err := c.recipe(keyIno(k))
		if err != nil {
			return err
		}
		return fn(r)
	})
}

// Each yields every row as the bucket knows it, inodes by number, then names by
// directory and name, those too whose inode has no row, as the commit with it was
// lost. It is the committed state only while [Cache.Idle] is true
// and Version does not move.
func (c *Cache) Each(inode func(Row) error, nameOf func(NameRow) error) error {
	err := c.pages(bInode, nil, func(k, _ []byte) error {
		ino := keyIno(k)
		n, err := c.inode(ino)
		if err != nil || n.dirty() || ino == Root && !n.committed() {
			return err
		}
		if gone, err := c.marked(bOrphan, ino); err != nil || gone {
			return err // still in use here; the bucket has heard that it is gone
		}
		r, err := c.committedRow(ino, n)
		if err != nil {
			return err
		}
		return inode(r)
	})
	if err != nil {
		return err
	}
	return c.pages(bName, nil, func(k, v []byte) error {
		r := NameRow{Parent: keyIno(k), Name: string(k[8:]), Ino: decodeName(v).ino}
		n, err := c.inode(r.Ino)
		if err != nil && !errors.Is(err, ErrNotExist) {
			return err
		}
		if err == nil && n.isDir() {
			return nil
		}
		return nameOf(r)
	})
}

// Version moves with every change of the namespace.
func (c *Cache) Version() uint64 { return c.version.Load() }

// markedAtOnce is how many rows and names of a batch are marked with one change.
const markedAtOnce = 1000

// Committed marks the rows of a batch as known to the bucket, but for those that
// changed since it was gathered. base names the commit. What a crash or an error
// leaves unmarked is marked when the same batch is given again.
func (c *Cache) Committed(b *Batch, base string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	x, n := c.begin(), 0
	next := func() error {
		if n++; n%markedAtOnce != 0 {
			return nil
		}
		err := x.apply()
		x = c.begin()
		return err
	}
	for ino, ver := range b.Vers {
		if err := errors.Join(x.committedRow(ino, ver, base), next()); err != nil {
			return err
		}
	}
	for i, row := range b.Names {
		if err := errors.Join(x.committedName(row, b.Seqs[i]), next()); err != nil {
			return err
		}
	}
	for _, row := range b.Done {
		if err := errors.Join(x.dropName(row), next()); err != nil {
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
