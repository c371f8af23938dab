package web

import (
	"net/http"

	"github.com/tunesafe/tunesafe/internal/catalog"
)

// peopleView is a page of artists or composers.
type peopleView struct {
	People  []catalog.Person
	Letters letters
	All     int
	More    more
	Role    string // artists or composers: the path of the page
	Works   string // what is counted of them
}

func (s *Server) artists(w http.ResponseWriter, r *http.Request) error {
	return s.people(w, r, catalog.Artist, peopleView{Role: "artists"}, "Artists")
}

func (s *Server) composers(w http.ResponseWriter, r *http.Request) error {
	return s.people(w, r, catalog.Composer, peopleView{Role: "composers"}, "Composers")
}

func (s *Server) people(w http.ResponseWriter, r *http.Request, role catalog.Role, v peopleView, title string) error {
	done, err := s.look(w, r, func(c *catalog.Catalog) {
		v.People, v.All = c.People(role, from(r), pageRows)
		v.Letters = lettersOf(r, c.Letters(role))
	})
	if !done {
		return err
	}
	v.More = goesOn(r, "More "+v.Role, len(v.People), v.All, pageRows)
	return s.list(w, r, "people", "persons", title, v)
}

// Heads tells whether a person is the first under a letter on the page.
func (v peopleView) Heads(i int) bool { return i == 0 || v.People[i-1].Letter != v.People[i].Letter }

// personView is an artist or a composer.
type personView struct {
	catalog.Person
	Works  []works
	Hidden int // albums that are too many for the page
	Back   backView
}

// works are albums that somebody has to do with in one way.
type works struct {
	ID, Title string
	Albums    []card
}

func (s *Server) person(w http.ResponseWriter, r *http.Request) error {
	var p catalog.Works
	var ok bool
	var back backView
	done, err := s.look(w, r, func(c *catalog.Catalog) {
		p, ok = c.Person(r.PathValue("id"))
		back = backTo("/artists/"+p.ID, tracksOf(c, p))
	})
	if !done {
		return err
	}
	if !ok {
		return s.retagged(w, r)
	}
	v := personView{Person: p.Person, Back: back}
	const most = 200 // albums of each kind: those of "Various Artists" may be thousands
	for _, of := range []struct {
		id, title string
		list      []catalog.Album
	}{{"own", "Albums", p.Own}, {"on", "Also on", p.On}, {"composed", "As composer", p.Composed}} {
		if len(of.list) > 0 {
			shown := of.list[:min(len(of.list), most)]
			v.Works = append(v.Works, works{of.id, of.title, s.cards(r.Context(), shown)})
			v.Hidden += len(of.list) - len(shown)
		}
	}
	return s.page(w, r, "person", v.Name, v)
}

// searchView is what a search found.
type searchView struct {
	catalog.Found
	Albums []card
	Rows   []trackRow
	Query  string
	More   more
}

func (s *Server) search(w http.ResponseWriter, r *http.Request) error {
	v, at := searchView{Query: r.FormValue("q")}, from(r)
	done, err := s.look(w, r, func(c *catalog.Catalog) { v.Found = c.Search(v.Query, at, pageRows) })
	if !done {
		return err
	}
	v.Rows, v.Tracks = rows(v.Tracks), nil
	v.Albums = s.cards(r.Context(), v.Found.Albums)
	v.More = goesOn(r, "More tracks", len(v.Rows), v.AllTracks, pageRows)
	switch {
	case partial(r) && at > 0:
		return s.fragment(w, r, "search", "rows", v)
	case partial(r):
		return s.fragment(w, r, "search", "results", v)
	}
	return s.page(w, r, "search", "Search", v)
}
