package web

import (
	"archive/zip"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/tunesafe/tunesafe/internal/control"
)

// logPage is how many commits a page of the log shows, and logDays how far back the first begins.
const (
	logPage = 100
	logDays = 30
)

// logView is a page of the log, oldest first.
type logView struct {
	Commits []control.LogCommit
	Day     string    // since when, in the form
	Next    time.Time // from which the page after goes on; zero: it is the last
}

// log shows what was written and deleted from a day on. The log is read up to the end of
// the page, and no further.
func (s *Server) log(w http.ResponseWriter, r *http.Request) error {
	since := time.Now().AddDate(0, 0, -logDays)
	q := r.URL.Query().Get("since")
	if t, err := time.ParseInLocation(time.DateOnly, q, time.Local); err == nil {
		since = t
	} else if t, err := time.Parse(time.RFC3339Nano, q); err == nil {
		since = t
	}
	v := logView{Day: since.Local().Format(time.DateOnly)}
	var err error
	if v.Commits, v.Next, err = control.LogPage(r.Context(), s.Owner, control.LogRequest{Since: since}, logPage); err != nil {
		return err
	}
	return s.page(w, r, "log", "Log", v)
}

// exportLog gives the log and what signs it, as a ZIP.
func (s *Server) exportLog(w http.ResponseWriter, r *http.Request) error {
	dir, err := os.MkdirTemp("", "tunesafe-log-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	const name = "tunesafe-log.txt"
	if _, err := s.Owner.ExportLog(r.Context(), control.ExportRequest{File: []byte(filepath.Join(dir, name))}, func(control.LogReport) {}); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("Content-Disposition", `attachment; filename="tunesafe-log.zip"`)
	z := zip.NewWriter(w)
	for _, one := range []string{name, name + ".note"} {
		if err := addFile(z, dir, one); err != nil {
			s.Log.Warn("the log's export broke off", "err", err)
			panic(http.ErrAbortHandler) // or the browser would take it for whole
		}
	}
	return z.Close()
}

func addFile(z *zip.Writer, dir, name string) error {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	defer f.Close()
	to, err := z.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, f)
	return err
}
