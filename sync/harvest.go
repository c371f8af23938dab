package sync

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/split"
)

// harvest looks for blobs that the bucket lost, wherever their bytes may still be:
// in contents, in folders, in what is left of their objects. Nothing is believed
// but what gives the blob's id.
type harvest struct {
	w    *Worker
	want map[repo.ID]*sought
	use  map[cache.Ino]*cache.Recipe // of the files that are made of them

	open  map[cache.Ino]int // how many blobs of a file are still sought
	parts map[partLike]bool // what a part has to be like to hold one of them
	found func(repo.ID, *sought, []byte) error
}

// sought is a blob that is looked for.
type sought struct {
	kind string
	size int64
	used []cache.Ino // files of the drive that need it

	pieces []byte // of one of which only slices are used
	have   []span // what is in pieces
	done   bool
}

// span is a stretch of bytes.
type span struct{ from, to int64 }

type partLike struct {
	kind string
	size int64
}

// left counts the blobs not found yet.
func (h *harvest) left() (n int) {
	for _, s := range h.want {
		if !s.done {
			n++
		}
	}
	return n
}

// users notes which files of the drive need the blobs, and also looks for blobs that
// a file needs and no object places.
func (h *harvest) users() error {
	h.use, h.open, h.parts = map[cache.Ino]*cache.Recipe{}, map[cache.Ino]int{}, map[partLike]bool{}
	err := h.w.cache.Each(func(r cache.Row) error {
		if r.Recipe == nil {
			return nil
		}
		for _, p := range r.Recipe.Parts {
			if p.Owed {
				continue
			}
			for _, b := range p.Blobs {
				if err := h.needs(r, p.Kind, p.Size, b); err != nil {
					return err
				}
			}
		}
		if m := r.Recipe.More; m != nil {
			return h.needs(r, repo.IndexPart, m.Size, *m)
		}
		return nil
	}, func(cache.NameRow) error { return nil })
	for _, s := range h.want {
		h.parts[partLike{s.kind, s.size}] = true
	}
	return err
}

func (h *harvest) needs(r cache.Row, kind string, size int64, b cache.Blob) error {
	if b.IsZeros() {
		return nil
	}
	s := h.want[b.ID]
	if s == nil {
		_, ok, err := h.w.o.Index.Lookup(b.ID)
		if err != nil || ok {
			return err
		}
		s = &sought{kind: kind, size: b.Off + b.Size}
		h.want[b.ID] = s
	}
	if n := len(s.used); n == 0 || s.used[n-1] != r.Ino {
		s.used = append(s.used, r.Ino)
		h.open[r.Ino]++
	}
	h.use[r.Ino] = r.Recipe
	h.parts[partLike{kind, size}] = true
	return nil
}

// take hands on p if it is a blob that is sought.
func (h *harvest) take(p []byte) error {
	id := h.w.o.Keys.BlobID(p)
	s := h.want[id]
	if s == nil || s.done {
		return nil
	}
	s.done, s.pieces, s.have = true, nil, nil
	for _, ino := range s.used {
		h.open[ino]--
	}
	return h.found(id, s, p)
}

// byRecipe reads the sought blobs of a file from r, which has its bytes, or some, in
// the order of the file. What cannot be read is passed over.
func (h *harvest) byRecipe(ctx context.Context, r io.ReaderAt, recipe *cache.Recipe) error {
	l, err := h.layout(ctx, recipe)
	if err != nil {
		return nil
	}
	for i, p := range recipe.Parts {
		off := int64(0)
		for _, b := range p.Blobs {
			if s := h.want[b.ID]; s != nil && !s.done {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := h.slice(r, l, i, off, b, s); err != nil {
					return err
				}
			}
			off += b.Size
		}
	}
	return h.more(recipe.Runs, recipe)
}

// layout gives where the parts of a recipe lie, the runs of More included.
func (h *harvest) layout(ctx context.Context, recipe *cache.Recipe) (l split.Layout, err error) {
	runs, sum := recipe.Runs, int64(0)
	for _, r := range runs {
		sum += r.Length
	}
	if sum != recipe.Size {
		if recipe.More == nil {
			return l, errUnreadable
		}
		if runs, err = NewFetcher(h.w.o.Reader).Runs(ctx, recipe); err != nil {
			return l, err
		}
	}
	for _, r := range runs {
		l.Runs = append(l.Runs, split.Run(r))
	}
	return l, nil
}

// slice reads one slice of a part, at off in it.
func (h *harvest) slice(r io.ReaderAt, l split.Layout, part int, off int64, b cache.Blob, s *sought) error {
	p := make([]byte, b.Size)
	if readPart(r, l, part, off, p) != nil {
		return nil
	}
	if b.Off == 0 && b.Size == s.size {
		return h.take(p)
	}
	if s.pieces == nil {
		s.pieces = make([]byte, s.size)
	}
	copy(s.pieces[b.Off:], p)
	s.have = append(s.have, span{b.Off, b.Off + b.Size})
	if covers(s.have, s.size) {
		return h.take(s.pieces)
	}
	return nil
}

// covers tells whether the spans leave out none of size bytes.
func covers(have []span, size int64) bool {
	have = slices.Clone(have)
	slices.SortFunc(have, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	end := int64(0)
	for _, s := range have {
		if s.from > end {
			return false
		}
		end = max(end, s.to)
	}
	return end >= size
}

// readPart reads bytes of a part from off in it.
func readPart(r io.ReaderAt, l split.Layout, part int, off int64, p []byte) error {
	for at, n := range l.Extents(part) {
		if off >= n {
			off -= n
			continue
		}
		k := min(n-off, int64(len(p)))
		if got, err := r.ReadAt(p[:k], at+off); int64(got) < k {
			return errors.Join(errUnreadable, err)
		}
		p, off = p[k:], 0
		if len(p) == 0 {
			return nil
		}
	}
	if len(p) > 0 {
		return errUnreadable
	}
	return nil
}

// more makes the blob again that continues the runs of a recipe.
func (h *harvest) more(runs []cache.Run, r *cache.Recipe) error {
	at := firstSound(r)
	if at <= 0 || len(runs)-at <= moreRuns {
		return nil
	}
	return h.take(repo.MarshalRuns(repoRuns(runs[at:])))
}

// byContent cuts a file as a backup would, whatever it is called and whatever its
// tags say, and takes what is sought. Of files that have no part like one that is
// sought no more is read than their headers.
func (h *harvest) byContent(ctx context.Context, r io.ReaderAt, size int64) error {
	l, err := split.Split(r, size)
	if err != nil {
		return nil
	}
	recipe := &cache.Recipe{Size: size}
	for _, run := range l.Runs {
		recipe.Runs = append(recipe.Runs, cache.Run{Part: run.Part, Length: run.Length})
	}
	for i, k := range l.Parts {
		kind, n := k.String(), l.PartSize(i)
		recipe.Parts = append(recipe.Parts, cache.Part{Kind: kind, Size: n})
		if !h.parts[partLike{kind, n}] {
			continue
		}
		for blob, err := range blobs(&partReader{r: r, l: l, part: i}, kind, n, nil) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				break
			}
			if err := h.take(blob); err != nil {
				return err
			}
		}
	}
	return h.more(recipe.Runs, recipe)
}

// remains takes what is still whole in the damaged objects themselves: the chunks of
// an object, and the frames of a pack, are verified each by itself.
func (h *harvest) remains(ctx context.Context) error {
	for id, s := range h.want {
		if s.done {
			continue
		}
		p, err := h.w.o.Reader.Salvage(ctx, id)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			continue
		}
		if err := h.take(p); err != nil {
			return err
		}
	}
	return nil
}

// contents takes what lies in the contents of this home.
func (h *harvest) contents(ctx context.Context) error {
	for ino, recipe := range h.use {
		if h.open[ino] == 0 {
			continue
		}
		f, err := h.w.cache.OpenFile(ino, cache.OpenFlags{Read: true})
		if err != nil {
			continue // removed meanwhile
		}
		err = h.byRecipe(ctx, cache.ReaderAt{Ctx: ctx, File: f}, recipe)
		if err := errors.Join(err, f.Release()); err != nil {
			return err
		}
	}
	return nil
}

// outside takes what lies in the files that feed the places: first in those that
// the lost blobs came from.
func (h *harvest) outside(ctx context.Context) error {
	places, err := h.w.cache.Places()
	if err != nil {
		return err
	}
	var inos []cache.Ino
	for ino := range h.use {
		inos = append(inos, ino)
	}
	paths, err := h.w.cache.Paths(inos)
	if err != nil {
		return err
	}
	for _, p := range places {
		if p.Root == "" {
			continue
		}
		root, err := os.OpenRoot(p.Root)
		if err != nil {
			continue // a disk that is away
		}
		for ino, path := range paths {
			if rel, ok := strings.CutPrefix(path, p.Name+"/"); ok && h.open[ino] > 0 {
				err = errors.Join(err, h.file(ctx, func() (*os.File, error) { return root.Open(rel) }, h.use[ino]))
			}
		}
		if err := errors.Join(err, root.Close()); err != nil {
			return err
		}
	}
	for _, p := range places {
		if p.Root != "" {
			if err := h.folder(ctx, p.Root); err != nil {
				return err
			}
		}
	}
	return nil
}

// file takes what lies in one file: by the recipe, which may be nil, and then by what
// it is now.
func (h *harvest) file(ctx context.Context, open func() (*os.File, error), recipe *cache.Recipe) error {
	f, err := open()
	if err != nil {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	if recipe != nil && info.Size() == recipe.Size {
		if err := h.byRecipe(ctx, f, recipe); err != nil {
			return err
		}
	}
	return h.byContent(ctx, f, info.Size())
}

// folder takes what lies in any file below a folder.
func (h *harvest) folder(ctx context.Context, dir string) error {
	bySize := map[int64]*cache.Recipe{} // of large files, which are not cut by content alone
	for _, r := range h.use {
		bySize[r.Size] = r
	}
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case h.left() == 0:
			return fs.SkipAll
		case err != nil || !d.Type().IsRegular():
			return nil // what cannot be read may be found elsewhere
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		return h.file(ctx, func() (*os.File, error) { return os.Open(path) }, bySize[info.Size()])
	})
}

// otherContents takes what lies in the contents of another home of this repository.
// They are in the order of the file, with holes where bytes are missing, so the
// recipes of this home tell where a blob would be.
func (h *harvest) otherContents(ctx context.Context, dir string) error {
	for ino, recipe := range h.use {
		if h.open[ino] == 0 {
			continue
		}
		f, err := os.Open(filepath.Join(dir, cache.ContentName(ino)))
		if err != nil {
			continue
		}
		if err := errors.Join(h.byRecipe(ctx, f, recipe), f.Close()); err != nil {
			return err
		}
	}
	return nil
}
