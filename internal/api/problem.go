package api

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// ProblemBase is where each type of problem is described, under a heading of its name.
const ProblemBase = "https://github.com/tunesafe/tunesafe/blob/main/docs/API.md#"

// The types of problem. Their names stay; programs tell problems apart by them.
const (
	Unauthorized = "unauthorized"  // no token, or none that is good
	TooMany      = "too-many"      // attempts
	ReadOnly     = "read-only"     // the token, the page, the home or the place is
	Forbidden    = "forbidden"     // otherwise
	NotFound     = "not-found"     // nothing is there, or was
	NotAllowed   = "not-allowed"   // that method, at this address
	Invalid      = "invalid"       // the request cannot be made sense of
	Conflict     = "conflict"      // what is there does not allow it
	Busy         = "busy"          // as much of the kind is under way as may be
	Precondition = "precondition"  // If-Match or If-None-Match does not hold
	KeyReused    = "key-reused"    // an Idempotency-Key came before, with another request
	Gone         = "gone"          // it was, and was pruned
	TooLarge     = "too-large"     // the request
	Timeout      = "timeout"       // not in the time given
	Starting     = "starting"      // what is asked for is being made ready; ask again
	Unavailable  = "unavailable"   // the store, or the owner of the home
	Full         = "full"          // the disk, or the store
	Internal     = "internal"      // anything else
	Cancelled    = "cancelled"     // somebody stopped it
	Secret       = "secret-needed" // a recovery key or passphrase that opens everything
)

// titles are the types of problem with what they are called.
var titles = map[string]string{
	Unauthorized: "A token is needed", TooMany: "Too many attempts", ReadOnly: "It is for reading only", Forbidden: "It is forbidden",
	NotFound: "Nothing is there", NotAllowed: "Not by this method", Invalid: "The request cannot be understood", Conflict: "What is there does not allow it",
	Busy: "Other work is under way", Precondition: "It is not as was expected", KeyReused: "The key was used for another request",
	Gone: "It was deleted for good", TooLarge: "The request is too large", Timeout: "Not in this time", Starting: "Not ready yet",
	Unavailable: "Not to be reached", Full: "There is no room", Internal: "It could not be done", Cancelled: "It was stopped",
	Secret: "A secret is needed",
}

// problem is what went wrong, as RFC 9457 has it.
type problem struct {
	Type   string `json:"type" format:"uri" doc:"tells kinds of problem apart, and where they are described"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty" doc:"what happened to what, for people"`
	Hint   string `json:"hint,omitempty" doc:"what to do about it"`

	Errors []detail `json:"errors,omitempty" doc:"what of the request is wrong"`
}

// detail is a part of a request that is wrong.
type detail struct {
	Message  string `json:"message"`
	Location string `json:"location,omitempty" doc:"as body.paths[0]"`
}

// Error implements error.
func (p *problem) Error() string { return p.Detail }

// GetStatus implements [huma.StatusError].
func (p *problem) GetStatus() int { return p.Status }

// ContentType implements [huma.ContentTypeFilter].
func (p *problem) ContentType(string) string { return "application/problem+json" }

func newProblem(status int, kind, detail, hint string) *problem {
	return &problem{Type: ProblemBase + kind, Title: titles[kind], Status: status, Detail: detail, Hint: hint}
}

// kindOf is the type of a problem of which no more is known than its status.
func kindOf(status int) string {
	kinds := map[int]string{
		http.StatusUnauthorized: Unauthorized, http.StatusTooManyRequests: TooMany, http.StatusForbidden: Forbidden, http.StatusNotFound: NotFound,
		http.StatusMethodNotAllowed: NotAllowed, http.StatusConflict: Conflict, http.StatusPreconditionFailed: Precondition, http.StatusGone: Gone,
		http.StatusRequestEntityTooLarge: TooLarge, http.StatusRequestTimeout: Timeout, http.StatusServiceUnavailable: Unavailable,
		http.StatusInsufficientStorage: Full,
	}
	switch kind, ok := kinds[status]; {
	case ok:
		return kind
	case status >= 400 && status < 500:
		return Invalid
	}
	return Internal
}

// ownProblems has huma say what is wrong with a request as all else is said here. What
// was sent is not sent back.
var ownProblems = sync.OnceFunc(func() {
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		p := newProblem(status, kindOf(status), msg, "")
		for _, err := range errs {
			var d huma.ErrorDetailer
			if errors.As(err, &d) {
				p.Errors = append(p.Errors, detail{d.ErrorDetail().Message, d.ErrorDetail().Location})
			} else if err != nil {
				p.Errors = append(p.Errors, detail{Message: err.Error()})
			}
		}
		return p
	}
})

// fail makes a problem of an error.
func (s *server) fail(err error) error {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	status, kind, f := s.Explain(err)
	if kind == "" {
		kind = kindOf(status)
	}
	p := newProblem(status, kind, f.Text, f.Hint)
	if status == http.StatusServiceUnavailable {
		return huma.ErrorWithHeaders(p, http.Header{"Retry-After": {"1"}})
	}
	return p
}

// write answers with a problem where nothing was answered yet.
func write(w http.ResponseWriter, err error) {
	p, ok := errors.AsType[*problem](err)
	if !ok {
		p = newProblem(http.StatusInternalServerError, Internal, err.Error(), "")
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}

func (s *server) refuse(w http.ResponseWriter, status int, kind, detail, hint string) {
	write(w, newProblem(status, kind, detail, hint))
}

func seconds(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }
