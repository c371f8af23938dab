package sync

import (
	"bytes"
	"io"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/split"
)

// Intact tells whether the bytes of a file are those of its recipe: it goes by the
// recipe's own runs, so that a file which is cut otherwise today is no other. It
// reads no further than to the first difference. known is false if the recipe does
// not tell all of it: parts that are owed, runs that are in the bucket, and what of a
// large file lies in slices of blobs.
func Intact(keys *repo.Keys, r io.ReaderAt, recipe *cache.Recipe) (intact, known bool, err error) {
	l, ok := runsOf(recipe)
	if !ok {
		return false, false, nil
	}
	known = true
	for i, p := range recipe.Parts {
		if len(p.Blobs) == 0 && p.Size > 0 {
			known = false
			continue
		}
		src := &partReader{r: r, l: l, part: i}
		for _, b := range p.Blobs {
			same, err := sameBlob(keys, src, b)
			switch {
			case err != nil:
				return false, known, err
			case !same && p.Kind == repo.Data && p.Size >= repo.LargeData: // a slice, as far as can be told
				known = false
			case !same:
				return false, true, nil
			}
		}
	}
	return true, known, nil
}

func sameBlob(keys *repo.Keys, src io.Reader, b cache.Blob) (bool, error) {
	src = io.LimitReader(src, b.Size)
	if b.IsZeros() {
		return onlyZeros(src)
	}
	h := keys.NewHash()
	n, err := io.Copy(h, src)
	return n == b.Size && h.Sum() == repo.ID(b.ID), err
}

func onlyZeros(r io.Reader) (bool, error) {
	buf, zeros := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		switch {
		case !bytes.Equal(buf[:n], zeros[:n]):
			return false, nil
		case err == io.EOF:
			return true, nil
		case err != nil:
			return false, err
		}
	}
}

// runsOf is the layout of a recipe whose runs are all here.
func runsOf(r *cache.Recipe) (l split.Layout, ok bool) {
	var sum int64
	for _, run := range r.Runs {
		l.Runs = append(l.Runs, split.Run(run))
		sum += run.Length
	}
	if len(r.Runs) == 0 && len(r.Parts) == 1 && r.Size > 0 {
		l.Runs, sum = []split.Run{{Length: r.Size}}, r.Size
	}
	return l, sum == r.Size
}
