package api

import (
	"context"
	"net/http"
	"time"

	"github.com/tunesafe/tunesafe/internal/catalog"
)

// Album is an album as the tags have it.
type Album struct {
	ID       string  `json:"id"`
	Title    string  `json:"title"`
	Artist   string  `json:"artist,omitempty" doc:"none: several, or nobody says"`
	ArtistID string  `json:"artist_id,omitempty"`
	Year     int     `json:"year,omitempty"`
	Tracks   int     `json:"tracks"`
	Seconds  float64 `json:"seconds"`
	Art      uint64  `json:"art,omitempty" doc:"an inode whose art is its picture"`
	Tagged   bool    `json:"tagged" doc:"the tags name it; otherwise its title is that of its folder"`
}

// track is a track as its tags have it.
type track struct {
	Inode    uint64  `json:"inode"`
	Path     string  `json:"path" doc:"on the drive, from its top"`
	Bytes    []byte  `json:"path_bytes,omitempty" doc:"where the path is not UTF-8"`
	Title    string  `json:"title"`
	Artist   string  `json:"artist,omitempty"`
	ArtistID string  `json:"artist_id,omitempty"`
	Album    string  `json:"album,omitempty"`
	AlbumID  string  `json:"album_id,omitempty"`
	Composer string  `json:"composer,omitempty"`
	Year     int     `json:"year,omitempty"`
	Number   int     `json:"number,omitempty"`
	Disc     int     `json:"disc,omitempty"`
	Seconds  float64 `json:"seconds"`
	Format   string  `json:"format,omitempty"`
	Art      bool    `json:"art" doc:"it has a picture of its own"`
	Unread   bool    `json:"unread,omitempty" doc:"its tags were not read yet"`
}

// Person is an artist or a composer.
type Person struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Letter string `json:"letter"`
	Albums int    `json:"albums"`
	Tracks int    `json:"tracks"`
}

// albumPage is an album with its tracks.
type albumPage struct {
	Album
	Of Page[track] `json:"of" doc:"its tracks in their order"`
}

// works are what somebody made.
type works struct {
	Person
	Own      []Album `json:"own" nullable:"false"`
	On       []Album `json:"on" nullable:"false" doc:"albums of others"`
	Composed []Album `json:"composed" nullable:"false"`
}

// found is what a search found.
type found struct {
	Artists []Person    `json:"artists" nullable:"false" doc:"the best few"`
	Albums  []Album     `json:"albums" nullable:"false" doc:"the best few"`
	Tracks  Page[track] `json:"tracks"`
}

func plain(s string) string { return text([]byte(s)) }

func albumOf(a catalog.Album) Album {
	return Album{a.ID, plain(a.Title), plain(a.Artist), a.ArtistID, a.Year, a.Tracks, a.Seconds, a.Art, a.Tagged}
}

func trackOf(t catalog.Track) track {
	return track{Inode: t.Inode, Path: plain(t.Path), Bytes: odd([]byte(t.Path)), Title: plain(t.Title), Artist: plain(t.Artist), ArtistID: t.ArtistID, Album: plain(t.Album),
		AlbumID: t.AlbumID, Composer: plain(t.Composer), Year: t.Year, Number: t.Number, Disc: t.Disc, Seconds: t.Seconds, Format: t.Format, Art: t.Art, Unread: t.Unread}
}

func personOf(p catalog.Person) Person {
	return Person{p.ID, plain(p.Name), plain(p.Letter), p.Albums, p.Tracks}
}

// each makes a list of a list.
func each[A, B any](list []A, of func(A) B) []B {
	all := make([]B, 0, len(list))
	for _, a := range list {
		all = append(all, of(a))
	}
	return all
}

// readyPatience is how long a request waits for a library that is being put in order.
const readyPatience = 2 * time.Second

// look reads the catalog.
func (s *server) look(ctx context.Context, fn func(*catalog.Catalog)) error {
	if s.Library == nil {
		return newProblem(http.StatusNotFound, NotFound, "there is no library here", "")
	}
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	return s.Library.Read(ctx, fn)
}

// lacks is said of what the catalog does not have.
func lacks(ok bool, err error) error {
	if err == nil && !ok {
		err = newProblem(http.StatusNotFound, NotFound, "the library has no such thing", "")
	}
	return err
}

// inode names a track.
type inode struct {
	Inode uint64 `path:"inode"`
}

