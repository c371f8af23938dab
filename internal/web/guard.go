package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tunesafe/tunesafe/internal/api"
)

// policy forbids whatever the page does not do itself.
const policy = "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// handler is everything that answers, in the order of the package's comment.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		mux.Handle(r.pattern, s.route(r))
	}
	mux.Handle("GET /static/", staticFiles())
	mux.Handle("/", s.route(route{do: s.notFound}))
	if s.API != nil {
		o := *s.API
		o.Tasks, o.Contents, o.Library = s.tasks, programs{s}, s.Library
		o.Dest = s.free
		o.Attempt = func(r *http.Request) (time.Duration, bool) { return s.limit.allow(r, time.Now()) }
		programs := api.New(o)
		mux.Handle("/api/", programs)
		mux.Handle("GET /openapi.json", programs)
	}
	return s.recovers(s.ownHeaders(s.known(s.deadlines(sameOrigin(mux)))))
}

// recovers keeps what went wrong in one answer from ending the process.
func (s *Server) recovers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == http.ErrAbortHandler { //nolint:errorlint // as net/http compares it
				panic(p)
			}
			if p != nil {
				s.Log.Error("the page", "method", r.Method, "path", r.URL.Path, "panic", fmt.Sprint(p))
				http.Error(w, "something went wrong here", http.StatusInternalServerError)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// known refuses names that a stranger's DNS may point here.
func (s *Server) known(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.answersTo(r.Host) {
			http.Error(w, "this page is not called "+strconv.Quote(r.Host), http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// answersTo tells whether the page is called so. An address is nobody's to point
// elsewhere; where the page is for other machines, each it has is right, and each port:
// a router may pass on another than it listens at.
func (s *Server) answersTo(hostport string) bool {
	port := hostPort(hostport, s.defaultPort())
	host := strings.Trim(strings.TrimSuffix(hostport, ":"+port), "[]")
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if s.addr.IP.IsLoopback() {
		return s.names[host] && port == s.port()
	}
	return s.names[host] || net.ParseIP(host) != nil
}

// hostPort is the port in a Host, or what it stands for without one.
func hostPort(hostport, without string) string {
	_, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return without
	}
	return port
}

func (s *Server) port() string { return strconv.Itoa(s.addr.Port) }

func (s *Server) defaultPort() string {
	if s.Secure {
		return "443"
	}
	return "80"
}

// authority is host and port for people.
func (s *Server) authority() string {
	host := s.addr.IP.String()
	if len(s.Hosts) > 0 && !s.addr.IP.IsLoopback() {
		host = s.Hosts[0]
	} else if s.addr.IP.IsUnspecified() {
		host = "localhost"
	}
	if s.port() == s.defaultPort() {
		return strings.TrimSuffix(net.JoinHostPort(host, ""), ":")
	}
	return net.JoinHostPort(host, s.port())
}

// hostsOf lists the names of the page.
func hostsOf(addr *net.TCPAddr, more []string) map[string]bool {
	names := map[string]bool{addr.IP.String(): true}
	if addr.IP.IsLoopback() || addr.IP.IsUnspecified() {
		names["localhost"], names["127.0.0.1"], names["::1"] = true, true, true
	}
	for _, n := range more {
		names[strings.ToLower(n)] = true
	}
	return names
}

// strictTransport has browsers ask for this name by TLS alone, for half a year.
const strictTransport = "max-age=15552000"

// ownHeaders are on every answer.
func (s *Server) ownHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()")
		h.Set("Cache-Control", "no-store")
		if s.Secure && !s.addr.IP.IsLoopback() && hostPort(r.Host, s.defaultPort()) == s.defaultPort() {
			h.Set("Strict-Transport-Security", strictTransport) // it is for all ports of a name, so not of one that has others
		}
		next.ServeHTTP(w, r)
	})
}

// sameOrigin refuses changes that another site asks for, as browsers tell.
func sameOrigin(next http.Handler) http.Handler {
	return http.NewCrossOriginProtection().Handler(next)
}

// sessionKey is where a request has its session.
type sessionKey struct{}

// current is the session of a request; nil on the way in.
func current(r *http.Request) *session {
	e, _ := r.Context().Value(sessionKey{}).(*session)
	return e
}

// errReadOnly: a page for reading was asked to change something.
var errReadOnly = errors.New("this page is for looking only")

// errStale: a form is not of this session.
var errStale = errors.New("this form is of an earlier visit")

// route wraps what answers one route.
func (s *Server) route(p route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := s.sessionOf(r)
		if e == nil && !p.open {
			s.shut(w, r)
			return
		}
		r = r.WithContext(context.WithValue(r.Context(), sessionKey{}, e))
		if err := s.admit(w, r, p, e); err != nil {
			s.fault(w, r, http.StatusForbidden, err)
			return
		}
		if s.Owner == nil && !p.setup && !p.open {
			http.Redirect(w, r, "/setup", http.StatusSeeOther)
			return
		}
		if err := p.do(w, r); err != nil {
			s.fail(w, r, err)
		}
	})
}

// admit tells why a session may not do what it asks for.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, p route, e *session) error {
	if s.ReadOnly && (p.secret || changes(r) && !p.door) {
		return errReadOnly
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if !changes(r) || p.open {
		return nil
	}
	token := r.Header.Get("X-CSRF-Token")
	if token == "" {
		token = r.PostFormValue("csrf")
	}
	if !e.mayChange(token) {
		return errStale
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // all was read: what takes long is not ended by it
	return nil
}

// changes tells whether a request may change something.
func changes(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return false
	}
	return true
}
