package main

import (
	"cmp"
	"context"
	"hash/maphash"
	"slices"
	"strings"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/label"
	"github.com/tunesafe/tunesafe/sync/library"
)

// Picture implements [control.Owner]. It reads rows, and nothing else.
func (o *owner) Picture(_ context.Context, r control.PictureRequest) (control.Picture, error) {
	name := o.onDrive(string(r.Path))
	a, err := find(o.cache, name)
	if err != nil {
		return control.Picture{}, err
	}
	c := newCollector()
	c.p.Where, c.p.SafeWord = "/"+strings.Trim(name, "/"), o.safeWord()
	if err := o.cache.Tracks(a.Ino, c.add); err != nil {
		return c.p, err
	}
	places, err := o.cache.Places()
	if err != nil {
		return c.p, err
	}
	for _, p := range places {
		if a.Ino != cache.Root && a.Ino != p.Dir {
			continue
		}
		place, err := o.placePicture(p)
		if err != nil {
			return c.p, err
		}
		c.p.Places = append(c.p.Places, place)
	}
	return c.done(), nil
}

// collector adds up tracks. Of artists and albums only hashes are kept, so that a
// library of any size takes little memory.
type collector struct {
	p       control.Picture
	seed    maphash.Seed
	artists map[uint64]struct{}
	albums  map[uint64]struct{}
	formats map[string]*control.PictureFormat
}

func newCollector() *collector {
	return &collector{
		seed: maphash.MakeSeed(), artists: map[uint64]struct{}{}, albums: map[uint64]struct{}{},
		formats: map[string]*control.PictureFormat{},
	}
}

// note remembers a name that may be written in upper or lower case.
func (c *collector) note(set map[uint64]struct{}, name ...string) {
	set[maphash.String(c.seed, strings.ToLower(strings.Join(name, "\x00")))] = struct{}{}
}

func (c *collector) add(t cache.Track) {
	p := &c.p
	p.Files++
	p.Bytes += t.Size
	p.AudioBytes += t.Sound
	p.AudioSafe += max(0, t.Sound-t.Owed)
	if t.Waits {
		p.LabourWaiting++
	}
	if t.Label == nil {
		p.Unread++
		return
	}
	l, err := label.Decode(t.Label)
	if err != nil || !l.Music() {
		return
	}
	count := func(n *control.PictureCount) {
		n.Tracks++
		n.Bytes += t.Size
		n.Seconds += l.Seconds
	}
	p.Tracks++
	p.Seconds += l.Seconds
	p.ArtBytes += l.Art
	f := c.formats[l.Format]
	if f == nil {
		f = &control.PictureFormat{Name: l.Format}
		c.formats[l.Format] = f
	}
	count(&f.PictureCount)
	switch {
	case l.Bought:
		count(&p.Bought)
	case l.Ripped:
		count(&p.Ripped)
	default:
		count(&p.Unknown)
	}
	c.tags(l)
}

// tags counts artists and albums. An album is one of its artist's, so that two
// called Greatest Hits are two.
func (c *collector) tags(l label.Label) {
	if l.Empty() {
		c.p.Untagged++
	}
	if l.Artist != "" {
		c.note(c.artists, l.Artist)
	}
	if l.Album != "" {
		c.note(c.albums, cmp.Or(l.AlbumArtist, l.Artist), l.Album)
	}
}

func (c *collector) done() control.Picture {
	c.p.Artists, c.p.Albums = int64(len(c.artists)), int64(len(c.albums))
	for _, f := range c.formats {
		c.p.Formats = append(c.p.Formats, *f)
	}
	slices.SortFunc(c.p.Formats, func(a, b control.PictureFormat) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Name, b.Name))
	})
	return c.p
}

// placePicture tells of a place and the libraries that were in it when it was
// last backed up.
func (o *owner) placePicture(p cache.Place) (control.PicturePlace, error) {
	out := control.PicturePlace{Name: p.Name, Root: p.Root}
	known, err := library.Known(o.cache, p)
	for _, l := range known {
		out.Libraries = append(out.Libraries, libraryPicture(l))
	}
	return out, err
}

func libraryPicture(k library.Library) control.PictureLibrary {
	s := k.Survey
	l := control.PictureLibrary{
		Path: k.Path, Tracks: int64(s.Tracks), Here: int64(s.Here), Missing: int64(s.Missing), Examples: s.Examples,
		Elsewhere: int64(s.Elsewhere), Streams: int64(s.Streams), Rated: int64(s.Rated), Played: int64(s.Played),
		Plays: int64(s.Plays), Playlists: int64(s.Playlists), Exported: int64(len(k.Lists)), Damage: cmp.Or(s.Damage, k.Late),
	}
	for _, f := range s.Folders {
		l.Folders = append(l.Folders, control.PictureFolder{Path: f.Path, Tracks: int64(f.Tracks)})
	}
	return l
}
