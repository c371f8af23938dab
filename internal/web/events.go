package web

import (
	"bytes"
	"fmt"
	"net/http"
	"time"
)

const (
	eventPause = 500 * time.Millisecond // between looks
	eventBeat  = 15 * time.Second       // something is sent at least so often
)

// events streams the state of the page "Safe?" as it changes.
func (s *Server) events(w http.ResponseWriter, r *http.Request) error {
	return s.follow(w, r, func() ([]byte, error) {
		st, err := s.Owner.Status(r.Context())
		if err != nil {
			return nil, err
		}
		return s.render("safe", "live", s.view(r, "", safeOf(st, time.Now())))
	})
}

// follow streams what is rendered as it changes: server-sent events, each the fragment
// to be shown. It ends with the session, with the page, when a browser reads no more,
// and when it cannot be rendered: the browser asks again, and is told then.
func (s *Server) follow(w http.ResponseWriter, r *http.Request, render func() ([]byte, error)) error {
	w.Header().Set("Content-Type", "text/event-stream")
	c := stream(w)
	var shown []byte
	var sent time.Time
	for {
		text, err := render()
		if err != nil {
			s.Log.Debug("the page's events", "path", r.URL.Path, "err", err)
			return nil
		}
		switch now := time.Now(); {
		case !bytes.Equal(text, shown):
			shown, sent = text, now
			err = s.send(w, c, event(text))
		case now.Sub(sent) > eventBeat:
			sent = now
			err = s.send(w, c, []byte(":\n\n"))
		}
		if err != nil {
			return nil //nolint:nilerr // it is gone
		}
		select {
		case <-r.Context().Done():
			return nil
		case <-current(r).ended:
			return nil
		case <-time.After(eventPause):
		}
	}
}

// stream takes the time limits off an answer that lasts: until it is done, or its
// reader or the page is gone.
func stream(w http.ResponseWriter) *http.ResponseController {
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Time{}) // else it ends the context of the request
	_ = c.SetWriteDeadline(time.Time{})
	return c
}

func (s *Server) send(w http.ResponseWriter, c *http.ResponseController, b []byte) error {
	_ = c.SetWriteDeadline(time.Now().Add(s.times.answer))
	if _, err := w.Write(b); err != nil {
		return err
	}
	return c.Flush()
}

// event is a message of server-sent events, each line of text a field.
func event(text []byte) []byte {
	var b bytes.Buffer
	for line := range bytes.Lines(text) {
		fmt.Fprintf(&b, "data: %s\n", bytes.TrimRight(line, "\r\n"))
	}
	b.WriteByte('\n')
	return b.Bytes()
}
