// Package estimate counts what a backup of folders would send, before any of it
// is: as the worker of package sync would cut, pack and commit it.
//
// Of a file its layout is read (package split) and the parts that are labour: tags,
// tables, the first of each picture. Its sound is not, but for one block in the
// middle, by which copies are known. What is quick reads nothing at all and goes by
// names and sizes.
package estimate

import (
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/folder"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/split"
	"github.com/tunesafe/tunesafe/internal/store/mem"
)

// Options say what is counted and how.
type Options struct {
	Exclude []string // see [folder.Options]
	Avoid   []string
	Quick   bool              // open no file
	Found   func(files int64) // is told how far it is; may be nil
}

// Sum is what a backup sends and what it leaves out.
type Sum struct {
	Files, Folders int64
	Bytes          int64 // of the files
	Sound          int64 // of these, sound and other bytes that go last
	Left           int64 // names left out
	Unread         []string

	Labour int64 // bytes to send before any sound
	Send   int64 // all bytes to send
	Puts   int64
	Gets   int64 // to read all of it back
	Small  []int64
}

// What the worker does; package sync has the reasons, and a test compares.
const (
	packedBelow = 256 << 10
	fullPack    = 8 << 20
	joinedPack  = 2 << 20
	fullGroup   = 8 << 20
	roundFiles  = 4000
	roundSmall  = 64 << 20
	commitBytes = 256 << 20
	rowsAtOnce  = 20000
	largePart   = 64 << 20
	padTo       = 16 << 10

	rowBytes    = 330 // of a file with its names, in a commit, packed
	objectBytes = 115 // of an object, likewise
	smallObject = 256 << 10
)

// counter counts.
type counter struct {
	o     Options
	keys  *repo.Keys
	sum   Sum
	packs map[string]*repo.PackBuilder
	seen  map[repo.ID]bool // sound and pictures
	small int64            // bytes of the round
	files int              // of the round
	group int64            // sound that shares an object
	rows  int64
	objs  int64
}

// Folders counts folders of this machine, at absolute paths.
func Folders(ctx context.Context, dirs []string, o Options) (*Sum, error) {
	id, err := repo.NewRecoveryKey()
	if err != nil {
		return nil, err
	}
	keys, _, err := repo.Create(ctx, mem.New(), id) // of a repository that nobody sees: for lengths
	if err != nil {
		return nil, err
	}
	c := &counter{o: o, keys: keys, packs: map[string]*repo.PackBuilder{}, seen: map[repo.ID]bool{}}
	for _, dir := range dirs {
		if err := c.tree(ctx, dir); err != nil {
			return nil, err
		}
	}
	return &c.sum, c.finish()
}

func (c *counter) tree(ctx context.Context, dir string) error {
	root, err := folder.Open(dir, folder.Options{Exclude: c.o.Exclude, Avoid: c.o.Avoid})
	if err != nil {
		return err
	}
	defer root.Close()
	d, err := root.Dir("", nil)
	if err != nil {
		return err
	}
	return c.dir(ctx, root, d)
}

func (c *counter) dir(ctx context.Context, root *folder.Root, d *folder.Dir) error {
	defer d.Close()
	c.sum.Folders++
	c.rows++
	list, err := d.Entries()
	if err != nil {
		return err
	}
	for _, e := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		switch {
		case e.Why == folder.Unreadable:
			c.unread(path.Join(d.Path(), e.Name))
		case e.Why != folder.Kept && e.Why != folder.Elsewhere:
			c.sum.Left++
		case e.Stat.IsDir() && e.Why == folder.Kept:
			below, err := root.Dir(path.Join(d.Path(), e.Name), d)
			if err != nil {
				c.unread(path.Join(d.Path(), e.Name))
				continue
			}
			if err := c.dir(ctx, root, below); err != nil {
				return err
			}
		case e.Stat.IsFile():
			if err := c.file(d, e); err != nil {
				return err
			}
		default:
			c.rows++
		}
	}
	return nil
}

func (c *counter) unread(name string) { c.sum.Unread = append(c.sum.Unread, name) }

