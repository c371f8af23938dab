package web

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"path"
	"time"

	"github.com/tunesafe/tunesafe/internal/control"
)

// undoView asks whether something is to be made as it was, or tells that it is.
type undoView struct {
	At      string
	Time    time.Time // zero: before the last change
	Path    string
	Name    string
	Self    string
	Back    string
	Changes []undoRow
	All     int
	Seen    string // what is shown, for the form
	Anew    bool   // something changed since it was shown
	Refused *control.Fault
	Get     string // restore instead
	Done    int    // changes; with Is
	Is      bool   // it is as it was
}

// undoRow is something to be changed: from what is there now to what was.
type undoRow struct {
	control.DiffChange
	Name string
	Was  string
}

const (
	lastWord  = "last" // in the place of a snapshot: before the last change
	undoWords = 100    // to be told in words: the tags of each may have to be fetched
	undoShown = 300
)

func (s *Server) undoOf(r *http.Request) (v undoView, q control.UndoRequest, err error) {
	v = undoView{At: r.PathValue("at"), Path: pathOf(r), Self: r.URL.EscapedPath()}
	v.Name, v.Back = plain(path.Base(v.Path)), address("time", nowWord, v.Path)
	if v.Path == "/" {
		v.Name = "the whole drive"
	} else {
		q.Paths = [][]byte{[]byte(v.Path)}
	}
	if v.At == lastWord && v.Path != "/" {
		return v, q, nil
	}
	if _, v.Time, err = momentOf(r); err != nil || v.Time.IsZero() {
		return v, q, errNotFound
	}
	q.Since = &v.Time
	v.Back, v.Get = address("time", v.At, v.Path), address("restore", v.At, v.Path)
	return v, q, nil
}

// askUndo shows what would be changed.
func (s *Server) askUndo(w http.ResponseWriter, r *http.Request) error {
	v, q, err := s.undoOf(r)
	if err != nil {
		return s.lost(w, r, err)
	}
	if err := s.foresee(r, &v, q); err != nil {
		return err
	}
	return s.page(w, r, "undo", "Make it as it was", v)
}

// foresee asks what is to be changed. Where it must not be, that is told.
func (s *Server) foresee(r *http.Request, v *undoView, q control.UndoRequest) error {
	q.DryRun, q.Brief = true, true
	report, err := s.Owner.Undo(r.Context(), q, func(control.PastProgress) {})
	if err != nil {
		v.Refused = s.explain(err)
	}
	v.All, v.Seen = len(report.Changes), digest(report.Changes)
	if err == nil && v.All <= undoWords {
		q.Brief = false
		if told, err := s.Owner.Undo(r.Context(), q, func(control.PastProgress) {}); err == nil {
			report = told
		}
	}
	for _, c := range report.Changes[:min(v.All, undoShown)] {
		row := undoRow{DiffChange: c, Name: plain(string(c.Path)), Was: plain(string(c.Was))}
		v.Changes = append(v.Changes, row)
	}
	return r.Context().Err()
}

// digest is another for other changes.
func digest(changes []control.DiffChange) string {
	h := sha256.New()
	for _, c := range changes {
		for _, b := range [][]byte{[]byte(c.What), c.Path, c.Was} {
			h.Write(b)
			h.Write([]byte{0})
		}
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:12])
}

// undo makes it as it was, if that is still what was shown.
func (s *Server) undo(w http.ResponseWriter, r *http.Request) error {
	v, q, err := s.undoOf(r)
	if err != nil {
		return s.lost(w, r, err)
	}
	if err := s.foresee(r, &v, q); err != nil {
		return err
	}
	if v.Anew = v.Seen != r.PostFormValue("seen"); v.Anew || v.Refused != nil || v.All == 0 {
		return s.page(w, r, "undo", "Make it as it was", v)
	}
	q.Brief = true
	report, err := s.Owner.Undo(r.Context(), q, func(control.PastProgress) {})
	if err != nil {
		return err
	}
	s.Log.Info("made as it was, from the page", "path", v.Path, "at", v.At, "changes", report.Done)
	v.Is, v.Done = true, report.Done
	return s.page(w, r, "undo", "It is as it was", v)
}
