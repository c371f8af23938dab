package cache

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ErrStale: the file outside is not what it was when it was taken in, or cannot
// be read. It waits until a feed looked at it again.
var ErrStale = errors.New("changed outside since it was taken in")

// Origin is what lstat told of a file outside when it was taken in.
type Origin struct {
	Dev, Ino     uint64
	Size         int64
	Mtime, Ctime time.Time
}

// equal compares what tells that the bytes are the same.
func (o Origin) equal(p Origin) bool {
	return o.Size == p.Size && o.Mtime.Equal(p.Mtime) && o.Ctime.Equal(p.Ctime)
}

// originOf is the origin as stat tells it.
func originOf(st *unix.Stat_t) Origin {
	return Origin{Dev: st.Dev, Ino: st.Ino, Size: st.Size, Mtime: stampTS(st.Mtim).time(), Ctime: stampTS(st.Ctim).time()}
}

// source is the row of an inode in a place: where it lies outside, by one of its
// names, and what was found there.
type source struct {
	Parent  Ino
	Name    string
	Origin  Origin
	Outside bool // its content is there
	Made    bool // the feed made it: nothing outside corresponds to it
}

// sourceRow is how a source is stored.
type sourceRow struct {
	_            struct{} `cbor:",toarray"`
	Parent       Ino
	Name         string
	Dev, Ino     uint64
	Size         int64
	Mtime, Ctime stamp
	Outside      bool
	Made         bool
}

func (s *source) encode() []byte {
	o := s.Origin
	return encode(&sourceRow{Parent: s.Parent, Name: s.Name, Dev: o.Dev, Ino: o.Ino, Size: o.Size,
		Mtime: stampOf(o.Mtime), Ctime: stampOf(o.Ctime), Outside: s.Outside, Made: s.Made})
}

func (x *change) setSource(ino Ino, s *source) { x.b.Put(bSource, inoKey(ino), s.encode()) }

// source reads the row of an inode in a place; ok is false if there is none.
func (c *Cache) source(ino Ino) (s *source, ok bool, err error) {
	var r sourceRow
	ok, err = c.row(bSource, inoKey(ino), &r)
	return &source{Parent: r.Parent, Name: r.Name, Outside: r.Outside, Made: r.Made,
		Origin: Origin{Dev: r.Dev, Ino: r.Ino, Size: r.Size, Mtime: r.Mtime.time(), Ctime: r.Ctime.time()}}, ok, err
}

// outsideOf is source for a file whose content lies outside, in a place that
// there is.
func (c *Cache) outsideOf(ino Ino) (s *source, ok bool, err error) {
	if !c.fed.any.Load() {
		return nil, false, nil
	}
	s, ok, err = c.source(ino)
	if err != nil || !ok || !s.Outside {
		return nil, false, err
	}
	_, ok, err = c.placeAbove(ino, s)
	return s, ok, err
}

// at is where a source lies.
type at struct {
	root string
	rel  string // "" for the root itself
}

func (a at) String() string { return a.root + "/" + a.rel }

// placeAbove finds the place of a source, and its path in it. ok is false if it is
// in none that this home feeds, or has fed.
func (c *Cache) placeAbove(ino Ino, s *source) (where at, ok bool, err error) {
	if s.Parent == Root {
		p, ok, err := c.place(ino)
		return at{root: p.Root}, ok, err
	}
	rel := s.Name
	for dir := s.Parent; dir != Root && dir != 0; {
		n, err := c.inode(dir)
		if errors.Is(err, ErrNotExist) {
			break
		}
		if err != nil {
			return at{}, false, err
		}
		if n.Parent == Root {
			p, ok, err := c.place(dir)
			return at{root: p.Root, rel: rel}, ok, err
		}
		rel, dir = n.Name+"/"+rel, n.Parent
	}
	return at{}, false, nil
}

// feeder tells which device feeds the place of a source; "" if none does.
func (c *Cache) feeder(s *source) (string, error) {
	for dir := s.Parent; dir != Root && dir != 0; {
		n, err := c.inode(dir)
		if errors.Is(err, ErrNotExist) {
			break
		}
		if err != nil || n.Parent == Root {
			return n.Fed, err
		}
		dir = n.Parent
	}
	return "", nil
}

// isSafe tells whether the bucket has all bytes of a file.
func (c *Cache) isSafe(ino Ino, n *inode) (bool, error) {
	if n.dirty() {
		return false, nil
	}
	owed, err := c.marked(bOwed, ino)
	return err == nil && !owed, err
}

// unsafeOutside opens the content outside of a file that the bucket has not got
// whole; nil if there is no need to.
func (c *Cache) unsafeOutside(ino Ino) (*outsideFile, error) {
	s, ok, err := c.outsideOf(ino)
	if err != nil || !ok {
		return nil, err
	}
	n, err := c.inode(ino)
	if err != nil {
		return nil, err
	}
	if safe, err := c.isSafe(ino, n); err != nil || safe {
		return nil, err
	}
	return c.openOutside(ino, s)
}

// outsideFile is an open file outside that is what it was when it was taken in.
type outsideFile struct {
	*os.File
	origin Origin
}