// file counts a file; what cannot be read is noted, and no error.
func (c *counter) file(d *folder.Dir, e folder.Entry) error {
	c.rows++
	if c.o.Quick {
		c.counted(e.Stat.Size)
		return c.guess(e)
	}
	f, err := d.Open(e.Name)
	if err != nil {
		c.unread(path.Join(d.Path(), e.Name))
		return nil
	}
	defer f.Close()
	l, err := split.Split(f, e.Stat.Size)
	if err != nil {
		c.unread(path.Join(d.Path(), e.Name))
		return nil
	}
	c.counted(e.Stat.Size)
	for i, kind := range l.Parts {
		if err := c.part(f, l, i, kind.String()); err != nil {
			return fmt.Errorf("%s: %w", filepath.Join(d.Path(), e.Name), err)
		}
	}
	return c.roundIfFull()
}

func (c *counter) counted(size int64) {
	c.sum.Files++
	c.sum.Bytes += size
	c.files++
	if c.o.Found != nil {
		c.o.Found(c.sum.Files)
	}
}

// part counts a part of a file.
func (c *counter) part(f *os.File, l split.Layout, i int, kind string) error {
	size := l.PartSize(i)
	switch {
	case kind == repo.Audio:
		id, err := c.sample(f, l, i, size, size/2)
		if err == nil && !c.seen[id] {
			c.seen[id] = true
			c.sound(size)
		}
		return err
	case kind == repo.Data && size >= packedBelow:
		return c.data(f, l, i, size)
	case kind == repo.Art:
		id, err := c.sample(f, l, i, size, 0)
		if err != nil || c.seen[id] {
			return err
		}
		c.seen[id] = true
	}
	p := make([]byte, min(size, repo.MaxBlob))
	if err := readPart(f, l, i, 0, p); err != nil {
		return err
	}
	return c.add(kind, p)
}

// sampleSize is how much of a part is read to know it again, in bytes.
const sampleSize = 4 << 10

// sample names a part by its length and a block of it.
func (c *counter) sample(f *os.File, l split.Layout, i int, size, at int64) (repo.ID, error) {
	p := make([]byte, min(sampleSize, size-at))
	err := readPart(f, l, i, at, p)
	return c.keys.BlobID(fmt.Appendf(p, "%d", size)), err
}

// readPart reads bytes of a part from an offset of it.
func readPart(f *os.File, l split.Layout, part int, at int64, p []byte) error {
	for off, n := range l.Extents(part) {
		if at >= n {
			at -= n
			continue
		}
		k := min(n-at, int64(len(p)))
		if _, err := f.ReadAt(p[:k], off+at); err != nil && err != io.EOF {
			return err
		}
		p, at = p[k:], 0
	}
	return nil
}

// sealed is the length of an object of n bytes of plaintext (FORMAT.md §3).
func sealed(n int64) int64 { return 184 + n + 16*max(1, (n+0xffff)>>16) }

func padded(n int64) int64 { return sealed((n + padTo - 1) / padTo * padTo) }

// sound counts sound that is not in the bucket.
func (c *counter) sound(size int64) {
	c.sum.Sound += size
	if size < packedBelow {
		if c.group+size > fullGroup {
			c.finishGroup()
		}
		c.group += size
		return
	}
	for size > 0 {
		n := size
		if size > repo.MaxBlob {
			n = min(size, (repo.AudioNormal+repo.AudioMin)*3/4) // as chunks are on average
		}
		c.put(padded(n), reads(n))
		size -= n
	}
}

func (c *counter) finishGroup() {
	if c.group > 0 {
		c.put(padded(c.group), reads(c.group))
	}
	c.group = 0
}

// put counts an object of so many bytes.
func (c *counter) put(n, gets int64) {
	c.sum.Send += n
	c.sum.Puts++
	c.sum.Gets += gets
	c.objs++
	if n < smallObject {
		c.sum.Small = append(c.sum.Small, n)
	}
}

// reads is by how many requests a reader who goes through n bytes gets them: it
// asks for more each time.
func reads(n int64) (k int64) {
	for window := int64(256 << 10); n > 0; window = min(2*window, 4<<20) {
		n -= window
		k++
	}
	return k
}

