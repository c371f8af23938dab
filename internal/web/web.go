// Package web is the page: one's own library in a browser.
//
// # Closed by default
//
// Whatever runs in the same browser, or on the same machine as another user, must
// learn nothing here and change nothing. In the order in which a request meets
// them (guard.go):
//
//  1. The Host is one the page is known by: a name that a stranger's DNS points
//     here (rebinding) is none.
//  2. Every answer forbids scripts, styles and requests but the page's own
//     (Content-Security-Policy), and to be guessed at, framed, or kept.
//  3. A request that changes something comes from this page: by what the browser
//     says of its origin, and by a token of the session in the form.
//  4. All but the way in needs a session: a cookie that scripts cannot read and
//     other sites cannot send. It is had by a link that works once (session.go),
//     or by a password (password.go); attempts are few (limit.go). It outlives the
//     process (remember.go), as people have a bookmark and no wish for another link.
//  5. A page for reading (Options.ReadOnly) refuses every change, and has no keys.
//
// Elsewhere than on loopback it listens only with a password and TLS (listen.go).
//
// # How a page is added
//
// One file with a handler, one template in templates/ that defines "main", and one
// line in the table of routes.go. Handlers return errors; what people are told is
// Options.Explain's business. Templates escape whatever a name or a tag holds, and
// nothing is marked as safe.
//
// The package knows [control.Owner], which the command line uses, too, and nothing
// of what is behind it.
package web

import (
	"cmp"
	"context"
	"errors"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tunesafe/tunesafe/internal/api"
	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/task"
	"github.com/tunesafe/tunesafe/internal/thumbnail"
	"github.com/tunesafe/tunesafe/internal/zipstream"
)

// Options say what is shown, and to whom.
type Options struct {
	Owner    control.Owner   // nil: there is no home yet, and only pages for that are shown
	Library  Library         // nil: there is none to be shown
	Past     Past            // nil: nothing of it is shown
	Setup    Setup           // where there is no Owner: makes a home
	Keeping  control.Keeping // nil: devices and keys are not shown
	Drawer   Drawer          // nil: there is none to be printed
	Explain  func(error) *control.Fault
	Log      *slog.Logger
	Version  string
	Memory   Memory   // nil: sessions end with the process
	Usual    bool     // at the usual address, where it is to be found again
	Hosts    []string // names by which the page is asked for, beside those of the address it listens at
	Password string   // as by [HashPassword]; empty: nobody gets in by one
	ReadOnly bool
	Secure   bool         // behind TLS
	times    times        // usualTimes, but in tests
	API      *api.Options // the interface for other programs; may be nil

	ZipSums    string           // a file in which sums for archives outlive the process; empty: none
	Thumbnails *thumbnail.Cache // makes pictures small; nil: they stay as they are
}

// Server answers browsers.
type Server struct {
	Options
	pages    map[string]*template.Template
	sessions *sessions
	limit    *limiter
	http     http.Server
	addr     *net.TCPAddr
	names    map[string]bool // hosts that are answered
	tasks    *task.Set
	recall   recall
	nights   nights
	running  *sync.WaitGroup // what goes on behind pages
	sums     zipstream.Sums
	zips     chan struct{} // holds a value for each archive that is sent

	closing context.Context // of all requests; ends with Close
	end     context.CancelFunc

	answers atomic.Pointer[http.Handler]
	setting setting
	counts  counts
}

// Timeouts and limits; more are in [times].
const (
	idleTimeout  = 2 * time.Minute
	closeTimeout = 5 * time.Second // for answers under way
	maxHeader    = 32 << 10
	maxForm      = 256 << 10
)

// New makes the page that is asked for at addr.
func New(o Options, addr *net.TCPAddr) (*Server, error) {
	pages, err := parsePages()
	if err != nil {
		return nil, err
	}
	s := &Server{addr: addr, sessions: newSessions(), limit: newLimiter(), pages: pages, running: &sync.WaitGroup{}}
	s.closing, s.end = context.WithCancel(context.Background())
	s.take(o)
	s.answer(s.handler())
	s.http = http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*s.answers.Load()).ServeHTTP(w, r) }),
		ReadHeaderTimeout: s.times.header, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog:    slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return s.closing },
	}
	return s, nil
}

func (s *Server) take(o Options) {
	if s.Options = o; s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	s.times = cmp.Or(s.times, usualTimes)
	s.names = hostsOf(s.addr, o.Hosts)
	if o.Memory != nil {
		m := memory{Memory: o.Memory, For: o.kindOf(), log: s.Log}
		if o.Usual {
			m.port = s.addr.Port
		}
		s.sessions.remember(m)
	}
	s.tasks = task.New(s.closing, s.running.Go, s.Log)
	s.zips = make(chan struct{}, zipsAtOnce)
	if o.ZipSums != "" {
		if err := s.sums.Keep(o.ZipSums); err != nil {
			s.Log.Warn("what is downloaded after a restart is read again", "err", err)
		}
	}
}

func (s *Server) answer(h http.Handler) { s.answers.Store(&h) }

// Become has what is asked from now on answered as o says: the set-up made a home,
// and its library is shown to those who are in already. The address stays, and with
// it what must be as it was: Hosts and Secure.
func (s *Server) Become(o Options) {
	next := &Server{addr: s.addr, sessions: s.sessions, limit: s.limit, pages: s.pages, running: s.running, closing: s.closing, end: s.end}
	next.take(o)
	s.answer(next.handler())
}

// Serve answers until Close. It closes the listener.
func (s *Server) Serve(l net.Listener) error {
	err := s.http.Serve(l)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Close ends streams and gives other answers a moment to end.
func (s *Server) Close() error {
	s.end()
	defer s.sums.Close() //nolint:errcheck // a help and no more
	defer s.running.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		return s.http.Close()
	}
	return nil
}

// SignOutAll lets nobody in any more who was in before.
func (s *Server) SignOutAll() { s.sessions.finishAll() }

// URL is where the page is.
func (s *Server) URL() string {
	scheme := "http"
	if s.Secure {
		scheme = "https"
	}
	return scheme + "://" + s.authority() + "/"
}

// Link gives an address that lets one browser in, once, until then.
func (s *Server) Link() (link string, until time.Time) {
	token, until := s.sessions.invite(time.Now())
	return s.URL() + "login?token=" + token, until
}
