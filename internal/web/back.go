package web

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/tunesafe/tunesafe/internal/catalog"
	"github.com/tunesafe/tunesafe/internal/control"
)

// backView asks of an album or an artist which night to go back to.
type backView struct {
	Self    string // where the form goes
	Folders []backFolder
	Night   string // that is proposed
	Today   string
}

// backFolder is one that holds what the page is about. Its name may be any bytes, so that
// forms call it by its key.
type backFolder struct {
	Path, Name, Key string
}

// foldersAsked bounds the folders of an artist that are offered.
const foldersAsked = 50

func backTo(self string, tracks []catalog.Track) backView {
	now := time.Now()
	v := backView{Self: self + "/back", Night: now.AddDate(0, 0, -1).Format(dayForm), Today: now.Format(dayForm)}
	for _, dir := range foldersOf(tracks) {
		sum := sha256.Sum256([]byte(dir))
		v.Folders = append(v.Folders, backFolder{dir, plain(dir), base64.RawURLEncoding.EncodeToString(sum[:9])})
	}
	return v
}

// foldersOf lists the folders that tracks lie in, and before them the one that has all of
// them, if there is one.
func foldersOf(tracks []catalog.Track) (list []string) {
	above := ""
	for _, t := range tracks {
		dir := path.Dir(path.Clean("/" + t.Path))
		if !slices.Contains(list, dir) && len(list) < foldersAsked {
			list = append(list, dir)
		}
		if above == "" {
			above = dir
		}
		for dir != above && !strings.HasPrefix(dir, strings.TrimSuffix(above, "/")+"/") {
			above = path.Dir(above)
		}
	}
	if len(list) > 1 && above != "/" && !slices.Contains(list, above) {
		list = slices.Insert(list, 0, above)
	}
	return list
}

// albumBack and personBack go from an album or an artist to the folder of it as it was on
// a night, or to the question whether it is to be so again.
func (s *Server) albumBack(w http.ResponseWriter, r *http.Request) error {
	return s.back(w, r, func(c *catalog.Catalog) (backView, bool) {
		_, tracks, ok := c.Album(r.PathValue("id"))
		return backTo("", tracks), ok
	})
}

func (s *Server) personBack(w http.ResponseWriter, r *http.Request) error {
	return s.back(w, r, func(c *catalog.Catalog) (backView, bool) {
		works, ok := c.Person(r.PathValue("id"))
		return backTo("", tracksOf(c, works)), ok
	})
}

// tracksOf lists the tracks of somebody's own albums; of all, if there are none.
func tracksOf(c *catalog.Catalog, works catalog.Works) (list []catalog.Track) {
	albums := works.Own
	if len(albums) == 0 {
		albums = slices.Concat(works.On, works.Composed)
	}
	for _, a := range albums[:min(len(albums), foldersAsked)] {
		_, tracks, _ := c.Album(a.ID)
		list = append(list, tracks...)
	}
	return list
}

func (s *Server) back(w http.ResponseWriter, r *http.Request, find func(*catalog.Catalog) (backView, bool)) error {
	var v backView
	var ok bool
	if done, err := s.look(w, r, func(c *catalog.Catalog) { v, ok = find(c) }); !done {
		return err
	}
	i := slices.IndexFunc(v.Folders, func(f backFolder) bool { return f.Key == r.FormValue("folder") })
	page, known := map[string]string{"": "time", "undo": "undo", "restore": "restore"}[r.FormValue("do")]
	night, err := time.ParseInLocation(dayForm, r.FormValue("night"), time.Local)
	if !ok || i < 0 || !known || err != nil {
		return s.notFound(w, r)
	}
	report, done, err := s.snapshots(w, r)
	if !done {
		return err
	}
	at := lastOf(report.Snapshots, night)
	if at == "" {
		return s.page(w, r, "before", "Nothing is kept of then", night)
	}
	http.Redirect(w, r, address(page, at, v.Folders[i].Path), http.StatusSeeOther)
	return nil
}

// lastOf names the newest moment that is not after a day.
func lastOf(all []control.Snapshot, day time.Time) (name string) {
	for _, m := range all {
		if dayOf(m) <= day.Format(dayForm) {
			name = m.Name
		}
	}
	return name
}
