package sync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	gosync "sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/crashpoint"
)

// RestoreProgress counts what a restore has written so far.
type RestoreProgress struct {
	Files, TotalFiles int
	Bytes, TotalBytes int64
	Failed            int // files that could not be read; the error names them
}

// restoreAtOnce is how many files are written at the same time.
const restoreAtOnce = 4

// RestoreSource is a drive to restore from. What is not there is [cache.ErrNotExist].
type RestoreSource interface {
	Attr(ino cache.Ino) (cache.Attr, error)
	Lookup(dir cache.Ino, name string) (cache.Attr, error)
	List(dir cache.Ino) ([]cache.DirEntry, error)
	Readlink(ino cache.Ino) (string, error)
	Xattrs(ino cache.Ino) (map[string][]byte, error)
	// OpenToRestore opens a file. Whole tells that all of it will be read, from its
	// beginning to its end, and that nobody waits for it.
	OpenToRestore(ino cache.Ino, whole bool) (RestoreFile, error)
}

// RestoreFile is an open file of a [RestoreSource].
type RestoreFile interface {
	// ReadAt reads what is there; every byte of it was verified.
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)
	// Zeros tells how many bytes from off on are zeros, as far as that is known
	// without reading them.
	Zeros(ctx context.Context, off int64) (int64, error)
	Release() error
}

// now is the drive as it is.
type now struct{ *cache.Cache }

// Now is the drive as it is, to restore from.
func Now(c *cache.Cache) RestoreSource { return now{c} }

func (s now) List(dir cache.Ino) ([]cache.DirEntry, error) { return s.ReadDir(dir) }

func (s now) Xattrs(ino cache.Ino) (map[string][]byte, error) {
	names, err := s.ListXattr(ino)
	all := map[string][]byte{}
	for _, n := range names {
		if err == nil {
			all[n], err = s.GetXattr(ino, n)
		}
	}
	return all, err
}

// OpenToRestore reads what is not here past the cache: a restored library would be
// written twice, and take the place of what is played.
func (s now) OpenToRestore(ino cache.Ino, whole bool) (RestoreFile, error) {
	if whole {
		v, err := s.OpenAsCut(ino)
		if err != nil {
			return nil, err
		}
		if v != nil {
			return v, nil
		}
	}
	h, err := s.OpenFile(ino, cache.OpenFlags{Read: true, Quiet: true})
	if err != nil {
		return nil, err
	}
	return h, nil
}

// Restore copies paths of the drive into the folder dest, which it makes:
// names, bytes, modes, times, extended attributes, links, and owners where the
// user may. Every byte is verified on its way. It never writes outside dest. A
// file appears under its name only when it is complete. Files that cannot be
// read are named by the error; the others are restored all the same.
func Restore(ctx context.Context, c RestoreSource, paths []string, dest string, progress func(RestoreProgress)) error {
	if err := os.MkdirAll(dest, 0o777); err != nil {
		return err
	}
	root, err := os.OpenRoot(dest)
	if err != nil {
		return err
	}
	defer root.Close()
	r := &restore{c: c, root: root, dest: dest, links: map[cache.Ino]string{}, progress: progress}
	for _, p := range paths {
		if err := r.plan(p); err != nil {
			return err
		}
	}
	return r.run(ctx)
}

type restore struct {
	c        RestoreSource
	root     *os.Root
	dest     string
	items    []restoreItem
	links    map[cache.Ino]string // first path of an inode with several names
	done     RestoreProgress
	progress func(RestoreProgress)
}

type restoreItem struct {
	path string // below dest
	attr cache.Attr
	dir  *restoreDir // that it lies in
}

// tree is what a path is found in.
type tree interface {
	Attr(ino cache.Ino) (cache.Attr, error)
	Lookup(dir cache.Ino, name string) (cache.Attr, error)
}

// Resolve finds the inode of a slash-separated path of the drive, as it is or was.
func Resolve(c tree, p string) (cache.Attr, error) {
	a, err := c.Attr(cache.Root)
	for _, n := range strings.Split(path.Clean("/"+p), "/") {
		if n != "" && err == nil {
			a, err = c.Lookup(a.Ino, n)
		}
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", p, err)
	}
	return a, err
}

// plan lists what lies at and below a path of the drive.
func (r *restore) plan(p string) error {
	a, err := Resolve(r.c, p)
	if err != nil {
		return err
	}
	name := path.Base(path.Clean("/" + p))
	if a.Ino == cache.Root {
		name = "."
	}
	return r.walk(name, a, &restoreDir{path: "."})
}

func (r *restore) walk(p string, a cache.Attr, in *restoreDir) error {
	r.items = append(r.items, restoreItem{p, a, in})
	if a.Mode&unix.S_IFMT != unix.S_IFDIR {
		in.left++
		if a.Mode&unix.S_IFMT == unix.S_IFREG {
			r.done.TotalFiles++
			r.done.TotalBytes += a.Size
		}
		return nil
	}
	list, err := r.c.List(a.Ino)
	if err != nil {
		return err
	}
	in = &restoreDir{path: p}
	for _, e := range list {
		b, err := r.c.Attr(e.Ino)
		if errors.Is(err, cache.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := r.walk(path.Join(p, e.Name), b, in); err != nil {
			return err
		}
	}
	return nil
}

// run makes the folders, then everything in them, and last the folders' own
// times, which writing into them changes.
func (r *restore) run(ctx context.Context) error {
	for _, it := range r.items {
		if it.attr.Mode&unix.S_IFMT == unix.S_IFDIR {
			if err := r.root.MkdirAll(it.path, 0o700); err != nil {
				return err
			}
		}
	}
	failed, err := r.files(ctx)
	if err != nil {
		return err
	}
	crashpoint.At("restore.files")
	for i := len(r.items) - 1; i >= 0; i-- {
		if it := r.items[i]; it.attr.Mode&unix.S_IFMT == unix.S_IFDIR && it.path != "." {
			if err := r.attributes(r.root, it.path, filepath.Join(r.dest, it.path), it.attr); err != nil {
				return err
			}
		}
	}
	return failed
}

// files restores everything but folders: the further names of an inode last, as
// its first has to be there.
func (r *restore) files(ctx context.Context) (failed, err error) {
	g, gctx := errgroup.WithContext(ctx)
	items, results := make(chan restoreItem), make(chan restoreResult)
	collected := make(chan error)
	go func() { collected <- r.collect(results) }()
	for range restoreAtOnce {
		g.Go(func() error { return r.some(gctx, items, results) })
	}
	var again []restoreItem
	for _, it := range r.items {
		if it.attr.Mode&unix.S_IFMT == unix.S_IFDIR {
			continue
		}
		if _, ok := r.links[it.attr.Ino]; ok {
			again = append(again, it)
			it.dir.done()
			continue
		}
		if it.attr.Nlink > 1 {
			r.links[it.attr.Ino] = it.path
		}
		select {
		case items <- it:
		case <-gctx.Done():
			it.dir.done()
		}
	}
	close(items)
	err = g.Wait()
	for _, it := range again {
		if err != nil || ctx.Err() != nil {
			break
		}
		linked := r.link(r.links[it.attr.Ino], it.path)
		results <- restoreResult{it, linked}
		if isLocal(linked) && !errors.Is(linked, os.ErrNotExist) { // else the first name could not be read
			err = linked
		}
	}
	close(results)
	return <-collected, errors.Join(err, ctx.Err())
}

// some restores what comes, until this disk is full, or may not be written.
func (r *restore) some(ctx context.Context, items <-chan restoreItem, results chan<- restoreResult) error {
	for it := range items {
		err := r.item(ctx, it)
		it.dir.done()
		results <- restoreResult{it, err}
		if isLocal(err) {
			return err
		}
	}
	return nil
}

type restoreResult struct {
	it  restoreItem
	err error
}

// collect counts results and gathers the files that could not be read.
func (r *restore) collect(results <-chan restoreResult) error {
	var failed []error
	for res := range results {
		if res.err != nil {
			r.done.Failed++
			failed = append(failed, fmt.Errorf("%s: %w", res.it.path, res.err))
		} else if res.it.attr.Mode&unix.S_IFMT == unix.S_IFREG {
			r.done.Files++
			r.done.Bytes += res.it.attr.Size
		}
		if r.progress != nil {
			r.progress(r.done)
		}
	}
	return errors.Join(failed...)
}

// isLocal tells a failure of this disk from one of the source.
func isLocal(err error) bool {
	var pe *os.PathError
	var le *os.LinkError
	return errors.As(err, &pe) || errors.As(err, &le)
}

func (r *restore) link(first, p string) error {
	if err := r.root.Remove(p); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return r.root.Link(first, p)
}

// Restored files get holes where the drive knows zeros unread, and of sparsePiece
// bytes where it finds them.
const (
	restoreBuffer = 256 << 10
	sparsePiece   = 64 << 10
)

var restoreBuffers = gosync.Pool{New: func() any { return new([restoreBuffer]byte) }}

// copySparse writes what an open file of the drive holds; f is empty.
func copySparse(ctx context.Context, f *os.File, h RestoreFile, size int64) error {
	lent := restoreBuffers.Get().(*[restoreBuffer]byte)
	defer restoreBuffers.Put(lent)
	buf := lent[:]
	for off := int64(0); off < size; {
		n, err := h.Zeros(ctx, off)
		if err != nil {
			return err
		}
		if n > 0 {
			off += n
			continue
		}
		k, err := h.ReadAt(ctx, buf[:min(size-off, restoreBuffer)], off)
		if k == 0 && err == nil {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		if err := writeSparse(f, buf[:k], off); err != nil {
			return err
		}
		off += int64(k)
	}
	return f.Truncate(size)
}

// writeSparse writes p at off but for its zeros.
func writeSparse(f *os.File, p []byte, off int64) error {
	for len(p) > 0 {
		n, zero := 0, false
		for n < len(p) {
			piece := p[n:min(n+sparsePiece, len(p))]
			z := len(piece) == sparsePiece && isZero(piece)
			if n > 0 && z != zero {
				break
			}
			n, zero = n+len(piece), z
		}
		if !zero {
			if _, err := f.WriteAt(p[:n], off); err != nil {
				return err
			}
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

var zeroPage [4096]byte

// isZero reports whether p is nothing but zero bytes.
func isZero(p []byte) bool {
	for len(p) > len(zeroPage) {
		if !bytes.Equal(p[:len(zeroPage)], zeroPage[:]) {
			return false
		}
		p = p[len(zeroPage):]
	}
	return bytes.Equal(p, zeroPage[:len(p)])
}
