package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/crashpoint"
	"github.com/tunesafe/tunesafe/internal/kv"
)

// Options configure a Cache.
type Options struct {
	Fetcher     Fetcher
	ContentDir  string        // where content files lie; default dir/content
	CacheSize   int64         // bytes of clean content kept; 0: 10 GiB or a tenth of the disk, the smaller
	InoBase     uint64        // high bits of new inode numbers, this device's own
	MustExist   bool          // a database that is not there is ErrDamaged
	Passthrough bool          // let the kernel read and write content files itself
	Log         *slog.Logger  // default: slog.Default()
	SyncEvery   time.Duration // longest time until a closed file is on disk; default 1 s
}

// Cache is the local truth. All methods are safe for concurrent use.
type Cache struct {
	opt Options
	log *slog.Logger
	db  *kv.DB

	watches    watches
	looks      looks
	migrations []migration
	mayGo      atomic.Bool // there may be contents to evict that were not before
	shrunk     struct {    // the last look for them; of syncLoop alone
		at   time.Time
		vain int
	}

	mu   sync.RWMutex // the namespace: held for writing by every change of it
	next uint64       // low bits of the last inode number given out
	most uint64       // as far as they may go: a number that the disk knows
	root *os.File     // the content directory, for syncfs and statfs

	folders atomic.Bool // those of the contents are there

	fmu    sync.Mutex // guards what follows
	files  map[Ino]*file
	closed map[Ino]time.Time // when a written file was last released
	toSync map[Ino]uint64    // contents written and not yet synced, by the mark of when
	marks  uint64            // given out for toSync
	lost   map[Ino]error     // contents whose sync failed, until they are written anew
	doomed map[Ino]bool      // contents to be removed once the rows that did it are on disk
	later  map[Ino]*have     // range maps to store once their bytes are synced
	settle bool              // SettleNow was called: closed files are ready at once
	keep   bool              // see KeepRemoved
	kept   map[Ino]bool      // inodes without a name that someone may still use
	lru    *lru.Cache[Ino, int64]
	lruSum int64
	pinned map[Ino]struct{} // never evicted

	heads       atomic.Bool // beginnings of tracks go last
	fed         fed
	space       space
	syncing     [syncLocks]sync.Mutex // one sync of a content at a time
	syncsAtOnce bool                  // syncfs(2) does what it should

	version  atomic.Uint64
	totals   totals
	safeWord string
	leases   bool
	wake     chan struct{}
	stop     chan struct{}
	bg       sync.WaitGroup
}

var metaKey = func(s string) []byte { return append([]byte("meta____"), s...) }

// Open opens or makes the local truth in dir, replays its journal, and looks
// again at every content that was dirty.
func Open(dir string, o Options) (*Cache, error) { return open(dir, o, migrations) }

func open(dir string, o Options, m []migration) (*Cache, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.SyncEvery == 0 {
		o.SyncEvery = time.Second
	}
	if o.ContentDir == "" {
		o.ContentDir = filepath.Join(dir, "content")
	}
	for _, d := range []string{dir, o.ContentDir} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, err
		}
	}
	c := &Cache{opt: o, log: o.Log, migrations: m, looks: looks{news: make(chan struct{}, 1)}, files: map[Ino]*file{}, closed: map[Ino]time.Time{},
		toSync: map[Ino]uint64{}, lost: map[Ino]error{}, doomed: map[Ino]bool{}, later: map[Ino]*have{}, kept: map[Ino]bool{}, safeWord: StateSafe, wake: make(chan struct{}, 1), stop: make(chan struct{})}
	var err error
	if c.root, err = os.Open(o.ContentDir); err != nil {
		return nil, err
	}
	c.db, err = kv.Open(dir, bucketNames, kv.Options{MustExist: o.MustExist, Before: c.refuseNewer, Applied: c.watches.note})
	if errors.Is(err, kv.ErrLocked) {
		err = ErrLocked
	}
	if err != nil {
		return nil, errors.Join(err, c.root.Close())
	}
	if err := c.start(); err != nil {
		return nil, errors.Join(err, c.db.Close(), c.root.Close())
	}
	return c, nil
}

