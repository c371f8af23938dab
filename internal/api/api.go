// Package api is the interface for other programs, below /api/v1/: what the command
// line and the page do, by HTTP and JSON. /openapi.json describes it, and is made of
// the same declarations as what answers.
//
// # Who may
//
// Each request carries a token that `tunesafe web token add` printed once, as
// "Authorization: Bearer TOKEN"; without one the answer is 401, whatever was asked
// for. A session of the page is none, so no other site can have a browser ask. What
// is kept of a token is its SHA-256: 128 random bits cannot be guessed from it. A token
// for reading, and a page for looking only, are refused whatever changes something.
//
// # What is said
//
// Paths are from the top of the drive, in UTF-8; a name that is none is given with
// each odd byte as U+FFFD, and beside it its bytes in base64. Times are RFC 3339, or
// as people say them ("yesterday 20:00"). What goes wrong is told as RFC 9457 says,
// with a hint.
//
// The package knows [control.Owner], and [Files] for what lies in files.
package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tunesafe/tunesafe/internal/control"
)

// Prefix is where the interface lies.
const Prefix = "/api/v1"

// Options say what is served.
type Options struct {
	Owner    control.Owner
	Files    Files
	Tokens   func() ([]Token, error)                    // those that are good now
	Explain  func(error) (status int, f *control.Fault) // what went wrong, for programs and people
	Attempt  func(*http.Request) (time.Duration, bool)  // counts one that fails; false: it was one too many
	Times    Times
	Version  string
	ReadOnly bool
}

// Times read times as people say them.
type Times struct {
	At     func(string) (time.Time, error) // of a state
	Before func(string) (time.Time, error) // of a state to go back to
	Since  func(string) (time.Time, error) // from which on something counts
}

// Files reads and writes what lies on the drive. Paths begin with a slash.
type Files interface {
	// Open opens a file as it is, or as it was then.
	Open(ctx context.Context, path string, then *time.Time) (*File, error)
	// Put makes a file of what body gives, or puts it in the place of the one that is
	// there, whole or not at all. Folders that lack are made.
	Put(ctx context.Context, path string, body io.Reader) (size int64, err error)
}

// File is an open file.
type File struct {
	io.ReadSeeker
	io.Closer
	Name     string
	Size     int64
	Modified time.Time
}

// Token is what is kept of a token.
type Token struct {
	Name     string    `json:"name"`
	Sum      string    `json:"sha256"`
	Created  time.Time `json:"created"`
	ReadOnly bool      `json:"read_only,omitempty"`
}

// Sum is what is kept of the text of a token.
func Sum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// find gives the token of a request.
func find(tokens []Token, r *http.Request) (found Token, ok bool) {
	text, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !bearer {
		return found, false
	}
	sum := Sum(strings.TrimSpace(text))
	for _, t := range tokens {
		if subtle.ConstantTimeCompare([]byte(t.Sum), []byte(sum)) == 1 {
			return t, true
		}
	}
	return found, false
}

// server is the interface.
type server struct {
	Options
	api huma.API
}

// New makes a handler of everything below [Prefix], and of /openapi.json.
func New(o Options) http.Handler {
	mux := http.NewServeMux()
	config := huma.DefaultConfig("Tunesafe", o.Version)
	config.Info.Description = "A drive that is the backup of a music library: what is safe, what was when, get it back."
	config.DocsPath, config.SchemasPath, config.CreateHooks = "", "", nil // those pages load scripts from elsewhere
	config.Formats = map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat}
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "as printed by tunesafe web token add NAME"},
	}
	config.Security = []map[string][]string{{"token": {}}}
	s := &server{Options: o, api: humago.New(mux, config)}
	s.register()
	paths := s.api.OpenAPI().Paths // {path...} is Go's way to say that slashes are part of it
	paths[Prefix+"/files/{path}"] = paths[Prefix+"/files/{path...}"]
	delete(paths, Prefix+"/files/{path...}")
	return s.guard(mux)
}

// guard lets in those who have a token.
func (s *server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/openapi.json" { // says nothing of what is here
			next.ServeHTTP(w, r)
			return
		}
		tokens, err := s.Tokens()
		if err != nil {
			s.refuse(w, http.StatusInternalServerError, "the tokens of this home cannot be read", "")
			return
		}
		t, ok := find(tokens, r)
		if !ok {
			s.stranger(w, r)
			return
		}
		if (t.ReadOnly || s.ReadOnly) && changes(r) {
			s.refuse(w, http.StatusForbidden, "this token, or this page, is for reading only", "use a token that was made without --read-only")
			return
		}
		c := http.NewResponseController(w) // whoever has a token may take the time that a restore takes
		_ = c.SetReadDeadline(time.Time{})
		_ = c.SetWriteDeadline(time.Time{})
		next.ServeHTTP(w, r)
	})
}

// stranger answers a request without a token, or with a wrong one.
func (s *server) stranger(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "" && s.Attempt != nil {
		if wait, ok := s.Attempt(r); !ok {
			w.Header().Set("Retry-After", seconds(wait))
			s.refuse(w, http.StatusTooManyRequests, "there were too many attempts", "")
			return
		}
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="Tunesafe"`)
	s.refuse(w, http.StatusUnauthorized, "no such token", "tunesafe web token add NAME prints one")
}

func changes(r *http.Request) bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead && r.URL.Path != Prefix+"/wait"
}
