package control

import (
	"context"
	"time"
)

// Showing is the part of [Owner] that shows the page in a browser.
type Showing interface {
	// Web serves the page, if it does not yet, and gives a link that lets one
	// browser in. Asked for other things than are served it begins anew.
	Web(ctx context.Context, r WebRequest) (WebReport, error)
}

// WebRequest says where and to whom the page is shown.
type WebRequest struct {
	Listen   string   `json:"listen,omitempty"`    // as HOST:PORT; empty is loopback
	ReadOnly bool     `json:"read_only,omitempty"` // it can change nothing, and shows no keys
	Hosts    []string `json:"hosts,omitempty"`     // names by which it may be asked for
	Cert     []byte   `json:"cert,omitempty"`      // absolute names of files
	Key      []byte   `json:"key,omitempty"`
	ACME     string   `json:"acme,omitempty"`        // the domain to get a certificate for
	ACMEFrom string   `json:"acme_server,omitempty"` // the address of who gives it; empty is Let's Encrypt
	ACMECA   []byte   `json:"acme_ca,omitempty"`     // the absolute name of the file by which that is trusted
	Stop     bool     `json:"stop,omitempty"`        // show it no more
}

// Plain tells whether nothing is asked for but the page, wherever it is.
func (r WebRequest) Plain() bool {
	return r.Listen == "" && !r.ReadOnly && len(r.Hosts)+len(r.Cert)+len(r.Key)+len(r.ACMECA) == 0 && r.ACME+r.ACMEFrom == "" && !r.Stop
}

// WebReport is where the page is.
type WebReport struct {
	URL     string    `json:"url"`              // of the page
	Link    string    `json:"link,omitempty"`   // lets one browser in, once
	Until   time.Time `json:"until,omitzero"`   // the link is good until then
	Stopped bool      `json:"stopped,omitzero"` // it is shown no more
}

// Web implements [Owner].
func (c *Client) Web(ctx context.Context, r WebRequest) (WebReport, error) {
	return call[WebReport](ctx, c, "web", r, (func(nothing))(nil))
}

func (s *Server) web(ctx context.Context, r WebRequest, _ func(nothing)) (WebReport, error) {
	return s.owner.Web(ctx, r)
}
