package itunes

import (
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Survey is what a library says of a folder that is backed up: which of its
// tracks lie there, which lie elsewhere and are not backed up with it, and which
// are nowhere.
type Survey struct {
	Application string    `json:"application,omitempty"`
	Tracks      int       `json:"tracks"`              // in the library
	Here        int       `json:"here"`                // in the folder
	Missing     int       `json:"missing"`             // nowhere on this computer
	Examples    []string  `json:"examples,omitempty"`  // of missing ones, as the library names them
	Elsewhere   int       `json:"elsewhere"`           // on this computer, outside the folder
	Folders     []Outside `json:"folders,omitempty"`   // where those lie
	Covered     int       `json:"covered,omitempty"`   // in another folder that is backed up
	Streams     int       `json:"streams,omitempty"`   // without a file of their own: radio, Apple Music
	Rated       int       `json:"rated"`               // by a person
	Played      int       `json:"played"`              // at least once
	Plays       int       `json:"plays"`               // in all
	Purchased   int       `json:"purchased,omitempty"` // as the library says
	Playlists   int       `json:"playlists"`           // made by a person
	Damage      string    `json:"damage,omitempty"`    // why not all could be read
	Truncated   bool      `json:"truncated,omitempty"` // it ends in the middle

	Lists []List `json:"-" cbor:"-"` // the playlists
}

// Outside is a folder outside with tracks of the library.
type Outside struct {
	Path   string `json:"path"`
	Tracks int    `json:"tracks"`
}

// List is a playlist of which tracks are in the folder.
type List struct {
	Path   string // "Folder/Name", safe as a file's, without an extension
	Tracks []ListTrack
}

// ListTrack is a track of a playlist.
type ListTrack struct {
	Path    string // relative to the folder
	Title   string // "Artist - Title"
	Seconds int
}

const (
	maxExamples = 5
	maxFolders  = 16
)

// surveyor collects what Look tells.
type surveyor struct {
	Survey
	mapping
	others []string
	known  map[int]ListTrack // by track id, those that are in the folder
	lists  []Playlist
	names  map[string]Playlist // folders, by persistent id
}

// Look reads the library behind r and looks for its tracks in the folder at root,
// which this computer calls by the absolute names in names; others are folders
// that are backed up, too. An error is one of the reader or of the folder; what is
// wrong with the library is in Damage.
func Look(r io.Reader, root *os.Root, names, others []string) (Survey, error) {
	s := surveyor{known: map[int]ListTrack{}, names: map[string]Playlist{}}
	s.mapping = mapping{folder: newFolder(root), misses: map[string]bool{}}
	for _, n := range names {
		s.roots = append(s.roots, filepath.ToSlash(filepath.Clean(n)))
	}
	for _, n := range others {
		s.others = append(s.others, filepath.ToSlash(filepath.Clean(n)))
	}
	l, err := Read(r, s.track, s.playlist)
	switch {
	case errors.Is(err, ErrMalformed), errors.Is(err, ErrTruncated), errors.Is(err, ErrNotLibrary):
		s.Damage, s.Truncated = err.Error(), errors.Is(err, ErrTruncated)
	case err != nil:
		return Survey{}, err
	}
	s.Application = l.Application
	slices.SortFunc(s.Folders, func(a, b Outside) int { return b.Tracks - a.Tracks })
	s.name()
	return s.Survey, nil
}

func (s *surveyor) track(t Track) {
	s.Tracks++
	s.Plays += t.Plays
	count := func(n *int, yes bool) {
		if yes {
			*n++
		}
	}
	count(&s.Rated, t.Rating > 0)
	count(&s.Played, t.Plays > 0)
	count(&s.Purchased, t.Purchased)
	p := Path(t.Location)
	if p == "" {
		s.Streams++
		return
	}
	found, there, known := s.find(p)
	switch {
	case there:
		s.Here++
		title := t.Name
		if t.Artist != "" {
			title = t.Artist + " - " + t.Name
		}
		s.known[t.ID] = ListTrack{Path: found, Title: title, Seconds: t.Seconds}
	case !known && onThisComputer(p) && s.isCovered(p):
		s.Covered++
	case !known && onThisComputer(p):
		s.Elsewhere++
		s.outside(path.Dir(p))
	default:
		s.Missing++
		if len(s.Examples) < maxExamples {
			s.Examples = append(s.Examples, p)
		}
	}
}

func onThisComputer(p string) bool {
	_, err := os.Lstat(filepath.FromSlash(p))
	return err == nil && path.IsAbs(p)
}

func (s *surveyor) isCovered(p string) bool {
	return slices.ContainsFunc(s.others, func(dir string) bool {
		_, ok := below(p, dir)
		return ok
	})
}

// outside counts a track in dir with those of a folder that has much in common
// with it: what it tells is which folder to back up too.
func (s *surveyor) outside(dir string) {
	best, depth := -1, 1
	for i, f := range s.Folders {
		if c := common(f.Path, dir); strings.Count(c, "/") > depth || c == f.Path {
			best, depth = i, strings.Count(c, "/")
		}
	}
	if best < 0 {
		if len(s.Folders) == maxFolders {
			return
		}
		s.Folders = append(s.Folders, Outside{Path: dir})
		best = len(s.Folders) - 1
	}
	f := &s.Folders[best]
	f.Path, f.Tracks = common(f.Path, dir), f.Tracks+1
}

// common returns the folder that a and b are in.
func common(a, b string) string {
	for a != b && a != "/" && a != "." {
		if len(a) >= len(b) {
			a = path.Dir(a)
		} else {
			b = path.Dir(b)
		}
	}
	return a
}

func (s *surveyor) playlist(l Playlist) {
	switch {
	case l.Folder:
		s.names[l.PersistentID] = Playlist{Name: l.Name, Parent: l.Parent}
	case !l.BuiltIn:
		s.Playlists++
		s.lists = append(s.lists, l)
	}
}
