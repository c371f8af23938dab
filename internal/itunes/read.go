package itunes

import (
	"errors"
	"io"
)

// Read reads a library from r and calls track for each track and list for each
// playlist, in the order of the file; either may be nil. The error is one of r,
// ErrTruncated, ErrMalformed or ErrNotLibrary; what could be read was handed on
// all the same.
func Read(r io.Reader, track func(Track), list func(Playlist)) (Library, error) {
	p := newParser(r)
	var l Library
	for name, ok := p.element("plist"); ok; name, ok = p.element("plist") {
		switch name {
		case "plist":
		case "dict":
			p.dict(func(key, element string) { l.take(p, key, element, track, list) })
		default:
			p.skip(name, 0)
		}
	}
	for p.err == nil && !p.whole { // to the end, whatever it is
		p.token()
	}
	return l, p.end()
}

// Whole reports why a library in XML is not whole: nil if it parses to its end.
// What is malformed before it is as iTunes wrote it, and what is no library at all
// is as whole as it will be.
func Whole(r io.Reader) error {
	_, err := Read(r, nil, nil)
	if errors.Is(err, ErrMalformed) || errors.Is(err, ErrNotLibrary) {
		return nil
	}
	return err
}

func (l *Library) take(p *parser, key, element string, track func(Track), list func(Playlist)) {
	switch {
	case key == "Tracks" && element == "dict":
		p.dict(func(_, element string) {
			if element != "dict" {
				p.complain("a track that is a " + element)
				p.skip(element, 0)
				return
			}
			if t := readTrack(p); track != nil && p.err == nil {
				track(t)
			}
		})
	case key == "Playlists" && element == "array":
		for name, ok := p.element("array"); ok; name, ok = p.element("array") {
			if name != "dict" {
				p.complain("a playlist that is a " + name)
				p.skip(name, 0)
				continue
			}
			if pl := readPlaylist(p); list != nil && p.err == nil {
				list(pl)
			}
		}
	case key == "Application Version":
		l.Application = p.scalar(element).string()
	case key == "Music Folder":
		l.MusicFolder = p.scalar(element).string()
	default:
		p.scalar(element)
	}
}

func readTrack(p *parser) (t Track) {
	computed := false
	p.dict(func(key, element string) {
		v := p.scalar(element)
		switch key {
		case "Track ID":
			t.ID = v.number()
		case "Persistent ID":
			t.PersistentID = v.string()
		case "Name":
			t.Name = v.string()
		case "Artist":
			t.Artist = v.string()
		case "Album":
			t.Album = v.string()
		case "Location":
			t.Location = v.string()
		case "Total Time":
			t.Seconds = max(0, v.number()) / 1000
		case "Rating":
			t.Rating = min(100, max(0, v.number()))
		case "Rating Computed":
			computed = v.truth()
		case "Play Count":
			t.Plays = max(0, v.number())
		case "Play Date UTC":
			t.LastPlayed = v.date()
		case "Date Added":
			t.Added = v.date()
		case "Purchased":
			t.Purchased = v.truth()
		}
	})
	if computed { // of the album, by the program
		t.Rating = 0
	}
	return t
}

// bought is the list of what was bought: made by the program, but worth having.
const bought = 19

func readPlaylist(p *parser) (l Playlist) {
	p.dict(func(key, element string) {
		if key == "Playlist Items" && element == "array" {
			l.Items = readItems(p)
			return
		}
		v := p.scalar(element)
		switch key {
		case "Name":
			l.Name = v.string()
		case "Playlist Persistent ID":
			l.PersistentID = v.string()
		case "Parent Persistent ID":
			l.Parent = v.string()
		case "Folder":
			l.Folder = v.truth()
		case "Smart Info":
			l.Smart = true
		case "Master":
			l.BuiltIn = l.BuiltIn || v.truth()
		case "Distinguished Kind":
			l.BuiltIn = l.BuiltIn || v.number() != bought
		}
	})
	return l
}

func readItems(p *parser) (ids []int) {
	for name, ok := p.element("array"); ok; name, ok = p.element("array") {
		if name != "dict" {
			p.complain("an item that is a " + name)
			p.skip(name, 0)
			continue
		}
		p.dict(func(key, element string) {
			if v := p.scalar(element); key == "Track ID" {
				ids = append(ids, v.number())
			}
		})
	}
	return ids
}
