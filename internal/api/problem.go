package api

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// problem is what went wrong, as RFC 9457 has it.
type problem struct {
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Hint   string `json:"hint,omitempty" doc:"what to do about it"`

	Errors []*huma.ErrorDetail `json:"errors,omitempty" doc:"what of the request is wrong"`
}

// Error implements error.
func (p *problem) Error() string { return p.Detail }

// GetStatus implements [huma.StatusError].
func (p *problem) GetStatus() int { return p.Status }

// ContentType implements [huma.ContentTypeFilter].
func (p *problem) ContentType(string) string { return "application/problem+json" }

// fail makes a problem of an error.
func (s *server) fail(err error) error {
	status, f := s.Explain(err)
	return &problem{Status: status, Title: http.StatusText(status), Detail: f.Text, Hint: f.Hint}
}

func (s *server) refuse(w http.ResponseWriter, status int, detail, hint string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(&problem{Status: status, Title: http.StatusText(status), Detail: detail, Hint: hint})
}

func seconds(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }
