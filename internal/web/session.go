package web

import (
	"crypto/rand"
	"crypto/subtle"
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
	id    string
	csrf  string // must be in each form
	began time.Time
	used  time.Time
	ended chan struct{} // closed when it is no more
}

// sessions are kept in memory: a process that ends takes them with it. Ids are
// random, of 128 bits and more, and looked up in a map.
type sessions struct {
	mu      sync.Mutex
	byID    map[string]*session
	invites map[string]time.Time // token → until
}

func newSessions() *sessions {
	return &sessions{byID: map[string]*session{}, invites: map[string]time.Time{}}
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
	var oldest *session
	for _, e := range s.byID {
		if oldest == nil || e.used.Before(oldest.used) {
			oldest = e
		}
	}
	if len(s.byID) >= maxSessions {
		s.remove(oldest)
	}
	e := &session{id: rand.Text(), csrf: rand.Text(), began: now, used: now, ended: make(chan struct{})}
	s.byID[e.id] = e
	return e
}

// find gives the session of an id; nil if there is none any more.
func (s *sessions) find(id string, now time.Time) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.byID[id]
	if e == nil {
		return nil
	}
	if now.Sub(e.used) > sessionIdle || now.Sub(e.began) > sessionLife {
		s.remove(e)
		return nil
	}
	e.used = now
	return e
}

// finish ends a session.
func (s *sessions) finish(e *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID[e.id] == e {
		s.remove(e)
	}
}

// remove is called with the lock held.
func (s *sessions) remove(e *session) {
	delete(s.byID, e.id)
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
