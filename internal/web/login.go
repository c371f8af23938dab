package web

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// loginView is the page of those who are not in.
type loginView struct {
	Password bool   // one can be given
	Problem  string // with what was given
	In       bool   // they are in after all: the browser held the cookie back once
}

// shut answers those who are not in: people get the page to come in by, and what
// programs ask for is refused.
func (s *Server) shut(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Hx-Request") != "" {
		w.Header().Set("Hx-Refresh", "true") // the whole page is loaded, and that says it
	}
	if r.Method != http.MethodGet || r.Header.Get("Hx-Request") != "" || !strings.Contains(r.Header.Get("Accept"), "text/html") {
		http.Error(w, "not signed in", http.StatusUnauthorized)
		return
	}
	s.door(w, r, http.StatusUnauthorized, loginView{})
}

func (s *Server) door(w http.ResponseWriter, r *http.Request, status int, v loginView) {
	v.Password = s.Password != ""
	s.write(w, r, status, "login", "Sign in", v)
}

// login takes the token of a link. A redirect follows, so that the token is not
// what the browser remembers.
func (s *Server) login(w http.ResponseWriter, r *http.Request) error {
	token := r.URL.Query().Get("token")
	switch {
	case strings.Contains(r.Header.Get("Sec-Purpose"), "prefetch") || r.Method != http.MethodGet:
		w.WriteHeader(http.StatusNoContent) // it would be used up before anybody looks
	case token == "":
		s.door(w, r, http.StatusOK, loginView{In: current(r) != nil})
	case !s.attempt(w, r):
	case !s.sessions.redeem(token, time.Now()):
		s.door(w, r, http.StatusUnauthorized, loginView{Problem: "This link was used before, or is too old.", In: current(r) != nil})
	default:
		s.letIn(w, r)
	}
	return nil
}

// enter takes a password.
func (s *Server) enter(w http.ResponseWriter, r *http.Request) error {
	if s.Password == "" {
		return s.notFound(w, r)
	}
	if r.ParseForm() != nil { // half of one is no attempt, or who sends many would keep others out
		s.door(w, r, http.StatusBadRequest, loginView{Problem: "The form did not arrive whole."})
		return nil
	}
	if !s.attempt(w, r) {
		return nil
	}
	if !checkPassword(s.Password, r.PostFormValue("password")) {
		s.Log.Warn("a wrong password for the page", "from", source(r))
		s.door(w, r, http.StatusUnauthorized, loginView{Problem: "That is not the password."})
		return nil
	}
	s.letIn(w, r)
	return nil
}

// attempt counts one; where there were too many it answers so.
func (s *Server) attempt(w http.ResponseWriter, r *http.Request) bool {
	wait, ok := s.limit.allow(r, time.Now())
	if !ok {
		seconds := strconv.Itoa(int(math.Ceil(wait.Seconds())))
		w.Header().Set("Retry-After", seconds)
		s.Log.Warn("too many attempts to open the page", "from", source(r))
		s.door(w, r, http.StatusTooManyRequests, loginView{Problem: "There were too many attempts. Try again in " + seconds + " seconds."})
	}
	return ok
}

func (s *Server) letIn(w http.ResponseWriter, r *http.Request) {
	if e := current(r); e != nil { // a new one each time: nobody's earlier id is worth anything
		s.sessions.finish(e)
	}
	e := s.sessions.begin(time.Now())
	s.setCookie(w, e.id, int(sessionLife.Seconds()))
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// leave ends the session.
func (s *Server) leave(w http.ResponseWriter, r *http.Request) error {
	s.sessions.finish(current(r))
	s.setCookie(w, "", -1)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
	return nil
}

var errNotFound = errors.New("there is no such page")

// errRetagged: albums and people are what the tags say, and go with them.
var errRetagged = errors.New("the library has it no more")

func (s *Server) retagged(w http.ResponseWriter, r *http.Request) error {
	s.fault(w, r, http.StatusNotFound, errRetagged)
	return nil
}

func (s *Server) notFound(w http.ResponseWriter, r *http.Request) error {
	s.fault(w, r, http.StatusNotFound, errNotFound)
	return nil
}
