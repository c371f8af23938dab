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
// # What takes long
//
// A check, a repair, a restore and the like are begun by POST and answered at once, by
// 202 and the address of a task (package task), which tells how it goes, waits for its
// end if asked, and is cancelled by DELETE. The page shows the same tasks.
//
// # How far a token reaches
//
// To the drive and its store, and not to the rest of the machine: folders to be backed
// up are named by their place, a restore writes to a folder that is new or empty and
// not hidden, and the recovery key is never given out. So whoever finds a token cannot
// read the files of the machine with it, nor become its user.
//
// The package knows [control.Owner], and small interfaces for what lies in files.
package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tunesafe/tunesafe/internal/catalog"
	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/task"
)

// Prefix is where the interface lies.
const Prefix = "/api/v1"

// Options say what is served.
type Options struct {
	Owner    control.Owner
	Keeping  control.Keeping
	Settings Settings
	Files    Files
	Library  Library                                                 // nil: there is none to be shown
	Contents Contents                                                // of the page, with which it shares them
	Tasks    *task.Set                                               // likewise
	Dest     func(ctx context.Context, name string) (string, error)  // of a restore: refuses what is not new or empty
	Tokens   func() ([]Token, error)                                 // those that there are now
	Used     func(Token)                                             // notes that a token was used; may be nil
	Explain  func(error) (status int, kind string, f *control.Fault) // what went wrong, for programs and people; no kind: as the status says
	Attempt  func(*http.Request) (time.Duration, bool)               // counts one that fails; false: it was one too many
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
	// there, whole or not at all. Folders that lack are made. Where the file that is
	// there, or that there is none, is not as cond has it, it is [ErrPrecondition].
	Put(ctx context.Context, path string, body io.Reader, cond Condition) (Put, error)
}

// ErrPrecondition: what is there is not as the request has it.
var ErrPrecondition = errors.New("what is there is not as was expected")

// Condition says what must be there: anything of any tag, or one of these tags.
type Condition struct {
	Match  []string // If-Match: tags, or "*"; none: whatever
	Absent bool     // If-None-Match: *
}

// Holds tells whether a file may be written over, of which tag is empty if it is not there.
func (c Condition) Holds(tag string) bool {
	switch {
	case c.Absent && tag != "":
		return false
	case len(c.Match) == 0:
		return true
	}
	return tag != "" && (slices.Contains(c.Match, "*") || slices.Contains(c.Match, tag))
}

// Put is what an upload did.
type Put struct {
	Size int64
	Tag  string // of the file now
	New  bool   // there was none
}

// Library is the music of the drive by its tags.
type Library interface {
	// Read calls fn with the catalog as it is now.
	Read(ctx context.Context, fn func(*catalog.Catalog)) error
}

// Contents are what the page answers with that is no page. What they return was not
// answered yet.
type Contents interface {
	// Zip sends folders and files of a moment as an archive; nil is now.
	Zip(w http.ResponseWriter, r *http.Request, then *time.Time, paths []string) error
	// AlbumZip sends the tracks of an album.
	AlbumZip(w http.ResponseWriter, r *http.Request, id string) error
	// Art sends the picture of a track, or the picture that a file is.
	Art(w http.ResponseWriter, r *http.Request, inode uint64) error
	// PastArt sends the picture that a file had in it then.
	PastArt(w http.ResponseWriter, r *http.Request, then time.Time, path string) error
	// ExportLog sends the log and what signs it.
	ExportLog(w http.ResponseWriter, r *http.Request) error
}

// File is an open file.
type File struct {
	io.ReadSeeker
	io.Closer
	Name     string
	Tag      string // another for other bytes
	Size     int64
	Modified time.Time
}

// Token is what is kept of a token.
type Token struct {
	Name     string    `json:"name"`
	Sum      string    `json:"sha256"`
	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires,omitzero"` // none: never
	ReadOnly bool      `json:"read_only,omitempty"`
}

// Good tells whether a token lets in.
func (t Token) Good(now time.Time) bool { return t.Expires.IsZero() || now.Before(t.Expires) }

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
			return t, t.Good(time.Now())
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
	ownProblems()
	mux := http.NewServeMux()
	config := huma.DefaultConfig("Tunesafe", o.Version)
	config.Info.Description = "A drive that is the backup of a music library: what is safe, what was when, get it back. docs/API.md tells how to begin."
	config.Info.License = &huma.License{Name: "Apache 2.0", Identifier: "Apache-2.0"}
	config.DocsPath, config.SchemasPath, config.CreateHooks = "", "", nil // those pages load scripts from elsewhere
	config.Formats = map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat}
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "as printed by tunesafe web token add NAME"},
	}
	config.Security = []map[string][]string{{"token": {}}}
	config.Servers = []*huma.Server{{URL: "/"}}
	s := &server{Options: o, api: humago.New(mux, config)}
	s.register()
	paths := s.api.OpenAPI().Paths // {path...} is Go's way to say that slashes are part of it
	paths[Prefix+"/files/{path}"] = paths[Prefix+"/files/{path...}"]
	delete(paths, Prefix+"/files/{path...}")
	return s.guard(otherwise(mux))
}

// otherwise answers for what the table does not have, as everything else is answered.
func otherwise(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		said := httptest.NewRecorder()
		h.ServeHTTP(said, r)
		for _, name := range []string{"Allow", "Location"} {
			if v := said.Header().Get(name); v != "" {
				w.Header().Set(name, v)
			}
		}
		if said.Code < 400 {
			w.WriteHeader(said.Code)
			return
		}
		write(w, newProblem(said.Code, kindOf(said.Code), "the interface has no such operation", "/openapi.json lists them"))
	})
}

// tokenKey is where a request has the name of its token.
type tokenKey struct{}

// guard lets in those who have a token.
func (s *server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/openapi.json" { // says nothing of what is here
			next.ServeHTTP(w, r)
			return
		}
		tokens, err := s.Tokens()
		if err != nil {
			s.refuse(w, http.StatusInternalServerError, Internal, "the tokens of this home cannot be read", "")
			return
		}
		t, ok := find(tokens, r)
		if !ok {
			s.stranger(w, r)
			return
		}
		if s.Used != nil {
			s.Used(t)
		}
		if (t.ReadOnly || s.ReadOnly) && changes(r) {
			s.refuse(w, http.StatusForbidden, ReadOnly, "this token, or this page, is for reading only", "use a token that was made without --read-only")
			return
		}
		c := http.NewResponseController(w) // whoever has a token may take the time that a restore takes
		_ = c.SetReadDeadline(time.Time{})
		_ = c.SetWriteDeadline(time.Time{})
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tokenKey{}, t.Name)))
	})
}

// stranger answers a request without a token, or with a wrong one.
func (s *server) stranger(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "" && s.Attempt != nil {
		if wait, ok := s.Attempt(r); !ok {
			w.Header().Set("Retry-After", seconds(wait))
			s.refuse(w, http.StatusTooManyRequests, TooMany, "there were too many attempts", "")
			return
		}
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="Tunesafe"`)
	s.refuse(w, http.StatusUnauthorized, Unauthorized, "no such token, or it has expired", "tunesafe web token add NAME prints one")
}

func changes(r *http.Request) bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead
}
