package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tunesafe/tunesafe/internal/api"
	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/label"
)

// Past is the drive by its paths, as it is and as it was.
type Past interface {
	// At is the newest moment that is not after t; the zero time is now.
	At(ctx context.Context, t time.Time) (Moment, error)
}

// Moment is the drive at one. What is not there is [ErrNotThere].
type Moment interface {
	// Find gives what lies at a path, which begins with a slash.
	Find(path string) (Node, error)
	// List gives what lies in a folder, by name.
	List(Node) ([]Node, error)
	// Open opens a file; ctx ends what it fetches. It is an error if the file is not
	// any more what the node tells.
	Open(ctx context.Context, n Node) (Bytes, error)
	// Key is another for a file of other bytes.
	Key(Node) ([16]byte, error)
	// Label reads what a file of the past said of itself.
	Label(ctx context.Context, n Node) (label.Label, error)
	// Picture reads the picture in a file of the past.
	Picture(ctx context.Context, n Node) ([]byte, error)
}

// Bytes are those of a file; each was verified.
type Bytes interface {
	io.ReaderAt
	io.Closer
}

// Kind is what a node is.
type Kind int

// The kinds of nodes.
const (
	Other Kind = iota // a link, a pipe
	Folder
	File
)

// Node is a thing on the drive.
type Node struct {
	Ino     uint64
	Name    string
	Kind    Kind
	Size    int64 // bytes
	Time    time.Time
	Changed time.Time // it, or what is known of it
	Mode    uint32    // permission bits
}

// nowWord stands for the drive as it is where a snapshot's name may stand.
const nowWord = "now"

// moment is the one that a request names, which is the zero time for now.
func momentOf(r *http.Request) (name string, t time.Time, err error) {
	name = r.PathValue("at")
	if name == nowWord {
		return name, t, nil
	}
	if t, err = control.ParseSnapshot(name); err != nil {
		err = errNotFound
	}
	return name, t, err
}

// pathOf is the path of a request, from the top of the drive.
func pathOf(r *http.Request) string { return path.Clean("/" + r.PathValue("path")) }

// place is where a request points to.
type place struct {
	At   string // as in the address
	Time time.Time
	Path string
	Node Node
	Moment
}

// placeOf finds it; [ErrNotThere] or errNotFound if there is none.
func (s *Server) placeOf(r *http.Request) (p place, err error) {
	if s.Past == nil {
		return p, errNotFound
	}
	p.Path = pathOf(r)
	if p.At, p.Time, err = momentOf(r); err != nil {
		return p, err
	}
	if p.Moment, err = s.Past.At(r.Context(), p.Time); err == nil {
		p.Node, err = p.Find(p.Path)
	}
	if err == nil && p.Path == "/" {
		p.Node.Name = ""
	}
	return p, err
}

// lost answers where nothing lies.
func (s *Server) lost(w http.ResponseWriter, r *http.Request, err error) error {
	if errors.Is(err, ErrNotThere) || errors.Is(err, errNotFound) {
		s.fault(w, r, http.StatusNotFound, errNotFound)
		return nil
	}
	return err
}

// address is that of a page about a path, which may be any bytes.
func address(page, at, of string) string {
	var b strings.Builder
	b.WriteString("/" + page + "/" + at + "/")
	for i, name := range strings.Split(strings.TrimPrefix(of, "/"), "/") {
		if i > 0 {
			b.WriteByte('/')
		}
		b.WriteString(url.PathEscape(name))
	}
	return b.String()
}

// plain is a name as text.
func plain(name string) string { return strings.ToValidUTF8(name, "\uFFFD") }

// recall is the reading of the log, which takes a while the first time.
type recall struct {
	mu    sync.Mutex
	under *recalling
}

type recalling struct {
	done   chan struct{}
	report control.SnapshotsReport
	err    error

	mu sync.Mutex
	at control.PastProgress
}

// recallPatience is how long a page waits for it before it says so.
const recallPatience = 3 * time.Second

