package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/tunesafe/tunesafe/internal/catalog"
	"github.com/tunesafe/tunesafe/internal/thumbnail"
)

// cover is where a browser gets a picture.
type cover struct {
	Inode uint64 // of a track with one, or of one; 0: there is none
	tag   string // of its bytes; empty: they may be others the next time
}

// At is the address of the picture, made small.
func (c cover) At(width int) string {
	at := fmt.Sprintf("/art/%d?w=%d", c.Inode, width)
	if c.tag != "" {
		at += "&v=" + url.QueryEscape(c.tag)
	}
	return at
}

// coverOf finds a picture, so that its address says which it is: a browser that has
// it asks no more.
func (s *Server) coverOf(ctx context.Context, inode uint64) (c cover) {
	if inode == 0 {
		return c
	}
	c.Inode = inode
	if p, err := s.Library.Picture(ctx, inode); err == nil {
		c.tag = p.Tag
	}
	return c
}

// card is an album on a wall.
type card struct {
	catalog.Album
	Cover cover
}

func (s *Server) cards(ctx context.Context, list []catalog.Album) []card {
	out := make([]card, len(list))
	for i, a := range list {
		out[i] = card{a, s.coverOf(ctx, a.Art)}
	}
	return out
}

// art answers with a picture, small if w says how wide, if its bytes are those of one.
func (s *Server) art(w http.ResponseWriter, r *http.Request) error {
	if s.Library == nil {
		return s.notFound(w, r)
	}
	p, err := s.Library.Picture(r.Context(), inodeOf(r))
	if err != nil {
		return noArt(w, err)
	}
	width := s.widthOf(r)
	tag := `"` + p.Tag + `"`
	if width > 0 {
		tag = fmt.Sprintf(`"%s-%d"`, p.Tag, width)
	}
	keep := "private, no-cache"
	if r.FormValue("v") == p.Tag { // under this address it stays as it is
		keep = "private, max-age=31536000, immutable"
	}
	if r.Header.Get("If-None-Match") == tag {
		w.Header().Set("Cache-Control", keep)
		w.Header().Set("Etag", tag)
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	b, err := s.pictureBytes(r.Context(), p, width)
	if err != nil {
		return noArt(w, err)
	}
	if !showPicture(w, r, tag, keep, b) {
		return noArt(w, ErrNotThere)
	}
	return nil
}

// widthOf is the width that a request wants a picture in; 0: as it is.
func (s *Server) widthOf(r *http.Request) int {
	width, err := strconv.Atoi(r.FormValue("w"))
	if err != nil || s.Thumbnails == nil {
		return 0
	}
	for _, w := range thumbnail.Widths {
		if width == w {
			return w
		}
	}
	return 0
}

// pictureBytes makes a picture small. What cannot be decoded here is given as it is:
// browsers know more.
func (s *Server) pictureBytes(ctx context.Context, p Picture, width int) ([]byte, error) {
	if width == 0 {
		return p.Bytes()
	}
	b, err := s.Thumbnails.Get(ctx, p.Tag, width, p.Bytes)
	switch {
	case errors.Is(err, thumbnail.ErrUnknown):
		return p.Bytes()
	case errors.Is(err, thumbnail.ErrTooLarge):
		return nil, ErrNotThere
	}
	return b, err
}
