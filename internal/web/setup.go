package web

import "net/http"

// setup is where one begins who has no home yet.
func (s *Server) setup(w http.ResponseWriter, r *http.Request) error {
	if s.Owner != nil {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return nil
	}
	return s.page(w, r, "setup", "Begin", nil)
}