// snapshots lists the moments, oldest first. If that takes long, the browser is told so
// and asks again: done is false then.
func (s *Server) snapshots(w http.ResponseWriter, r *http.Request) (report control.SnapshotsReport, done bool, err error) {
	c := s.recall.begin(s.closing, s.Owner, s.running.Go)
	select {
	case <-c.done:
		return c.report, c.err == nil, c.err
	case <-r.Context().Done():
		return report, false, r.Context().Err()
	case <-time.After(recallPatience):
	}
	c.mu.Lock()
	at := c.at
	c.mu.Unlock()
	w.Header().Set("Refresh", "2")
	return report, false, s.page(w, r, "recalling", "Time", at)
}

// begin asks, or joins who asks already.
func (a *recall) begin(ctx context.Context, o control.Owner, run func(func())) *recalling {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.under != nil {
		return a.under
	}
	c := &recalling{done: make(chan struct{})}
	a.under = c
	run(func() {
		defer close(c.done)
		c.report, c.err = o.Snapshots(ctx, control.SnapshotsRequest{}, func(p control.PastProgress) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.at = p
		})
		a.mu.Lock()
		defer a.mu.Unlock()
		a.under = nil
	})
	return c
}

// crumb is a folder above a place.
type crumb struct{ Name, URL string }

func crumbs(page, at, of string) (list []crumb) {
	list = append(list, crumb{"Drive", address(page, at, "/")})
	for i, c := range of {
		if c == '/' && i > 0 {
			list = append(list, crumb{plain(path.Base(of[:i])), address(page, at, of[:i])})
		}
	}
	if of != "/" {
		list = append(list, crumb{plain(path.Base(of)), ""})
	} else {
		list[0].URL = ""
	}
	return list
}

// thenView is a folder or a file as it was.
type thenView struct {
	place
	Now    bool
	Name   string
	Crumbs []crumb
	Older  string // addresses of the same place, before and after
	Newer  string
	Undo   string
	Zip    string
	Get    string // restore
	Self   string

	Rows []thenRow
	All  int
	Next string
	Back string

	Label   label.Label // of a file
	Art     string
	Media   string
	Story   []storyRow
	Untold  *control.Fault
	NowHere string
}

// thenRow is a line of a folder.
type thenRow struct {
	Node
	Name string
	URL  string
	Pick string
}

// storyRow is a version in the history of a file.
type storyRow struct {
	control.HistoryVersion
	URL  string
	Undo string
}

const (
	rowsShown  = 500 // of a folder, at once
	storyShown = 200
)

// then shows a folder or a file as it was.
func (s *Server) then(w http.ResponseWriter, r *http.Request) error {
	p, err := s.placeOf(r)
	if err != nil {
		return s.lost(w, r, err)
	}
	v := thenView{place: p, Now: p.Time.IsZero(), Name: plain(p.Node.Name), Crumbs: crumbs("time", p.At, p.Path),
		Undo: address("undo", p.At, p.Path), Zip: address("zip", p.At, p.Path), Get: address("restore", p.At, p.Path),
		Self: address("time", p.At, p.Path), NowHere: address("time", nowWord, p.Path)}
	if v.Name == "" {
		v.Name = "The drive"
	}
	report, done, err := s.snapshots(w, r)
	if !done {
		return err
	}
	v.Older, v.Newer = beside(report.Snapshots, p)
	if p.Node.Kind == Folder {
		err = v.folder(r)
	} else {
		s.tellFile(r, &v)
	}
	if err != nil {
		return err
	}
	return s.page(w, r, "then", v.Name, v)
}

// beside gives the addresses of the moments before and after.
func beside(all []control.Snapshot, p place) (older, newer string) {
	for _, m := range all {
		switch {
		case p.Time.IsZero() || m.Time.Before(p.Time.Truncate(time.Second)):
			older = address("time", m.Name, p.Path)
		case m.Time.After(p.Time) && newer == "":
			newer = address("time", m.Name, p.Path)
		}
	}
	if newer == "" && !p.Time.IsZero() {
		newer = address("time", nowWord, p.Path)
	}
	return older, newer
}

