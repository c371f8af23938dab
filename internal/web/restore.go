package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/task"
)

// The reasons why nothing is restored to a folder.
var (
	errNotAbsolute = errors.New("the folder's name begins at the top of this computer, with a slash")
	errHidden      = errors.New("folders whose names begin with a dot hold settings of programs: the page writes nothing there")
	errNotFree     = errors.New("there is something in that folder already, and nothing is written over")
	errNoFolder    = errors.New("that is no folder")
	errOwnHome     = errors.New("Tunesafe's own files are there")
	errRestoring   = errors.New("other restores are under way")
)

// askView asks where to.
type askView struct {
	place
	Name    string
	Self    string
	Back    string
	Zip     string
	Picks   []string // as in the form
	What    []string // names of what was picked
	Dest    string
	Problem error
	Likely  []string
}

// namesShown is how many names of what was picked are told.
const namesShown = 20

func (s *Server) askOf(r *http.Request) (v askView, picks []Node, err error) {
	p, err := s.placeOf(r)
	if err != nil {
		return v, nil, err
	}
	if picks, err = picked(r, p); err != nil {
		return v, nil, err
	}
	v = askView{place: p, Name: plain(p.Node.Name), Self: address("restore", p.At, p.Path), Back: address("time", p.At, p.Path),
		Zip: address("zip", p.At, p.Path), Picks: r.Form["pick"], Dest: strings.TrimSpace(r.PostFormValue("dest"))}
	if v.Name == "" {
		v.Name = "everything"
	}
	if len(v.Picks) > 0 {
		v.Name = count(int64(len(picks)), "thing") + " of " + v.Name
		for _, n := range picks[:min(len(picks), namesShown)] {
			v.What = append(v.What, plain(n.Name))
		}
	}
	v.Likely = likely(time.Now())
	if v.Dest == "" && len(v.Likely) > 0 {
		v.Dest = v.Likely[0]
	}
	return v, picks, nil
}

// askRestore asks for the folder.
func (s *Server) askRestore(w http.ResponseWriter, r *http.Request) error {
	v, _, err := s.askOf(r)
	if err != nil {
		return s.lost(w, r, err)
	}
	return s.page(w, r, "restore", "Restore", v)
}

// restore begins a copy to a folder, and shows how it goes.
func (s *Server) restore(w http.ResponseWriter, r *http.Request) error {
	v, picks, err := s.askOf(r)
	if err != nil {
		return s.lost(w, r, err)
	}
	dest, err := s.free(r.Context(), v.Dest)
	if err != nil {
		v.Problem = err
		return s.page(w, r, "restore", "Restore", v)
	}
	q := control.RestoreRequest{Dest: []byte(dest)}
	if !v.Time.IsZero() {
		q.At = &v.Time
	}
	for _, n := range picks {
		of := v.Path
		if len(v.Picks) > 0 {
			of = path.Join(v.Path, n.Name)
		}
		q.Paths = append(q.Paths, []byte(of))
	}
	t, err := s.deeds().Restore(q, v.Name, task.Once{})
	if errors.Is(err, task.ErrBusy) {
		err = errRestoring
	}
	if err != nil {
		v.Problem = err
		return s.page(w, r, "restore", "Restore", v)
	}
	http.Redirect(w, r, "/restores/"+t.ID(), http.StatusSeeOther)
	return nil
}

// restoreView is how one goes.
type restoreView struct {
	control.RestoreProgress
	ID      string
	What    string
	Dest    string
	Percent int
	Ended   bool
	Stopped bool
	Fault   *control.Fault
}

// restoreOf is the restore that a request names; nil if there is none.
func (s *Server) restoreOf(r *http.Request) *task.Task {
	t := s.tasks.Find(r.PathValue("id"))
	if t == nil || t.State().Kind != task.Restore {
		return nil
	}
	return t
}

// restoring shows how a restore goes.
func (s *Server) restoring(w http.ResponseWriter, r *http.Request) error {
	t := s.restoreOf(r)
	if t == nil {
		return s.notFound(w, r)
	}
	st := t.State()
	v := restoreView{ID: st.ID, What: st.What, Dest: st.To, Ended: st.Over(), Stopped: st.Stopped()}
	v.RestoreProgress, _ = st.Progress.(control.RestoreProgress)
	v.Percent = percent(v.Bytes, v.TotalBytes)
	if st.Err != nil && !v.Stopped {
		v.Fault = s.explain(st.Err)
	}
	if r.Header.Get("Hx-Request-Type") == "partial" {
		return s.fragment(w, r, "restoring", "live", v)
	}
	if !v.Ended {
		w.Header().Set("Refresh", "5") // for who has no scripts
	}
	return s.page(w, r, "restoring", "Restore", v)
}

// stopRestore ends one; what was written stays.
func (s *Server) stopRestore(w http.ResponseWriter, r *http.Request) error {
	t := s.restoreOf(r)
	if t == nil {
		return s.notFound(w, r)
	}
	t.Stop()
	http.Redirect(w, r, "/restores/"+t.ID(), http.StatusSeeOther)
	return nil
}

// free looks whether a restore may write to a folder of this machine.
func (s *Server) free(ctx context.Context, name string) (string, error) {
	st, err := s.Owner.Status(ctx)
	if err != nil {
		return "", err
	}
	return freeFolder(name, st.Home)
}

// freeFolder looks whether a restore may write to a folder: one that is not there yet, or
// is empty, and in which nothing is but what people put there. Whoever sits at the page
// need not be who sits at this computer.
func freeFolder(name, home string) (string, error) {
	if !filepath.IsAbs(name) {
		return "", errNotAbsolute
	}
	name = filepath.Clean(name)
	real, rest := name, ""
	for { // as far as it is there
		at, err := filepath.EvalSymlinks(real)
		if err == nil {
			real = filepath.Join(at, rest)
			break
		}
		if !errors.Is(err, os.ErrNotExist) || real == "/" {
			return "", err
		}
		rest, real = filepath.Join(filepath.Base(real), rest), filepath.Dir(real)
	}
	if at, err := filepath.EvalSymlinks(home); err == nil {
		home = at
	}
	switch {
	case strings.Contains(name+real, "/."):
		return "", errHidden
	case home != "" && (real == home || strings.HasPrefix(real, home+"/")):
		return "", errOwnHome
	}
	list, err := os.ReadDir(real)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return real, nil
	case err != nil:
		if info, _ := os.Stat(real); info != nil && !info.IsDir() {
			return "", errNoFolder
		}
		return "", err
	case len(list) > 0:
		return "", errNotFree
	}
	return real, nil
}

// likely lists folders that people restore to: new ones in their own, and on disks that
// are plugged in.
func likely(now time.Time) (list []string) {
	var in []string
	if user, err := os.UserHomeDir(); err == nil {
		in = append(in, filepath.Join(user, "Music"), filepath.Join(user, "Desktop"), filepath.Join(user, "Downloads"), user)
	}
	for _, pattern := range []string{"/run/media/*/*", "/media/*/*", "/media/*", "/mnt/*"} {
		found, _ := filepath.Glob(pattern)
		in = append(in, found...)
	}
	for _, dir := range in {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			continue
		}
		name := filepath.Join(dir, "Restored "+now.Format(dayForm))
		for i := 2; ; i++ {
			if _, err := freeFolder(name, ""); err == nil || i > 9 {
				break
			}
			name = filepath.Join(dir, fmt.Sprintf("Restored %s (%d)", now.Format(dayForm), i))
		}
		if !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}
