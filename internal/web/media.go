package web

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/tunesafe/tunesafe/internal/api"
	"github.com/tunesafe/tunesafe/internal/catalog"
)

// mediaTimeout bounds an answer with sound: a browser that pauses reads no more, and
// asks anew when it goes on.
const mediaTimeout = time.Hour

// media answers with the bytes of a track, or a range of them.
func (s *Server) media(w http.ResponseWriter, r *http.Request) error {
	var t catalog.Track
	var ok bool
	if s.Library == nil {
		return s.notFound(w, r)
	}
	if err := s.Library.Read(r.Context(), func(c *catalog.Catalog) { t, ok = c.Track(inodeOf(r)) }); err != nil {
		return err
	}
	if !ok {
		return s.notFound(w, r)
	}
	f, err := s.Library.Open(r.Context(), t.Inode)
	if errors.Is(err, ErrNotThere) {
		return s.notFound(w, r)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Time{}) // with which the request, and what it fetches, would end
	_ = c.SetWriteDeadline(time.Now().Add(mediaTimeout))
	h := w.Header()
	h.Set("Content-Type", strings.SplitN(mediaType(t), ";", 2)[0])
	h.Set("Cache-Control", "private, no-cache")
	h.Set("Etag", `"`+f.Tag+`"`)
	if r.URL.Query().Has("download") {
		h.Set("Content-Disposition", api.Attachment(t.File))
	}
	http.ServeContent(w, r, "", f.Mtime, f)
	return nil
}

// pictureTypes are the kinds of picture that a browser shows without running anything.
var pictureTypes = map[string]bool{"image/jpeg": true, "image/png": true, "image/gif": true, "image/webp": true}

// showPicture answers with bytes, if they are those of a picture.
func showPicture(w http.ResponseWriter, r *http.Request, tag, keep string, b []byte) bool {
	kind := http.DetectContentType(b)
	if !pictureTypes[kind] {
		return false
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", keep)
	h.Set("Etag", tag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
	return true
}

// noArt answers without a page: the browser shows what stands for a picture. That there
// is none is no error, and no line in its console.
func noArt(w http.ResponseWriter, err error) error {
	w.Header().Set("Cache-Control", "no-store")
	if errors.Is(err, context.Canceled) {
		return err
	}
	if errors.Is(err, ErrNotThere) {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	http.Error(w, "the picture cannot be had now", http.StatusBadGateway)
	return nil
}