func (v *thenView) folder(r *http.Request) error {
	list, err := v.List(v.Node)
	if err != nil {
		return err
	}
	v.All = len(list)
	first := min(from(r), len(list))
	to := min(len(list), first+rowsShown)
	if to < len(list) {
		v.Next = v.Self + "?from=" + strconv.Itoa(to)
	}
	if first > 0 {
		v.Back = v.Self + "?from=" + strconv.Itoa(max(0, first-rowsShown))
	}
	for _, n := range list[first:to] {
		v.Rows = append(v.Rows, thenRow{n, plain(n.Name), address("time", v.At, path.Join(v.Path, n.Name)), pickOf(n)})
	}
	return nil
}

// tellFile says what a file said of itself, and what became of it. What cannot be had
// is left out, and said.
func (s *Server) tellFile(r *http.Request, v *thenView) {
	v.Media = address("past/media", v.At, v.Path)
	if v.Node.Kind == File && !v.Now {
		v.Label, _ = v.Moment.Label(r.Context(), v.Node)
		v.Art = address("past/art", v.At, v.Path)
	}
	h, err := s.Owner.History(r.Context(), control.HistoryRequest{Path: []byte(v.Path)}, func(control.PastProgress) {})
	if err != nil {
		v.Untold = s.explain(err)
		return
	}
	for i := len(h.Versions) - 1; i >= max(0, len(h.Versions)-storyShown); i-- {
		e := h.Versions[i]
		row := storyRow{HistoryVersion: e}
		if !e.Gone {
			row.URL = address("time", e.Snapshot, string(e.Path))
			if i < len(h.Versions)-1 {
				row.Undo = address("undo", e.Snapshot, string(e.Path))
			}
		}
		v.Story = append(v.Story, row)
	}
}

// pastArt answers with the picture that a file had in it.
func (s *Server) pastArt(w http.ResponseWriter, r *http.Request) error {
	p, err := s.placeOf(r)
	var b []byte
	if err == nil {
		b, err = p.Picture(r.Context(), p.Node)
	}
	if err != nil || !showPicture(w, r, etag(b), "private, no-cache", b) {
		http.Error(w, "no picture", http.StatusNotFound) // no page: it stands in the place of one
	}
	return nil //nolint:nilerr // a picture that cannot be had is not shown
}

// soundTypes are told by the ending: what is not here is downloaded.
var soundTypes = map[string]string{
	".mp3": "audio/mpeg", ".flac": "audio/flac", ".m4a": "audio/mp4", ".mp4": "audio/mp4", ".aac": "audio/aac", ".ogg": "audio/ogg",
	".oga": "audio/ogg", ".opus": "audio/ogg", ".wav": "audio/wav", ".aiff": "audio/aiff", ".aif": "audio/aiff", ".webm": "audio/webm",
}

// pastMedia answers with the bytes of a file as it was, or a range of them.
func (s *Server) pastMedia(w http.ResponseWriter, r *http.Request) error {
	p, err := s.placeOf(r)
	if err != nil || p.Node.Kind != File {
		return s.lost(w, r, errors.Join(err, errNotFound))
	}
	key, err := p.Key(p.Node)
	if err != nil {
		return err
	}
	f, err := p.Open(r.Context(), p.Node)
	if err != nil {
		return err
	}
	defer f.Close()
	h := w.Header()
	kind, ok := soundTypes[strings.ToLower(path.Ext(p.Node.Name))]
	if !ok {
		kind = "application/octet-stream"
	}
	h.Set("Content-Type", kind)
	if !ok || r.URL.Query().Has("download") {
		h.Set("Content-Disposition", api.Attachment(p.Node.Name))
	}
	h.Set("Cache-Control", "private, no-cache")
	h.Set("Etag", etag(key[:]))
	return s.stream(w, r, io.NewSectionReader(f, 0, p.Node.Size))
}