// data counts a large part of an unrecognised file: what it takes packed is judged
// by its first bytes, and its holes take nothing.
func (c *counter) data(f *os.File, l split.Layout, i int, size int64) error {
	c.sum.Sound += size
	var st unix.Stat_t
	if size >= largePart && unix.Fstat(int(f.Fd()), &st) == nil {
		size = min(size, st.Blocks*512)
	}
	p := make([]byte, min(size, frameSample))
	if err := readPart(f, l, i, 0, p); err != nil {
		return err
	}
	b := repo.NewPack(c.keys, repo.Data)
	b.Add(c.keys.BlobID(p), p)
	s, _, err := b.Finish()
	if err != nil {
		return err
	}
	share := min(1, float64(len(s.Body))/float64(len(p)))
	s.Release()
	c.packed(int64(share*float64(size)), size)
	return nil
}

const frameSample = 256 << 10

// packed counts packs of large data that is n bytes there, size before.
func (c *counter) packed(n, size int64) {
	for k := max(1, size/fullPack); k > 0; k-- {
		part := n / k
		n -= part
		c.put(sealed(part), 4) // some frames alone, then the pack
	}
}

// add puts labour into the pack of its kind.
func (c *counter) add(kind string, p []byte) error {
	id := c.keys.BlobID(p)
	b := c.packs[kind]
	if b != nil && b.Has(id) {
		return nil
	}
	if b != nil && (b.Len() > fullPack || !b.Fits(int64(len(p)))) {
		delete(c.packs, kind)
		if err := c.finishPack(b); err != nil {
			return err
		}
		b = nil
	}
	if b == nil {
		b = repo.NewPack(c.keys, kind)
		c.packs[kind] = b
	}
	b.Add(id, p)
	c.small += int64(len(p))
	return nil
}

func (c *counter) finishPack(b *repo.PackBuilder) error {
	s, _, err := b.Finish()
	if err != nil {
		return err
	}
	c.put(int64(len(s.Body)), 2)
	c.sum.Labour += int64(len(s.Body))
	s.Release()
	return nil
}

// roundIfFull finishes the packs when the worker would.
func (c *counter) roundIfFull() error {
	if c.files < roundFiles && c.small < roundSmall {
		return nil
	}
	return c.round()
}

func (c *counter) round() error {
	c.files, c.small = 0, 0
	packs := repo.JoinPacks(c.packs, joinedPack)
	clear(c.packs)
	for _, b := range packs {
		if err := c.finishPack(b); err != nil {
			return err
		}
	}
	return nil
}

// finish counts what is left, and the commits.
func (c *counter) finish() error {
	if err := c.round(); err != nil {
		return err
	}
	c.finishGroup()
	rows := c.rows*rowBytes + c.objs*objectBytes
	c.sum.Labour += c.rows * rowBytes
	c.sum.Send += rows
	commits := 1 + c.rows/rowsAtOnce + c.sum.Sound/commitBytes
	c.sum.Puts += commits
	c.sum.Gets += commits
	return nil
}

// guess counts a file by its name and size alone.
func (c *counter) guess(e folder.Entry) error {
	size := e.Stat.Size
	if !isMusic(e.Name) {
		c.sum.Labour += min(size, packedBelow)
		c.packed(size, size)
		return nil
	}
	labour := min(size, 30<<10) // tags, a share of a picture, what a player looks at first
	c.sum.Labour += labour
	c.sum.Send += labour
	if c.files == roundFiles {
		c.files = 0
		c.sum.Puts += 5
	}
	if size > labour {
		c.sound(size - labour)
	}
	return nil
}

// isMusic goes by the usual endings.
func isMusic(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".mp3", ".m4a", ".m4b", ".mp4", ".aac", ".flac", ".ogg", ".oga", ".opus", ".wav", ".aif", ".aiff", ".wma",
		".mka", ".ape", ".wv", ".mpc", ".tta", ".tak", ".ofr", ".dsf", ".dff", ".caf", ".alac":
		return true
	}
	return false
}
