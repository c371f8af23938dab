package web

import (
	"encoding/json"
	"log/slog"
	"strconv"
	"time"
)

// Memory keeps what is to outlive the process, for nobody else to read.
type Memory interface {
	Sessions() ([]byte, error) // empty: nothing was kept
	SetSessions([]byte) error
}

// keepEvery is how often it is written down that a session is used.
const keepEvery = time.Hour

// memory is a Memory as sessions use it.
type memory struct {
	Memory
	For  string // what kind of page the sessions are good for
	port int    // where a bookmark leads; 0: not decided here
	log  *slog.Logger
}

// remembered is what is kept: whoever reads it gets in by none of it.
type remembered struct {
	Port     int                 `json:"port,omitempty"`
	For      string              `json:"for,omitempty"`
	Sessions []rememberedSession `json:"sessions,omitempty"`
}

type rememberedSession struct {
	Sum   string    `json:"sha256"`
	Began time.Time `json:"began"`
	Used  time.Time `json:"used"`
}

func recallFrom(m Memory) (r remembered, err error) {
	text, err := m.Sessions()
	if err == nil && len(text) > 0 {
		err = json.Unmarshal(text, &r)
	}
	return r, err
}

// LastPort is where the page was for this computer alone; 0 if that is not known.
func LastPort(m Memory) int {
	r, err := recallFrom(m)
	if err != nil || r.Port < 1 || r.Port > 65535 {
		return 0
	}
	return r.Port
}

// kindOf tells pages apart whose sessions are not each other's: whoever came in to look
// only, or by an earlier password, is not in where there is more to be had.
func (o Options) kindOf() string {
	return hashOf("page", strconv.FormatBool(o.ReadOnly)+" "+strconv.FormatBool(o.Secure)+" "+o.Password)
}

// remember takes up what was kept, and keeps what comes.
func (s *sessions) remember(m memory) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := recallFrom(m.Memory)
	if err != nil {
		m.log.Warn("all must sign in to the page again", "err", err)
	}
	if m.port == 0 {
		m.port = old.Port
	}
	if s.memory = m; old.For == m.For {
		for _, e := range old.Sessions {
			if s.byID[e.Sum] == nil && len(s.byID) < maxSessions {
				s.byID[e.Sum] = &session{began: e.Began, used: e.Used, kept: e.Used, ended: make(chan struct{})}
			}
		}
	}
	s.keep()
}

// keep writes the sessions down; it is called with the lock held.
func (s *sessions) keep() {
	if s.memory.Memory == nil {
		return
	}
	r := remembered{Port: s.memory.port, For: s.memory.For}
	for sum, e := range s.byID {
		e.kept = e.used
		r.Sessions = append(r.Sessions, rememberedSession{Sum: sum, Began: e.began, Used: e.used})
	}
	text, err := json.Marshal(r)
	if err == nil {
		err = s.memory.SetSessions(text)
	}
	if err != nil {
		s.memory.log.Warn("who is in on the page is not written down", "err", err)
	}
}
