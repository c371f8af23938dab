package web

import (
	"net/http"

	"github.com/tunesafe/tunesafe/internal/catalog"
)

// peopleView is a page of artists or composers.
type peopleView struct {
	People  []catalog.Person
	Letters []catalog.Letter
	All     int
	From    int
	Next    int
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
	v.From = from(r)
	done, err := s.look(w, r, func(c *catalog.Catalog) {
		v.People, v.All = c.People(role, v.From, pageRows)
		v.Letters = c.Letters(role)
	})
	if !done {
		return err
	}
	v.Next = next(v.From, len(v.People), v.All)
	const alphabets = 60 // letters of all the world would be a page of their own
	v.Letters = v.Letters[:min(len(v.Letters), alphabets)]
	return s.list(w, r, "people", "persons", title, v)
}

// Heads tells whether a person is the first under a letter on the page.
func (v peopleView) Heads(i int) bool { return i == 0 || v.People[i-1].Letter != v.People[i].Letter }

func (s *Server) person(w http.ResponseWriter, r *http.Request) error {
	var v catalog.Works
	var ok bool
	done, err := s.look(w, r, func(c *catalog.Catalog) { v, ok = c.Person(r.PathValue("id")) })
	if !done {
		return err
	}
	if !ok {
		return s.notFound(w, r)
	}
	const most = 200 // albums of each kind: those of "Various Artists" may be thousands
	v.Own, v.On, v.Composed = v.Own[:min(len(v.Own), most)], v.On[:min(len(v.On), most)], v.Composed[:min(len(v.Composed), most)]
	return s.page(w, r, "person", v.Name, v)
}

// searchView is what a search found.
type searchView struct {
	catalog.Found
	Rows  []trackRow
	Query string
	Next  int
}

func (s *Server) search(w http.ResponseWriter, r *http.Request) error {
	v, at := searchView{Query: r.FormValue("q")}, from(r)
	done, err := s.look(w, r, func(c *catalog.Catalog) { v.Found = c.Search(v.Query, at, pageRows) })
	if !done {
		return err
	}
	v.Rows, v.Tracks = rows(v.Tracks), nil
	v.Next = next(at, len(v.Rows), v.AllTracks)
	switch {
	case partial(r) && at > 0:
		return s.fragment(w, r, "search", "rows", v)
	case partial(r):
		return s.fragment(w, r, "search", "results", v)
	}
	return s.page(w, r, "search", "Search", v)
}