func (c *Cache) start() error {
	for _, step := range []func() error{c.probeSyncfs, c.setMargin, c.migrate, c.readMeta, c.makeRoot, c.loadPlaces, c.probeLeases, c.loadLRU, c.loadPinned, c.sweepDoomed, c.sweepOrphans, c.sweepTaken, c.restat} {
		if err := step(); err != nil {
			return err
		}
	}
	c.bg.Go(c.syncLoop)
	return nil
}

// Close makes everything durable and closes the database, and the contents of
// handles that nobody released.
func (c *Cache) Close() error {
	close(c.stop)
	c.bg.Wait()
	err := c.Sync()
	c.fmu.Lock()
	left := slices.Collect(maps.Values(c.files))
	c.fmu.Unlock()
	for _, f := range left {
		f.mu.Lock()
		if f.fd != nil {
			f.fd.Close()
			f.fd = nil
		}
		f.mu.Unlock()
	}
	return errors.Join(err, c.db.Close(), c.root.Close())
}

func (c *Cache) readMeta() error {
	v, ok, err := c.db.Get(bMeta, metaKey("next"))
	if err != nil {
		return err
	}
	c.next = 16
	if ok {
		c.next = binary.BigEndian.Uint64(v)
	}
	c.most = c.next
	return nil
}

// makeRoot makes the top directory of a new home. It waits for no commit: what
// the bucket knows of it goes before.
func (c *Cache) makeRoot() error {
	if _, err := c.inode(Root); !errors.Is(err, ErrNotExist) {
		return err
	}
	now := stampOf(time.Now())
	var b kv.Batch
	b.Put(bInode, inoKey(Root), encode(&inode{Mode: unix.S_IFDIR | 0o755, Nlink: 2, UID: uint32(os.Getuid()),
		GID: uint32(os.Getgid()), Atime: now, Mtime: now, Ctime: now, Ver: 1}))
	return c.db.Apply(&b)
}

// newIno takes the next inode number; the caller holds c.mu for writing. A number
// is never given twice, also if a power loss takes the rows of its inode: the
// content may be left, and would be found below the new one.
func (c *Cache) newIno() (Ino, error) {
	if c.next == c.most {
		if err := c.moreInos(); err != nil {
			return 0, err
		}
	}
	c.next++
	return c.opt.InoBase | c.next, nil
}

// inosAtOnce is how many inode numbers are made ready with one sync; a start
// skips what is left of them.
const inosAtOnce = 1 << 10

// moreInos makes numbers ready: that they may be in use is on the disk first.
func (c *Cache) moreInos() error {
	var b kv.Batch
	b.Put(bMeta, metaKey("next"), binary.BigEndian.AppendUint64(nil, c.most+inosAtOnce))
	if err := c.db.Apply(&b); err != nil {
		return err
	}
	if err := c.db.Sync(); err != nil {
		return err
	}
	c.most += inosAtOnce
	return nil
}

// Meta returns a value kept for package sync, nil if it was never set.
func (c *Cache) Meta(key string) ([]byte, error) {
	v, _, err := c.db.Get(bMeta, metaKey("sync:"+key))
	return v, err
}

// SetMeta keeps a value for package sync.
func (c *Cache) SetMeta(key string, value []byte) error {
	return c.putMeta(metaKey("sync:"+key), value)
}

func (c *Cache) putMeta(key, value []byte) error {
	var b kv.Batch
	b.Put(bMeta, key, value)
	return c.db.Apply(&b)
}

// keys lists the inode numbers that are the keys of a bucket.
func (c *Cache) keys(b kv.Bucket) (inos []Ino, err error) {
	err = c.db.Scan(b, nil, nil, func(k, _ []byte) bool {
		inos = append(inos, keyIno(k))
		return true
	})
	return inos, err
}

// restat takes size and times of every dirty whole content from the content
// file itself: through passthrough they change without an event.
func (c *Cache) restat() error {
	inos, err := c.keys(bUncut)
	if err != nil {
		return err
	}
	now := time.Now()
	for _, ino := range inos {
		crashpoint.At("start.restat")
		c.closed[ino] = now
		err := c.untaken(ino)
		if err == nil {
			err = c.mendMissing(ino)
		}
		if err == nil {
			err = c.tellShort(ino)
		}
		if err == nil {
			err = c.refresh(ino)
		}
		if err != nil && !errors.Is(err, ErrNotExist) {
			return err
		}
	}
	return nil
}

