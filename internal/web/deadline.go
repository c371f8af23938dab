package web

import (
	"net/http"
	"time"
)

// times bound what others may make this page wait for.
type times struct {
	header time.Duration // for the head of a request
	body   time.Duration // for what follows it
	answer time.Duration // for a piece of the answer to be taken
}

var usualTimes = times{header: 10 * time.Second, body: 30 * time.Second, answer: time.Minute}

// deadlines bound how long others may take: to send a request, and to read an answer.
// How long it takes to make the answer is bound by nothing, as a first look at a large
// library, or at a store far away, may take minutes.
func (s *Server) deadlines(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		if r.ContentLength != 0 { // of others nothing more is read, and what waits for nothing would end the request
			_ = c.SetReadDeadline(time.Now().Add(s.times.body))
		}
		_ = c.SetWriteDeadline(time.Time{}) // that of the connection's last answer, until something is written
		t := &timed{ResponseWriter: w, c: c, patience: s.times.answer}
		next.ServeHTTP(t, r)
		t.extend() // for what is still in a buffer
	})
}

// timed gives whoever reads an answer time for each piece of it, unless a handler
// sets a time for all of them.
type timed struct {
	http.ResponseWriter
	c        *http.ResponseController
	patience time.Duration
	set      bool // by the handler
}

// Unwrap is for [http.ResponseController].
func (t *timed) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// SetWriteDeadline is what [http.ResponseController] calls.
func (t *timed) SetWriteDeadline(at time.Time) error {
	t.set = true
	return t.c.SetWriteDeadline(at)
}

// WriteHeader implements [http.ResponseWriter].
func (t *timed) WriteHeader(status int) {
	t.extend()
	t.ResponseWriter.WriteHeader(status)
}

// Write implements [io.Writer].
func (t *timed) Write(b []byte) (int, error) {
	t.extend()
	return t.ResponseWriter.Write(b)
}

func (t *timed) extend() {
	if !t.set {
		_ = t.c.SetWriteDeadline(time.Now().Add(t.patience))
	}
}
