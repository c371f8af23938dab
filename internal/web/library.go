package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/tunesafe/tunesafe/internal/catalog"
)

// Library is the music of the drive.
type Library interface {
	// Read calls fn with the catalog as it is now; [ErrNotReady] if that is being made
	// and ctx ended first.
	Read(ctx context.Context, fn func(*catalog.Catalog)) error
	// Facts tells of a track what its tags do not.
	Facts(ctx context.Context, inode uint64) (Facts, error)
	// Open opens a track; ctx ends what it fetches.
	Open(ctx context.Context, inode uint64) (Content, error)
	// Picture finds the picture of a track, or the picture that a file is.
	// [ErrNotThere] if there is none.
	Picture(ctx context.Context, inode uint64) (Picture, error)
}

// The errors of a Library.
var (
	ErrNotReady = errors.New("the library is being put in order")
	ErrNotThere = errors.New("there is no such thing in the library")
)

// Facts are what is known of a track beside its tags. Sizes are bytes.
type Facts struct {
	State string // as the drive says it: "safe"
	Safe  bool   // all of it is in the store
	Size  int64
	Sound int64 // of it
	Art   int64
	Mtime time.Time
}

// Content is an open file.
type Content struct {
	io.ReadSeekCloser
	Tag   string // another for other bytes
	Mtime time.Time
}

// Picture is one as it is stored. Bytes are read when they are asked for.
type Picture struct {
	Tag   string // another for another picture
	Bytes func() ([]byte, error)
}

const (
	readyPatience = 200 * time.Millisecond // until a page says that the library is being put in order
	pageAlbums    = 60
	pageRows      = 75 // tracks or people: with the longest tags still a light page
)

// look reads the catalog for a page. If that is not ready, the browser is told so, and
// asks again by itself: done is false then.
func (s *Server) look(w http.ResponseWriter, r *http.Request, fn func(*catalog.Catalog)) (done bool, err error) {
	if s.Library == nil {
		return false, s.notFound(w, r)
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyPatience)
	defer cancel()
	err = s.Library.Read(ctx, fn)
	if errors.Is(err, ErrNotReady) {
		return false, s.page(w, r, "preparing", "Your library", r.URL.RequestURI())
	}
	return err == nil, err
}

// partial tells whether a script asks for a piece of a page.
func partial(r *http.Request) bool { return r.Header.Get("Hx-Request-Type") == "partial" }

// list answers with a page, or with the piece of it that goes on with its list.
func (s *Server) list(w http.ResponseWriter, r *http.Request, page, piece, title string, v any) error {
	if partial(r) {
		return s.fragment(w, r, page, piece, v)
	}
	return s.page(w, r, page, title, v)
}

func inodeOf(r *http.Request) uint64 {
	n, err := strconv.ParseUint(r.PathValue("inode"), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// albumsView is a page of albums.
type albumsView struct {
	Albums  []card
	Letters letters
	All     int
	By      string // artist or title
	More    more
	Unread  int
}

func (s *Server) albums(w http.ResponseWriter, r *http.Request) error {
	v, at, by := albumsView{By: "artist"}, from(r), catalog.ByArtist
	if r.FormValue("by") == "title" {
		v.By, by = "title", catalog.ByTitle
	}
	var list []catalog.Album
	done, err := s.look(w, r, func(c *catalog.Catalog) {
		list, v.All = c.Albums(by, at, pageAlbums)
		v.Letters = lettersOf(r, c.AlbumLetters(by))
		v.Unread = c.Unread()
	})
	if !done {
		return err
	}
	v.Albums = s.cards(r.Context(), list)
	v.More = goesOn(r, "More albums", len(list), v.All, pageAlbums)
	return s.list(w, r, "albums", "cards", "Albums", v)
}

// tracksView is a page of tracks, album by album.
type tracksView struct {
	Tracks []trackRow
	All    int
	More   more
}

func (s *Server) tracks(w http.ResponseWriter, r *http.Request) error {
	v, at := tracksView{}, from(r)
	done, err := s.look(w, r, func(c *catalog.Catalog) {
		var list []catalog.Track
		list, v.All = c.Page(at, pageRows)
		v.Tracks = rows(list)
	})
	if !done {
		return err
	}
	v.More = goesOn(r, "More tracks", len(v.Tracks), v.All, pageRows)
	return s.list(w, r, "tracks", "rows", "Tracks", v)
}

// albumView is an album.
type albumView struct {
	card
	Rows     []trackRow
	More     more
	Formats  []string
	Waiting  int    // tracks that are not safe yet
	SafeWord string // how the others are called
	Several  bool   // artists
	Back     backView
}

func (s *Server) album(w http.ResponseWriter, r *http.Request) error {
	v, at := albumView{SafeWord: "safe"}, from(r)
	var tracks []catalog.Track
	var ok bool
	done, err := s.look(w, r, func(c *catalog.Catalog) { v.Album, tracks, ok = c.Album(r.PathValue("id")) })
	if !done {
		return err
	}
	if !ok {
		return s.retagged(w, r)
	}
	v.describe(tracks)
	v.Back = backTo("/albums/"+v.ID, tracks)
	v.Rows = rows(tracks)
	if len(tracks) > 0 && tracks[0].Disc != tracks[len(tracks)-1].Disc {
		headDiscs(v.Rows)
	}
	at = min(at, len(tracks))
	v.Rows = v.Rows[at:min(at+pageRows, len(tracks))]
	v.More = goesOn(r, "More tracks", len(v.Rows), len(tracks), pageRows)
	v.Cover = s.coverOf(r.Context(), v.Art)
	for i := range v.Rows {
		f, err := s.Library.Facts(r.Context(), v.Rows[i].Inode)
		switch {
		case err != nil: // it is gone meanwhile
		case f.Safe:
			v.SafeWord = f.State
		default:
			v.Rows[i].State = f.State
			v.Waiting++
		}
	}
	return s.list(w, r, "album", "rows", v.Title, v)
}

// describe tells what the tracks of an album have in common.
func (v *albumView) describe(tracks []catalog.Track) {
	for _, t := range tracks {
		if t.Format != "" && !slices.Contains(v.Formats, t.Format) {
			v.Formats = append(v.Formats, t.Format)
		}
		v.Several = v.Several || t.Artist != v.Artist
	}
}

// headDiscs marks the first track of each disc.
func headDiscs(list []trackRow) {
	for i := range list {
		if i == 0 || list[i].Disc != list[i-1].Disc {
			list[i].Heads = list[i].Disc
		}
	}
}
