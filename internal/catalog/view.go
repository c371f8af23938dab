package catalog

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Album is an album as it is shown.
type Album struct {
	ID       string // lasts as long as title, artist and, where it matters, folder
	Title    string
	Artist   string // empty: several, or nobody says
	ArtistID string
	Year     int
	Tracks   int
	Seconds  float64
	Art      uint64 // the inode of a track with a picture, or of a picture; 0: none
	Tagged   bool   // the tags name it; otherwise its title is that of its folder
}

// Track is a track as it is shown.
type Track struct {
	Inode    uint64
	Title    string // of the tags, or made of the name of its file
	Artist   string
	ArtistID string // of its first artist
	Album    string
	AlbumID  string
	Composer string
	Year     int
	Number   int
	Disc     int
	Seconds  float64
	Format   string
	File     string
	Path     string // on the drive, from its top
	Folder   uint64
	Art      bool // it has a picture of its own
	Unread   bool // nobody has asked its tags yet
}

// Person is an artist or a composer as it is shown.
type Person struct {
	ID     string
	Name   string
	Letter string // under which it is found; "#" is what is none
	Albums int    // of an artist those by it, of a composer those with a work
	Tracks int
}

// Order says how albums are sorted.
type Order int

// The orders of albums.
const (
	ByArtist Order = iota
	ByTitle
)

// Albums gives a page of the albums, and how many there are.
func (c *Catalog) Albums(by Order, offset, limit int) (list []Album, all int) {
	if by == ByTitle {
		for _, i := range page(c.byTitle, offset, limit) {
			list = append(list, c.album(&c.albums[i]))
		}
		return list, len(c.albums)
	}
	of := page(c.albums, offset, limit)
	for i := range of {
		list = append(list, c.album(&of[i]))
	}
	return list, len(c.albums)
}

// Role is what people are listed as.
type Role int

// The roles of people.
const (
	Artist Role = iota
	Composer
)

func (c *Catalog) who(r Role) []person {
	if r == Composer {
		return c.composers
	}
	return c.artists
}

// People gives a page of artists or composers, and how many there are.
func (c *Catalog) People(r Role, offset, limit int) (list []Person, all int) {
	of := page(c.who(r), offset, limit)
	for i := range of {
		list = append(list, c.person(&of[i], r))
	}
	return list, len(c.who(r))
}

// Letter is a letter of a list, and where in the list it begins.
type Letter struct {
	Letter string
	Offset int
}

// Letters tells where each letter begins among artists or composers.
func (c *Catalog) Letters(r Role) (list []Letter) {
	for i := range c.who(r) {
		if l := c.letter(c.listed(&c.who(r)[i], r)); len(list) == 0 || list[len(list)-1].Letter != l {
			list = append(list, Letter{l, i})
		}
	}
	return list
}

// AlbumLetters tells where each letter begins among the albums. Those by various
// artists come last where they are sorted by artist.
func (c *Catalog) AlbumLetters(by Order) (list []Letter) {
	for i := range c.albums {
		a := &c.albums[i]
		if by == ByTitle {
			a = &c.albums[c.byTitle[i]]
		}
		l := "Various"
		switch {
		case by == ByTitle:
			l = c.letter(c.names[a.name].key)
		case a.artist != 0:
			l = c.letter(c.names[c.shown[a.artist]].key)
		}
		if len(list) == 0 || list[len(list)-1].Letter != l {
			list = append(list, Letter{l, i})
		}
	}
	return list
}

// listed is the key that somebody is sorted by.
func (c *Catalog) listed(p *person, r Role) text {
	if r == Composer {
		return c.names[p.name].surname
	}
	return c.names[c.shown[p.name]].key
}

// letter is what a sort key is found under.
func (c *Catalog) letter(key text) string {
	r, _ := utf8.DecodeRune(c.arena.bytes(key))
	if !unicode.IsLetter(r) {
		return "#"
	}
	return string(unicode.ToUpper(r))
}

// Album finds an album with its tracks in their order.
func (c *Catalog) Album(id string) (a Album, tracks []Track, ok bool) {
	h, err := strconv.ParseUint(id, 16, 64)
	i, ok := c.byID[h]
	if err != nil || !ok {
		return a, nil, false
	}
	of := &c.albums[i]
	for _, j := range c.order[of.from:of.to] {
		tracks = append(tracks, c.track(&c.tracks[j]))
	}
	return c.album(of), tracks, true
}

// Track finds a track.
func (c *Catalog) Track(inode uint64) (Track, bool) {
	t := c.find(inode)
	if t == nil {
		return Track{}, false
	}
	return c.track(t), true
}

// Page gives a page of all tracks, album by album.
func (c *Catalog) Page(offset, limit int) (list []Track, all int) {
	for _, i := range page(c.order, offset, limit) {
		list = append(list, c.track(&c.tracks[i]))
	}
	return list, len(c.order)
}

// Works is what there is of somebody.
type Works struct {
	Person
	Own      []Album // by it
	On       []Album // on which it plays
	Composed []Album // with works of it
}

// Person finds an artist or composer, and the albums there are of it.
func (c *Catalog) Person(id string) (w Works, ok bool) {
	who, r, ok := c.personOf(id)
	if !ok {
		return w, false
	}
	w.Person = c.person(&who, r)
	is := func(id nameID) (yes bool) {
		c.each(id, func(p nameID) { yes = yes || p == who.name })
		return yes
	}
	for i := range c.albums {
		a := &c.albums[i]
		var on, composed bool
		for _, j := range c.order[a.from:a.to] {
			on, composed = on || is(c.tracks[j].artist), composed || is(c.tracks[j].composer)
		}
		switch {
		case is(a.artist):
			w.Own = append(w.Own, c.album(a))
		case on:
			w.On = append(w.On, c.album(a))
		}
		if composed && !is(a.artist) {
			w.Composed = append(w.Composed, c.album(a))
		}
	}
	return w, true
}

func (c *Catalog) personOf(id string) (person, Role, bool) {
	want, err := strconv.ParseUint(id, 16, 64)
	if err != nil {
		return person{}, 0, false
	}
	for r := Artist; r <= Composer; r++ {
		list := c.who(r)
		if i := slices.IndexFunc(list, func(p person) bool { return c.names[p.name].id == want }); i >= 0 {
			return list[i], r, true
		}
	}
	return person{}, 0, false
}

// personID names somebody by the name, however it is written.
func (c *Catalog) personID(id nameID) string {
	if id == 0 {
		return ""
	}
	return hex(c.names[id].id)
}

func hex(id uint64) string { return fmt.Sprintf("%016x", id) }

func (c *Catalog) person(p *person, r Role) Person {
	return Person{ID: c.personID(p.name), Name: c.nameText(c.shown[p.name]), Letter: c.letter(c.listed(p, r)), Albums: int(p.albums), Tracks: int(p.tracks)}
}

func (c *Catalog) album(a *album) Album {
	return Album{
		ID: hex(a.id), Title: c.nameText(a.name), Artist: c.nameText(c.shown[a.artist]), ArtistID: c.personID(a.artist),
		Year: int(a.year), Tracks: int(a.to - a.from), Seconds: float64(a.millis) / 1000, Art: a.art, Tagged: a.tagged,
	}
}

func (c *Catalog) track(t *track) Track {
	a := &c.albums[t.in]
	out := Track{
		Inode: t.inode, Title: c.arena.string(t.title), Artist: c.nameText(t.artist),
		Album: c.nameText(a.name), AlbumID: hex(a.id), Composer: c.nameText(t.composer),
		Year: int(t.year), Number: int(t.no), Disc: int(c.disc(t)), Seconds: float64(t.millis) / 1000, Format: c.formats[t.format],
		File: c.arena.string(t.file), Path: c.path(t), Folder: c.dirs[t.dir].inode, Art: t.art > 0, Unread: t.unread,
	}
	first := true
	c.each(t.artist, func(id nameID) {
		if first {
			out.ArtistID, first = c.personID(id), false
		}
	})
	if out.Title == "" {
		out.Title = titleOf(out.File)
	}
	return out
}

// titleOf makes a title of the name of a file: "03 - Finlandia.flac" is Finlandia.
func titleOf(file string) string {
	s := strings.TrimSuffix(file, path.Ext(file))
	if rest := strings.TrimLeft(s, "0123456789"); len(s)-len(rest) <= 3 && rest != "" {
		if title := strings.TrimLeft(rest, " .-_"); title != "" && title != rest {
			return title
		}
	}
	return s
}

// Unread counts the tracks whose tags nobody has read yet.
func (c *Catalog) Unread() (n int) {
	for i := range c.tracks {
		if t := &c.tracks[i]; t.unread && !t.gone {
			n++
		}
	}
	return n
}

// Waits reports whether a track is one of them.
func (c *Catalog) Waits(inode uint64) bool {
	t := c.find(inode)
	return t != nil && t.unread
}

// File is the name of the file of a track; empty if it is not known, or there is no
// such track.
func (c *Catalog) File(inode uint64) string {
	t := c.find(inode)
	if t == nil {
		return ""
	}
	return c.arena.string(t.file)
}