// mendMissing gives a dirty file a content again whose own was never on the
// disk when the power went: that of its recipe, or, if it never had one, none,
// as other filesystems do.
func (c *Cache) mendMissing(ino Ino) error {
	var h have
	ok, err := c.row(bHave, inoKey(ino), &h)
	if err != nil || !ok {
		return err
	}
	if _, err := os.Lstat(c.contentPath(ino)); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	r, err := c.recipe(ino)
	if err != nil {
		return err
	}
	cut := len(r.Parts) > 0
	c.log.Warn("what was written to a file last had not reached the disk when the power went", "path", c.pathOf(ino), "ino", ino, "older bytes", cut)
	return c.update(ino, func(x *change, n *inode) error {
		n.Size = r.Size
		x.wait(ino, n)
		if !cut {
			gen := n.Gen
			err := x.emptyContent(ino, n)
			n.Gen = gen + 1
			return err
		}
		n.Cut = n.Gen
		x.b.Delete(bHave, inoKey(ino))
		x.b.Delete(bUncut, inoKey(ino))
		return nil
	})
}

// tellShort tells people of a dirty file whose content has become shorter than its
// row says: the power went before its last bytes were on the disk, or the disk
// lost them. What is left is the file.
func (c *Cache) tellShort(ino Ino) error {
	n, err := c.inode(ino)
	if err != nil {
		return err
	}
	size := n.Size
	if c.fromContent(ino, n) && n.Size < size {
		c.log.Warn("a file that was not uploaded yet is shorter than it was; what is left of it is kept", "path", c.pathOf(ino), "ino", ino, "bytes", n.Size, "before", size)
	}
	return nil
}

// refresh stores what fstat tells of a dirty whole content in the inode's row.
func (c *Cache) refresh(ino Ino) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.inode(ino)
	if err != nil {
		return err
	}
	if !c.fromContent(ino, n) {
		return nil
	}
	var b kv.Batch
	b.Put(bInode, inoKey(ino), encode(n))
	return c.db.Apply(&b)
}

// fromContent puts size, times and room of a dirty whole content into n; it
// reports whether they differ from what n had. Another size or time makes
// another version of the row.
func (c *Cache) fromContent(ino Ino, n *inode) bool {
	if !n.dirty() {
		return false
	}
	var h have
	c.fmu.Lock()
	ok, err := c.haveOf(ino, &h)
	c.fmu.Unlock()
	if err != nil || !ok || !h.Whole {
		return false
	}
	var st unix.Stat_t
	if err := unix.Stat(c.contentPath(ino), &st); err != nil {
		return false
	}
	was := *n
	n.sized(&st)
	if n.Size == was.Size && n.Mtime == was.Mtime {
		return n.Room != was.Room
	}
	n.Ver++
	return true
}

// haveOf reads the range map of a content; ok is false if nothing is here.
// Cache.fmu is held.
func (c *Cache) haveOf(ino Ino, h *have) (ok bool, err error) {
	if l := c.later[ino]; l != nil {
		*h = *l
		h.Here, h.Written = slices.Clone(l.Here), slices.Clone(l.Written)
		return true, nil
	}
	return c.row(bHave, inoKey(ino), h)
}

func (c *Cache) contentPath(ino Ino) string {
	return filepath.Join(c.opt.ContentDir, ContentName(ino))
}

// ContentName is the path of an inode's content file below the folder of contents.
func ContentName(ino Ino) string {
	return filepath.Join(hexByte(int(byte(ino))), fmt.Sprintf("%016x", ino))
}

// hexByte names one of the 256 folders of the contents.
func hexByte(i int) string { return fmt.Sprintf("%02x", i) }

// poke tells the worker that something changed.
func (c *Cache) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Changed yields a value after something began to wait for the bucket.
func (c *Cache) Changed() <-chan struct{} { return c.wake }
