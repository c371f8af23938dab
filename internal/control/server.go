package control

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	headerTimeout = 10 * time.Second
	closeTimeout  = 5 * time.Second // for answers under way that do not end when they are told to
	maxRequest    = 8 << 20         // bytes; the paths of a restore
)

// Server answers clients on behalf of an owner.
type Server struct {
	owner   Owner
	explain func(error) *Fault
	http    http.Server
	closing context.Context // of all requests; ends with Close
	end     context.CancelFunc
}

// NewServer makes a server; explain turns the owner's errors into what people
// are told.
func NewServer(o Owner, explain func(error) *Fault) *Server {
	s := &Server{owner: o, explain: explain}
	s.closing, s.end = context.WithCancel(context.Background())
	mux := http.NewServeMux()
	mux.Handle("POST /v1/status", handler(s, s.status))
	mux.Handle("POST /v1/wait", handler(s, o.Wait))
	mux.Handle("POST /v1/unmount", handler(s, o.Unmount))
	mux.Handle("POST /v1/restore", handler(s, o.Restore))
	mux.Handle("POST /v1/list", handler(s, s.list))
	mux.Handle("POST /v1/check", handler(s, o.Check))
	mux.Handle("POST /v1/log", handler(s, o.Log))
	mux.Handle("POST /v1/export-log", handler(s, o.ExportLog))
	mux.Handle("POST /v1/picture", handler(s, s.picture))
	mux.Handle("POST /v1/backup", handler(s, o.Backup))
	mux.Handle("POST /v1/detach", handler(s, s.detach))
	mux.Handle("POST /v1/decide", handler(s, s.decide))
	mux.Handle("POST /v1/work", handler(s, s.work))
	mux.Handle("POST /v1/snapshots", handler(s, o.Snapshots))
	mux.Handle("POST /v1/history", handler(s, o.History))
	mux.Handle("POST /v1/undo", handler(s, o.Undo))
	mux.Handle("POST /v1/diff", handler(s, o.Diff))
	mux.Handle("POST /v1/mount", handler(s, s.mount))
	mux.Handle("POST /v1/health", handler(s, o.Health))
	mux.Handle("POST /v1/rehearse", handler(s, o.Rehearse))
	mux.Handle("POST /v1/prune", handler(s, o.Prune))
	mux.Handle("POST /v1/repair", handler(s, o.Repair))
	mux.Handle("POST /v1/trends", handler(s, o.Trends))
	mux.Handle("POST /v1/pin", handler(s, s.pin))
	mux.Handle("POST /v1/web", handler(s, s.web))
	s.http = http.Server{Handler: mux, ReadHeaderTimeout: headerTimeout}
	s.http.BaseContext = func(net.Listener) context.Context { return s.closing }
	return s
}

// Serve answers until Close. It closes the listener.
func (s *Server) Serve(l net.Listener) error {
	err := s.http.Serve(l)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Close cancels what is under way; its clients get [ErrEnded]. What ends with an
// answer all the same may still give it.
func (s *Server) Close() error {
	s.end()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		return s.http.Close()
	}
	return nil
}

// nothing is a request or an answer without content.
type nothing struct{}

func (s *Server) status(ctx context.Context, _ nothing, _ func(nothing)) (Status, error) {
	return s.owner.Status(ctx)
}

func (s *Server) list(ctx context.Context, r ListRequest, entry func(Entry)) (nothing, error) {
	return nothing{}, s.owner.List(ctx, r, entry)
}

func (s *Server) detach(ctx context.Context, r DetachRequest, _ func(nothing)) (nothing, error) {
	return nothing{}, s.owner.Detach(ctx, r)
}

func (s *Server) decide(ctx context.Context, r DecideRequest, _ func(nothing)) (DecideReport, error) {
	return s.owner.Decide(ctx, r)
}

// frame is one line of an answer.
type frame struct {
	Progress any    `json:"progress,omitempty"`
	Result   any    `json:"result,omitempty"`
	Fault    *Fault `json:"fault,omitempty"`
}

// handler makes one request of f.
func handler[In, Out, P any](s *Server, f func(context.Context, In, func(P)) (Out, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in In
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		a := answer{w: w, out: json.NewEncoder(w)}
		out, err := f(r.Context(), in, func(p P) { a.send(frame{Progress: p}) })
		if s.closing.Err() != nil && errors.Is(err, context.Canceled) {
			return // an answer without an end
		}
		if err != nil {
			a.send(frame{Fault: s.explain(err)})
			return
		}
		a.send(frame{Result: out})
	})
}

// answer sends frames as they come.
type answer struct {
	mu  sync.Mutex
	w   http.ResponseWriter
	out *json.Encoder
}

// send ignores errors: a client that is gone has cancelled the request.
func (a *answer) send(f frame) {
	a.mu.Lock()
	defer a.mu.Unlock()
	_ = a.out.Encode(f)
	_ = http.NewResponseController(a.w).Flush()
}
