package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// costPatience bounds the counting for an estimate; a page waits for it.
const costPatience = 20 * time.Second

// usualLine is the speed of a line that nobody has told, in Mbit/s upwards.
const usualLine = 20

// costView is what a backup costs, in money and time.
type costView struct {
	*Estimate
	Disk, Own bool
	Problem   string // why there is no estimate
	Line      float64
	Labour    string // how long until tags and names are safe
	All       string
	Next      string
}

// costView makes the estimate, once for what was chosen.
func (s *Server) costView(c *setting, r *http.Request) costView {
	v := costView{Disk: c.Place.Supplier == ThisDisk, Own: c.Place.Supplier == OwnServer, Line: usualLine, Next: atKit}
	if c.tried.Backup {
		v.Next = atBegin
	}
	if mbit, err := strconv.ParseFloat(strings.ReplaceAll(r.URL.Query().Get("line"), ",", "."), 64); err == nil && mbit > 0 && mbit < 1e6 {
		v.Line = mbit
	}
	if c.cost == nil {
		ctx, cancel := context.WithTimeout(r.Context(), costPatience)
		defer cancel()
		e, err := s.Setup.Estimate(ctx, c.Folders, c.Place)
		if err != nil {
			v.Problem = "It takes too long to count: " + s.explain(err).Text + "."
			return v
		}
		c.cost = &e
	}
	v.Estimate = c.cost
	rate := v.Line * 1e6 / 8
	v.Labour, v.All = takes(float64(c.cost.Labour)/rate), takes(float64(c.cost.Send)/rate)
	return v
}

// takes words a time in seconds.
func takes(seconds float64) string {
	switch {
	case seconds < 60:
		return "less than a minute"
	case seconds < 3600:
		return "about " + count(int64(math.Ceil(seconds/60)), "minute")
	case seconds < 48*3600:
		return "about " + count(int64(math.Ceil(seconds/3600)), "hour")
	}
	return "about " + count(int64(math.Ceil(seconds/86400)), "day")
}

// showKit shows the recovery key, which is made here.
func (s *Server) showKit(w http.ResponseWriter, r *http.Request, c *setting) error {
	if c.kit == nil {
		k, err := s.Setup.Kit(r.Context(), c.Choices)
		if err != nil {
			return err
		}
		c.kit = &k
	}
	return s.showStep(w, r, c, atKit, nil)
}

// typedBack is how many of the last characters of the key are asked for.
const typedBack = 6

// haveKit goes on once somebody has the key on paper.
func (s *Server) haveKit(w http.ResponseWriter, r *http.Request, c *setting) error {
	if c.kit == nil {
		http.Redirect(w, r, atKit, http.StatusSeeOther)
		return nil
	}
	typed := strings.ToUpper(strings.Join(strings.Fields(r.PostFormValue("check")), ""))
	if typed != c.kit.Key[len(c.kit.Key)-typedBack:] {
		return &Mistake{Field: "check", Text: fmt.Sprintf("These are not the last %d characters of the key.", typedBack),
			Hint: "Look at the page you printed or saved, not at the screen: that is what will be there when you need it."}
	}
	c.saved = true
	http.Redirect(w, r, atBegin, http.StatusSeeOther)
	return nil
}

// kitPage is the page to print: a document of its own, for which alone its one style
// and the picture in it are allowed.
func (s *Server) kitPage(w http.ResponseWriter, r *http.Request, c *setting) error {
	if c.kit == nil {
		http.Redirect(w, r, atKit, http.StatusSeeOther)
		return nil
	}
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; img-src data:; style-src '"+styleHash(c.kit.Page)+"'; sandbox; "+
		"form-action 'none'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Content-Type", "text/html; charset=utf-8")
	if r.URL.Query().Has("download") {
		h.Set("Content-Disposition", `attachment; filename="tunesafe-recovery-kit.html"`)
	}
	_, err := w.Write(c.kit.Page)
	return err
}

// styleHash names the style of a document to a policy.
func styleHash(page []byte) string {
	_, rest, _ := bytes.Cut(page, []byte("<style>"))
	style, _, _ := bytes.Cut(rest, []byte("</style>"))
	sum := sha256.Sum256(style)
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}
