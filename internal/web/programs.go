package web

import (
	"errors"
	"net/http"
	"time"

	"github.com/tunesafe/tunesafe/internal/api"
	"github.com/tunesafe/tunesafe/internal/control"
)

// programs is what the page and the interface for other programs both answer with.
type programs struct{ s *Server }

var _ api.Contents = programs{}

// asOf names a moment and a path as the addresses of the page do.
func asOf(r *http.Request, then *time.Time, name string) *http.Request {
	r = r.Clone(r.Context())
	r.SetPathValue("at", nowWord)
	if then != nil {
		r.SetPathValue("at", control.SnapshotName(*then))
	}
	r.SetPathValue("path", name)
	return r
}

// absent puts what the page has no page for into the words of both.
func absent(err error) error {
	if errors.Is(err, errNotFound) {
		return ErrNotThere
	}
	return err
}

// Zip implements [api.Contents].
func (p programs) Zip(w http.ResponseWriter, r *http.Request, then *time.Time, paths []string) error {
	if len(paths) == 0 {
		paths = []string{"/"}
	}
	name, m, picks := "Music", Moment(nil), []Node(nil)
	for _, of := range paths {
		found, err := p.s.placeOf(asOf(r, then, of))
		if err != nil {
			return absent(err)
		}
		m, picks = found.Moment, append(picks, found.Node)
		if len(paths) == 1 && found.Node.Name != "" {
			name = found.Node.Name
		}
	}
	return p.s.pack(w, r, m, name, "", picks)
}

// AlbumZip implements [api.Contents].
func (p programs) AlbumZip(w http.ResponseWriter, r *http.Request, id string) error {
	return p.s.packAlbum(w, r, id)
}

// Art implements [api.Contents].
func (p programs) Art(w http.ResponseWriter, r *http.Request, inode uint64) error {
	if p.s.Library == nil {
		return ErrNotThere
	}
	return p.s.art(w, r)
}

// PastArt implements [api.Contents].
func (p programs) PastArt(w http.ResponseWriter, r *http.Request, then time.Time, name string) error {
	r = asOf(r, &then, name)
	found, err := p.s.placeOf(r)
	if err != nil {
		return absent(err)
	}
	b, err := found.Picture(r.Context(), found.Node)
	if err != nil {
		return err
	}
	if !showPicture(w, r, etag(b), "private, no-cache", b) {
		return ErrNotThere
	}
	return nil
}

// ExportLog implements [api.Contents].
func (p programs) ExportLog(w http.ResponseWriter, r *http.Request) error { return p.s.exportLog(w, r) }
