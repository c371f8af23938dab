package web

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"sync"
	"time"
)

// How long things last.
const (
	inviteLife  = 10 * time.Minute
	sessionIdle = 24 * time.Hour
	sessionLife = 30 * 24 * time.Hour
	maxSessions = 64 // the one that was used the longest ago makes room
	maxInvites  = 16
)

// session is a browser that was let in.
type session struct {
	id    string // empty, until the browser of one from before comes back
	csrf  string // must be in each form
	began time.Time
	used  time.Time
	kept  time.Time     // used, as it was written down
	ended chan struct{} // closed when it is no more
}

// sessions are looked up by the hashes of their ids, which are random, of 128 bits
// and more. Where there is a Memory they outlive the process (remember.go).
type sessions struct {
	mu      sync.Mutex
	byID    map[string]*session  // sum of the id
	invites map[string]time.Time // token → until
	memory  memory
}

func newSessions() *sessions {
	return &sessions{byID: map[string]*session{}, invites: map[string]time.Time{}}
}

// sumOf is what is kept of an id: nobody who reads it can make the id of it.
func sumOf(id string) string { return hashOf("session", id) }

// is has a session be that of an id. The token of its forms is made of it, so that
// forms on a screen outlive the process, too.
func (e *session) is(id string) { e.id, e.csrf = id, hashOf("form", id) }

func hashOf(of, text string) string {
	sum := sha256.Sum256([]byte(of + " " + text))
	return hex.EncodeToString(sum[:])
}

// invite makes a token for a link.
func (s *sessions) invite(now time.Time) (token string, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var first string
	for t, u := range s.invites {
		if now.After(u) {
			delete(s.invites, t)
		} else if first == "" || u.Before(s.invites[first]) {
			first = t
		}
	}
	if len(s.invites) >= maxInvites {
		delete(s.invites, first)
	}
	token, until = rand.Text(), now.Add(inviteLife)
	s.invites[token] = until
	return token, until
}

// redeem uses a token up.
func (s *sessions) redeem(token string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	until, ok := s.invites[token]
	delete(s.invites, token)
	return ok && now.Before(until)
}

// begin lets a browser in.
func (s *sessions) begin(now time.Time) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	var oldest string
	for sum, e := range s.byID {
		if e.over(now) {
			s.remove(sum)
		} else if oldest == "" || e.used.Before(s.byID[oldest].used) {
			oldest = sum
		}
	}
	if len(s.byID) >= maxSessions {
		s.remove(oldest)
	}
	e := &session{began: now, used: now, kept: now, ended: make(chan struct{})}
	e.is(rand.Text())
	s.byID[sumOf(e.id)] = e
	s.keep()
	return e
}

// find gives the session of an id; nil if there is none any more.
func (s *sessions) find(id string, now time.Time) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := sumOf(id)
	e := s.byID[sum]
	if e == nil {
		return nil
	}
	if e.over(now) {
		s.remove(sum)
		s.keep()
		return nil
	}
	if e.id == "" {
		e.is(id)
	}
	if e.used = now; e.used.Sub(e.kept) > keepEvery {
		s.keep()
	}
	return e
}

func (e *session) over(now time.Time) bool {
	return now.Sub(e.used) > sessionIdle || now.Sub(e.began) > sessionLife
}

// finish ends a session, for good: it is forgotten before anybody is told.
func (s *sessions) finish(e *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sum := sumOf(e.id); s.byID[sum] == e {
		s.remove(sum)
		s.keep()
	}
}

// finishAll ends all of them, and what links would begin.
func (s *sessions) finishAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for sum := range s.byID {
		s.remove(sum)
	}
	clear(s.invites)
	s.keep()
}

// remove is called with the lock held.
func (s *sessions) remove(sum string) {
	e := s.byID[sum]
	delete(s.byID, sum)
	close(e.ended)
}

// mayChange tells whether a form is of this session.
func (e *session) mayChange(token string) bool {
	return subtle.ConstantTimeCompare([]byte(token), []byte(e.csrf)) == 1
}

// cookieName is of this port alone: browsers share cookies between the ports of a
// host. Behind TLS the prefix has browsers refuse it from elsewhere.
func (s *Server) cookieName() string {
	name := "tunesafe-" + s.port()
	if s.Secure {
		return "__Host-" + name
	}
	return name
}

func (s *Server) setCookie(w http.ResponseWriter, id string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: s.cookieName(), Value: id, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: s.Secure, SameSite: http.SameSiteStrictMode,
	})
}

// sessionOf gives the session of a request; nil if it has none.
func (s *Server) sessionOf(r *http.Request) *session {
	c, err := r.Cookie(s.cookieName())
	if err != nil {
		return nil
	}
	return s.sessions.find(c.Value, time.Now())
}
