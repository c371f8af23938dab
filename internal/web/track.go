package web

import (
	"net/http"
	"path"
	"strings"

	"github.com/tunesafe/tunesafe/internal/catalog"
	"github.com/tunesafe/tunesafe/internal/control"
)

// trackRow is a track in a list, with what the player is told of it.
type trackRow struct {
	catalog.Track
	Type  string // its media type, by which the browser says whether it can play it
	State string // if it is not safe yet
	Heads int    // the disc that it is the first of, where there are several
}

func rows(list []catalog.Track) []trackRow {
	out := make([]trackRow, len(list))
	for i, t := range list {
		out[i] = trackRow{Track: t, Type: mediaType(t)}
	}
	return out
}

// mediaTypes are those of formats, with codecs where the container has several.
var mediaTypes = map[string]string{
	"MP3": "audio/mpeg", "MP2": "audio/mpeg", "MP1": "audio/mpeg", "FLAC": "audio/flac", "WAV": "audio/wav", "AIFF": "audio/aiff",
	"AAC": `audio/mp4; codecs="mp4a.40.2"`, "ALAC": `audio/mp4; codecs="alac"`, "MP4": "audio/mp4", "MP4 video": "video/mp4",
	"Opus": `audio/ogg; codecs="opus"`, "Vorbis": `audio/ogg; codecs="vorbis"`, "Speex": `audio/ogg; codecs="speex"`, "Ogg": "audio/ogg",
	"Matroska": "audio/x-matroska", "WMA": "audio/x-ms-wma", "WavPack": "audio/x-wavpack", "Monkey's Audio": "audio/x-ape",
	"Musepack": "audio/x-musepack", "TTA": "audio/x-tta", "TAK": "audio/x-tak", "OptimFROG": "audio/x-ofr", "DSD": "audio/x-dsd",
}

// mediaType is what a track is told to be: by its own word, and where one format comes
// in several wraps by the name of its file.
func mediaType(t catalog.Track) string {
	switch ext := strings.ToLower(path.Ext(t.File)); {
	case ext == ".aac":
		return "audio/aac"
	case ext == ".webm":
		return "audio/webm"
	case t.Format == "FLAC" && (ext == ".ogg" || ext == ".oga"):
		return `audio/ogg; codecs="flac"`
	}
	if m := mediaTypes[t.Format]; m != "" {
		return m
	}
	return "application/octet-stream"
}

// trackView is the page of a track.
type trackView struct {
	trackRow
	Facts
	Cover  cover
	Folder string // above the file
}

// find gives a track of the catalog; ok is false if the answer was given.
func (s *Server) find(w http.ResponseWriter, r *http.Request) (t catalog.Track, ok bool, err error) {
	done, err := s.look(w, r, func(c *catalog.Catalog) { t, ok = c.Track(inodeOf(r)) })
	if !done {
		return t, false, err
	}
	if !ok {
		return t, false, s.notFound(w, r)
	}
	return t, true, nil
}

func (s *Server) track(w http.ResponseWriter, r *http.Request) error {
	t, ok, err := s.find(w, r)
	if !ok {
		return err
	}
	v := trackView{trackRow: rows([]catalog.Track{t})[0]}
	if t.Art {
		v.Cover = s.coverOf(r.Context(), t.Inode)
	}
	if v.Facts, err = s.Library.Facts(r.Context(), t.Inode); err != nil {
		return err
	}
	return s.page(w, r, "track", t.Title, v)
}

// story is what became of a track, newest first. To read the log for the first time may
// take a while, so it is a request of its own.
func (s *Server) story(w http.ResponseWriter, r *http.Request) error {
	t, ok, err := s.find(w, r)
	if !ok {
		return err
	}
	h, err := s.Owner.History(r.Context(), control.HistoryRequest{Path: []byte(t.Path)}, func(control.PastProgress) {})
	if err != nil {
		return s.fragment(w, r, "track", "untold", s.explain(err))
	}
	const most = 200
	versions := h.Versions[max(0, len(h.Versions)-most):]
	out := make([]control.HistoryVersion, 0, len(versions))
	for i := len(versions) - 1; i >= 0; i-- {
		out = append(out, versions[i])
	}
	return s.fragment(w, r, "track", "story", out)
}