// Identity names an album or somebody.
type Identity struct {
	ID string `path:"id" maxLength:"64"`
}

// registerLibrary is the music by its tags.
func (s *server) registerLibrary() {
	add(s, operation(http.MethodGet, "/albums", "albums", "library", "The albums"), func(ctx context.Context, in *struct {
		Paged
		By string `query:"by" enum:"artist,title" default:"artist" doc:"the order"`
	}) (p Page[Album], err error) {
		by := catalog.ByArtist
		if in.By == "title" {
			by = catalog.ByTitle
		}
		err = s.look(ctx, func(c *catalog.Catalog) {
			list, all := c.Albums(by, in.From, in.Limit)
			p = pageOf(each(list, albumOf), all, in.Paged)
		})
		return p, err
	})
	add(s, operation(http.MethodGet, "/albums/{id}", "album", "library", "An album with its tracks"), func(ctx context.Context, in *struct {
		Identity
		Paged
	}) (p albumPage, err error) {
		ok := false
		err = s.look(ctx, func(c *catalog.Catalog) {
			var a catalog.Album
			var tracks []catalog.Track
			a, tracks, ok = c.Album(in.ID)
			p = albumPage{albumOf(a), cut(each(tracks, trackOf), in.Paged)}
		})
		return p, lacks(ok, err)
	})
	streamOf(s, streamed(http.MethodGet, "/albums/{id}/zip", "album-zip", "library", "The tracks of an album as a ZIP archive; ranges, too", "application/zip"), func(w http.ResponseWriter, r *http.Request, in *Identity) error {
		return s.Contents.AlbumZip(w, r, in.ID)
	})
	s.people("/artists", "artists", "The artists", catalog.Artist)
	s.people("/composers", "composers", "The composers", catalog.Composer)
	add(s, operation(http.MethodGet, "/artists/{id}", "artist", "library", "What an artist or a composer made"), func(ctx context.Context, in *Identity) (p works, err error) {
		ok := false
		err = s.look(ctx, func(c *catalog.Catalog) {
			var w catalog.Works
			w, ok = c.Person(in.ID)
			p = works{personOf(w.Person), each(w.Own, albumOf), each(w.On, albumOf), each(w.Composed, albumOf)}
		})
		return p, lacks(ok, err)
	})
	add(s, operation(http.MethodGet, "/tracks", "tracks", "library", "The tracks, album by album"), func(ctx context.Context, in *Paged) (p Page[track], err error) {
		err = s.look(ctx, func(c *catalog.Catalog) {
			list, all := c.Page(in.From, in.Limit)
			p = pageOf(each(list, trackOf), all, *in)
		})
		return p, err
	})
	add(s, operation(http.MethodGet, "/tracks/{inode}", "track", "library", "A track; list tells its state, history what became of it, and files gives its bytes, all by its path"), func(ctx context.Context, in *inode) (p track, err error) {
		ok := false
		err = s.look(ctx, func(c *catalog.Catalog) {
			var t catalog.Track
			t, ok = c.Track(in.Inode)
			p = trackOf(t)
		})
		return p, lacks(ok, err)
	})
	art := streamed(http.MethodGet, "/tracks/{inode}/art", "art", "library", "The picture of a track, or of a file that is a picture; 204 if there is none", "image/*")
	streamOf(s, art, func(w http.ResponseWriter, r *http.Request, in *inode) error { return s.Contents.Art(w, r, in.Inode) })
	add(s, operation(http.MethodGet, "/search", "search", "library", "Titles, artists, albums and composers that have all words"), func(ctx context.Context, in *struct {
		Paged
		Query string `query:"q" required:"true" maxLength:"1000"`
	}) (p found, err error) {
		err = s.look(ctx, func(c *catalog.Catalog) {
			f := c.Search(in.Query, in.From, in.Limit)
			p = found{each(f.Artists, personOf), each(f.Albums, albumOf), pageOf(each(f.Tracks, trackOf), f.AllTracks, in.Paged)}
		})
		return p, err
	})
}

// people lists artists or composers.
func (s *server) people(path, id, summary string, role catalog.Role) {
	add(s, operation(http.MethodGet, path, id, "library", summary), func(ctx context.Context, in *Paged) (p Page[Person], err error) {
		err = s.look(ctx, func(c *catalog.Catalog) {
			list, all := c.People(role, in.From, in.Limit)
			p = pageOf(each(list, personOf), all, *in)
		})
		return p, err
	})
}
