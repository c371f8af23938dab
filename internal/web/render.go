package web

import (
	"bytes"
	"embed"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/tunesafe/tunesafe/internal/control"
)

//go:embed all:templates static
var files embed.FS

// view is what the layout gets; Data is the page's own.
type view struct {
	Title    string
	Path     string
	Nav      []route
	CSRF     string
	In       bool
	ReadOnly bool
	Version  string
	Data     any
}

// navPlace is a place of the navigation, and whether the page is there.
type navPlace struct {
	route
	Here bool
}

// Place prepares a place of the navigation for its template.
func (v view) Place(r route) navPlace { return navPlace{r, v.Here(r)} }

// Here tells whether a place of the navigation is where the page is.
func (v view) Here(r route) bool {
	at := r.Path()
	return v.Path == at || at != "/" && strings.HasPrefix(v.Path, at+"/")
}

// Deep tells whether the page is one that is behind "More".
func (v view) Deep() bool {
	return slices.ContainsFunc(v.Nav, func(r route) bool { return r.rank == behind && v.Here(r) })
}

// Begins tells whether the page is one of the set-up.
func (v view) Begins() bool { return v.Path == atMusic || strings.HasPrefix(v.Path, atMusic+"/") }

// Path is the address of a route without wildcards.
func (r route) Path() string {
	_, at, _ := strings.Cut(r.pattern, " ")
	return strings.TrimSuffix(at, "{$}")
}

// Title is what the navigation calls it.
func (r route) Title() string { return r.title }

// Bar tells whether the navigation has it in its bar, and More whether it is behind
// "More", on a wide screen or a narrow one.
func (r route) Bar() bool  { return r.rank != behind }
func (r route) More() bool { return r.rank != always }

// Roomy tells whether that depends on the screen.
func (r route) Roomy() bool { return r.rank == roomy }

// Icon names its picture.
func (r route) Icon() string { return r.icon }

// parsePages makes a set of templates of each page: its own, the layout, and those
// whose names begin with an underscore, which all may use.
func parsePages() (map[string]*template.Template, error) {
	shared, err := template.New("").Funcs(words).ParseFS(files, "templates/_*.html")
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(files, "templates/[a-z]*.html")
	if err != nil {
		return nil, err
	}
	pages := map[string]*template.Template{}
	for _, name := range names {
		set, err := shared.Clone()
		if err != nil {
			return nil, err
		}
		if set, err = set.ParseFS(files, name); err != nil {
			return nil, err
		}
		pages[strings.TrimSuffix(path.Base(name), ".html")] = set
	}
	return pages, nil
}

// page answers with a page of templates/, which defines "main".
func (s *Server) page(w http.ResponseWriter, r *http.Request, name, title string, data any) error {
	s.write(w, r, http.StatusOK, name, title, data)
	return nil
}

// fragment answers with one template of a page's file, for htmx to put in a place.
func (s *Server) fragment(w http.ResponseWriter, r *http.Request, page, name string, data any) error {
	text, err := s.render(page, name, s.view(r, "", data))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, err = w.Write(text)
	return err
}

// write answers with a page. It is made whole before anything is sent.
func (s *Server) write(w http.ResponseWriter, r *http.Request, status int, name, title string, data any) {
	s.writeAs(w, r, status, name, "layout", title, data)
}

func (s *Server) writeAs(w http.ResponseWriter, r *http.Request, status int, page, name, title string, data any) {
	text, err := s.render(page, name, s.view(r, title, data))
	if err != nil {
		s.Log.Error("the page", "path", r.URL.Path, "err", err)
		http.Error(w, "something went wrong here", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

func (s *Server) render(page, name string, v view) ([]byte, error) {
	var b bytes.Buffer
	err := s.pages[page].ExecuteTemplate(&b, name, v)
	return b.Bytes(), err
}

func (s *Server) view(r *http.Request, title string, data any) view {
	v := view{Title: title, Path: r.URL.Path, ReadOnly: s.ReadOnly, Version: s.Version, Data: data}
	e := current(r)
	if e == nil {
		return v
	}
	v.In, v.CSRF = true, e.csrf
	for _, p := range s.routes() {
		if p.title != "" && (s.Owner != nil || p.setup) && !(p.secret && s.ReadOnly) {
			v.Nav = append(v.Nav, p)
		}
	}
	return v
}

// fail answers with what went wrong in a handler.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // nobody reads it
	}
	s.Log.Warn("the page", "method", r.Method, "path", r.URL.Path, "err", err)
	s.fault(w, r, http.StatusInternalServerError, err)
}

func (s *Server) fault(w http.ResponseWriter, r *http.Request, status int, err error) {
	name := "layout"
	if r.Header.Get("Hx-Request-Type") == "partial" {
		name = "notice"
	}
	s.writeAs(w, r, status, "fault", name, "Something is wrong", s.explain(err))
}

// explain makes an error ready for people.
func (s *Server) explain(err error) *control.Fault {
	switch err { //nolint:errorlint // these are made here, and wrapped by nobody
	case errNotFound:
		return &control.Fault{Text: "There is no such page."}
	case errRetagged:
		return &control.Fault{Text: "The library has it no more under that name.", Hint: "its tags were changed, or it was removed: search for it, or look under Albums"}
	case errReadOnly:
		return &control.Fault{Text: "This page is for looking only.", Hint: "tunesafe web without --read-only gives one that can do more"}
	case errBusy:
		return &control.Fault{Text: "Something is examined or put right already.", Hint: "see how it goes under Health, and try again when it is done"}
	case errStale:
		return &control.Fault{Text: "This form is of an earlier visit.", Hint: "go back, load the page again, and try once more"}
	}
	if s.Explain == nil {
		return &control.Fault{Text: err.Error()}
	}
	return s.Explain(err)
}

// staticFiles serves what is embedded. A browser asks again each time whether it
// changed, by the program's own checksum of it.
func staticFiles() http.Handler {
	next := http.FileServerFS(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := files.ReadFile(strings.TrimPrefix(r.URL.Path, "/"))
		if err != nil { // a folder is none, either
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("Etag", etag(text))
		next.ServeHTTP(w, r)
	})
}
