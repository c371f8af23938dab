package sync

import (
	"io"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/split"
)

// SamePart tells whether part i of a file, cut as l says, holds the bytes that p
// names. It reads no further than to the first difference. known is false if p
// does not tell what its bytes are.
func SamePart(keys *repo.Keys, r io.ReaderAt, l split.Layout, i int, p cache.Part) (same, known bool, err error) {
	kind := l.Parts[i].String()
	if len(p.Blobs) == 0 {
		return false, false, nil
	}
	if p.Kind != kind || p.Size != l.PartSize(i) {
		return false, true, nil
	}
	src := &partReader{r: r, l: l, part: i}
	if kind == repo.Audio && p.Size <= repo.MaxBlob { // one blob, of which little is kept in memory
		h := keys.NewHash()
		if _, err := io.Copy(h, src); err != nil {
			return false, true, err
		}
		return len(p.Blobs) == 1 && p.Blobs[0].ID == h.Sum(), true, nil
	}
	n := 0
	for blob, err := range blobs(src, kind, p.Size, nil) {
		if err != nil {
			return false, true, err
		}
		if n >= len(p.Blobs) || p.Blobs[n].ID != keys.BlobID(blob) {
			return false, true, nil
		}
		n++
	}
	return n == len(p.Blobs), true, nil
}
