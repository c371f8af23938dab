package web

import (
	"net/http"
	"strings"
)

// beginView sums up what was chosen, and asks what else this machine shall do.
type beginView struct {
	Folders []string
	Where   string
	Notes   []string // of the place
	Opened  bool     // a backup that is there
	Offers  Offers
	Login   bool
	Drive   string
}

func (s *Server) beginOf(c *setting, r *http.Request) beginView {
	o := s.Setup.Offers(r.Context())
	v := beginView{Folders: c.Folders, Where: c.tried.Where, Notes: c.tried.Notes, Opened: c.tried.Backup, Offers: o, Login: c.Login || c.problem == nil, Drive: c.Drive}
	if v.Drive == "" {
		v.Drive = o.Drive
	}
	return v
}

// beginBackup makes the home. That may take as long as a backup that is there takes to be
// read: a page says so meanwhile.
func (s *Server) beginBackup(w http.ResponseWriter, r *http.Request, c *setting) error {
	c.TakeOver, c.Login, c.Drive = r.PostFormValue("takeover") != "", r.PostFormValue("login") != "", ""
	if r.PostFormValue("drive") != "" {
		if c.Drive = strings.TrimSpace(r.PostFormValue("at")); c.Drive == "" {
			return &Mistake{Field: "at", Text: "The folder for the drive is missing."}
		}
	}
	c.began, c.problem = true, nil
	choices := c.Choices
	go func() {
		err := s.Setup.Begin(s.closing, choices)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.began, c.problem = err == nil, err
	}()
	http.Redirect(w, r, atWait, http.StatusSeeOther)
	return nil
}

// waitPause is how long a browser waits before it asks again, in seconds.
const waitPause = "1"

// wait says that it is being set up.
func (s *Server) wait(w http.ResponseWriter, r *http.Request, c *setting) error {
	w.Header().Set("Refresh", waitPause)
	return s.showStep(w, r, c, atWait, nil)
}