// openOutside opens the content of a file outside. ErrStale if it is not what it
// was, or is not there, or cannot be opened. Of a file with several names any will
// do: outside it may have lost one that the place keeps.
func (c *Cache) openOutside(ino Ino, s *source) (*outsideFile, error) {
	o, err := c.openNamed(ino, s)
	if !errors.Is(err, ErrStale) {
		return o, err
	}
	if n, e := c.inode(ino); e != nil || n.Nlink < 2 {
		return nil, errors.Join(err, e)
	}
	names, e := c.namesOf(ino)
	for _, at := range names {
		other := *s
		other.Parent, other.Name = at.Parent, at.Name
		if o, e := c.openNamed(ino, &other); e == nil {
			return o, nil
		}
	}
	return nil, errors.Join(err, e)
}

// openNamed is openOutside by the name that the source has.
func (c *Cache) openNamed(ino Ino, s *source) (*outsideFile, error) {
	where, ok, err := c.placeAbove(ino, s)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, ErrNotExist
	}
	f, err := openBeneath(where.root, where.rel)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStale, err)
	}
	o := &outsideFile{f, s.Origin}
	if err := o.check(); err != nil {
		f.Close()
		return nil, err
	}
	return o, nil
}

// check compares the file with what it was when it was taken in.
func (o *outsideFile) check() error {
	var st unix.Stat_t
	if err := unix.Fstat(int(o.Fd()), &st); err != nil {
		return fmt.Errorf("%w: %w", ErrStale, &os.PathError{Op: "fstat", Path: o.Name(), Err: err})
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || !originOf(&st).equal(o.origin) {
		return fmt.Errorf("%s: %w", o.Name(), ErrStale)
	}
	return nil
}

// readAll reads all of p, and fails unless the file is still the same then.
func (o *outsideFile) readAll(p []byte, off int64) error {
	n, err := readFull(o.File, p, off)
	if err == nil && n < len(p) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrStale, err)
	}
	return o.check()
}

// readOutside reads p, which lies inside the file, from outside, if the bucket has
// not got the file whole: is says so. f.mu is held.
func (f *file) readOutside(p []byte, off int64) (is bool, err error) {
	s, is, err := f.liesOutside()
	if err != nil || !is {
		return false, err
	}
	if f.outside != nil && !f.outside.origin.equal(s.Origin) {
		f.closeOutside()
	}
	if f.outside == nil {
		f.outside, err = f.c.openOutside(f.ino, s)
	}
	if err == nil {
		err = f.outside.readAll(p, off)
	}
	if err != nil {
		f.closeOutside()
		return true, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return true, nil
}

// liesOutside tells whether the file is read from outside, as the bucket has not got
// it whole, and from where. f.mu is held.
func (f *file) liesOutside() (s *source, is bool, err error) {
	if !f.fed {
		return nil, false, nil
	}
	n, err := f.c.inode(f.ino)
	if err != nil {
		return nil, false, err
	}
	if safe, err := f.c.isSafe(f.ino, n); err != nil || safe {
		return nil, false, err
	}
	return f.c.outsideOf(f.ino)
}

// closeOutside closes what is read from outside. f.mu is held.
func (f *file) closeOutside() {
	if f.outside != nil {
		f.outside.Close()
		f.outside = nil
	}
}

// Times of a file move in ticks of the kernel's clock, or in what its filesystem
// can keep. A change within the tick in which it was opened would not show.
const (
	fineTick   = 20 * time.Millisecond
	coarseTick = 2 * time.Second
)

// settled waits until a change of the file would show in its times. ErrBusy if
// that takes long.
func (o *outsideFile) settled() error {
	age := time.Since(o.origin.Ctime)
	tick := fineTick
	if o.origin.Ctime.Nanosecond() == 0 {
		tick = coarseTick
	}
	switch {
	case age < 0 || age >= tick: // a clock that is ahead tells nothing
		return nil
	case tick == coarseTick:
		return ErrBusy
	}
	time.Sleep(tick - age)
	return o.check()
}

// apply puts the attributes of what was found outside into a row; it reports
// whether the bucket has to hear of it.
func (o *Outside) apply(n *inode) (news bool) {
	size := n.Size
	switch n.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		size = o.Origin.Size
	case unix.S_IFLNK:
		size = int64(len(o.Target))
	}
	x := o.Xattrs
	if len(x) == 0 {
		x = nil
	}
	news = n.Mode != o.Mode || n.UID != o.UID || n.GID != o.GID || n.Rdev != o.Rdev || n.Mtime != stampOf(o.Mtime) ||
		n.Target != o.Target || !maps.EqualFunc(n.Xattrs, x, func(a, b []byte) bool { return string(a) == string(b) })
	n.Mode, n.UID, n.GID, n.Rdev, n.Target, n.Xattrs, n.Size = o.Mode, o.UID, o.GID, o.Rdev, o.Target, x, size
	n.Mtime = stampOf(o.Mtime)
	n.Ctime = n.Mtime
	if !o.Origin.Ctime.IsZero() {
		n.Ctime = stampOf(o.Origin.Ctime)
	}
	return news
}
