package feed

import (
	"os"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/label"
	"github.com/tunesafe/tunesafe/internal/split"
)

// lostLabel tells whether a track says neither title, artist nor album any more,
// and what the place has of it does. What the place has is read, mostly from the
// packs on this disk, only where the track in the folder says nothing.
func (s *scan) lostLabel(f *os.File, l split.Layout, p *pair, was *cache.Recipe) bool {
	if now, err := label.Read(f, p.st.Size, l); err != nil || !now.Empty() || !now.Music() {
		return false
	}
	h, err := s.o.Cache.OpenFile(p.k.e.Ino, cache.OpenFlags{Read: true, Ordinary: true})
	if err != nil {
		return false
	}
	defer h.Release()
	old := cache.ReaderAt{Ctx: s.ctx, File: h}
	layout, err := split.Split(old, was.Size)
	if err != nil {
		return false
	}
	had, err := label.Read(old, was.Size, layout)
	return err == nil && !had.Empty()
}
