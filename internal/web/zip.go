package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"path"
	"strconv"
	"time"

	"github.com/tunesafe/tunesafe/internal/api"
	"github.com/tunesafe/tunesafe/internal/catalog"
	"github.com/tunesafe/tunesafe/internal/zipstream"
)

// zipsAtOnce bounds the memory that their lists of entries take.
const zipsAtOnce = 3

// zip answers with a ZIP archive of a folder or a file, or of what was picked in a
// folder, as it is or was. It is made while it is sent, and goes on by a range where it
// broke off. Links are left out, as not every program unpacks them without harm.
func (s *Server) zip(w http.ResponseWriter, r *http.Request) error {
	p, err := s.placeOf(r)
	if err != nil {
		return s.lost(w, r, err)
	}
	picks, err := picked(r, p)
	if err != nil {
		return err
	}
	name := p.Node.Name
	if name == "" {
		name = "Music"
	}
	if !p.Time.IsZero() {
		name += " " + p.At
	}
	if p.Time.IsZero() {
		sameOnly(r)
	}
	return s.pack(w, r, p.Moment, name, "", picks)
}

// sameOnly has a download of what may change begin anew, unless who asks for the rest of
// it says of what: a rest of something else would make one file of two.
func sameOnly(r *http.Request) {
	if r.Header.Get("If-Range") == "" {
		r.Header.Del("Range")
	}
}

// albumZip answers with a ZIP archive of the tracks of an album, wherever they lie.
func (s *Server) albumZip(w http.ResponseWriter, r *http.Request) error {
	ready := false
	if done, err := s.look(w, r, func(*catalog.Catalog) { ready = true }); !done || !ready {
		return err
	}
	return s.lost(w, r, s.packAlbum(w, r, r.PathValue("id")))
}

// packAlbum sends the archive of an album.
func (s *Server) packAlbum(w http.ResponseWriter, r *http.Request, id string) error {
	var a catalog.Album
	var tracks []catalog.Track
	ok := false
	if s.Library == nil || s.Past == nil {
		return ErrNotThere
	}
	if err := s.Library.Read(r.Context(), func(c *catalog.Catalog) { a, tracks, ok = c.Album(id) }); err != nil {
		return err
	}
	if !ok {
		return ErrNotThere
	}
	m, err := s.Past.At(r.Context(), time.Time{})
	if err != nil {
		return err
	}
	var picks []Node
	for _, t := range tracks {
		n, err := m.Find(path.Clean("/" + t.Path))
		if errors.Is(err, ErrNotThere) {
			continue // removed meanwhile
		}
		if err != nil {
			return err
		}
		picks = append(picks, n)
	}
	sameOnly(r)
	return s.pack(w, r, m, a.Title, a.Title, picks)
}

// pack sends an archive of things of a moment, in a folder if that has a name.
func (s *Server) pack(w http.ResponseWriter, r *http.Request, m Moment, name, folder string, picks []Node) error {
	select {
	case s.zips <- struct{}{}:
		defer func() { <-s.zips }()
	case <-r.Context().Done():
		return r.Context().Err()
	}
	l := packing{ctx: r.Context(), m: m}
	if folder != "" {
		folder = l.names.Below("", folder, true)
	}
	for _, n := range picks {
		if err := l.add(folder, n); err != nil {
			return err
		}
	}
	a := zipstream.New(l.entries, &s.sums, func(ctx context.Context, e *zipstream.Entry) (zipstream.Content, error) {
		return m.Open(ctx, l.nodes[e.ID])
	})
	h := w.Header()
	h.Set("Content-Type", "application/zip")
	h.Set("Content-Disposition", api.Attachment(name+".zip"))
	h.Set("Cache-Control", "private, no-cache")
	h.Set("Etag", `"`+a.Tag()+`"`)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if e := current(r); e != nil { // a program has none
		go func() {
			select {
			case <-e.ended:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	in := a.Reader(ctx)
	defer in.Close()
	return s.stream(w, r, in)
}

// packing lists what goes into an archive.
type packing struct {
	ctx     context.Context //nolint:containedctx // of one walk
	m       Moment
	names   zipstream.Names
	entries []zipstream.Entry
	nodes   []Node
}

// add lists a node and what lies below it.
func (l *packing) add(dir string, n Node) error {
	if err := l.ctx.Err(); err != nil {
		return err
	}
	top := dir == "" && n.Name == "" // the drive itself
	if n.Kind == Other {
		return nil
	}
	e := zipstream.Entry{Time: n.Time, Mode: n.Mode, ID: uint64(len(l.nodes))}
	if !top {
		e.Name = l.names.Below(dir, n.Name, n.Kind == Folder)
		if n.Kind == File {
			var err error
			if e.Key, err = l.m.Key(n); err != nil {
				return err
			}
			e.Size = n.Size
		}
		l.entries, l.nodes = append(l.entries, e), append(l.nodes, n)
	}
	if n.Kind != Folder {
		return nil
	}
	list, err := l.m.List(n)
	if err != nil {
		return err
	}
	for _, below := range list {
		if err := l.add(e.Name, below); err != nil {
			return err
		}
	}
	return nil
}

// pickOf names what is ticked in a list: its name may be any bytes.
func pickOf(n Node) string { return strconv.FormatUint(n.Ino, 36) }

// picked gives what was ticked in a folder; the place itself, if nothing was.
func picked(r *http.Request, p place) ([]Node, error) {
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	for _, pick := range r.Form["pick"] {
		wanted[pick] = true
	}
	if len(wanted) == 0 || p.Node.Kind != Folder {
		return []Node{p.Node}, nil
	}
	list, err := p.List(p.Node)
	var out []Node
	for _, n := range list {
		if wanted[pickOf(n)] {
			out = append(out, n)
		}
	}
	if err == nil && len(out) == 0 {
		err = errNothingPicked
	}
	return out, err
}

var errNothingPicked = errors.New("what was chosen is not there any more")

// streamPatience is how long a browser may leave what it asked for unread.
const streamPatience = 5 * time.Minute

// stream answers with a long content, or ranges of it. Where that fails, the answer is
// broken off: nobody may take a part for the whole.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, content io.ReadSeeker) error {
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Time{}) // or the request would end with it
	in := &noted{ReadSeeker: content}
	http.ServeContent(&patient{w, c}, r, "", time.Time{}, in)
	if in.err != nil {
		if r.Context().Err() == nil {
			s.Log.Warn("a download broke off", "path", path.Clean(r.URL.Path), "err", in.err)
		}
		panic(http.ErrAbortHandler)
	}
	return nil
}

// noted keeps why a content could not be read.
type noted struct {
	io.ReadSeeker
	err error
}

// Read implements [io.Reader].
func (n *noted) Read(p []byte) (int, error) {
	k, err := n.ReadSeeker.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		n.err = err
	}
	return k, err
}

// patient gives a browser time for each piece, instead of for all of them.
type patient struct {
	http.ResponseWriter
	c *http.ResponseController
}

// Write implements [io.Writer].
func (p *patient) Write(b []byte) (int, error) {
	_ = p.c.SetWriteDeadline(time.Now().Add(streamPatience))
	return p.ResponseWriter.Write(b)
}
