package catalog

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"hash/fnv"
	"regexp"
	"slices"
	"strconv"
)

// groups are what follows from the tracks.
type groups struct {
	order     []uint32          // tracks, album by album
	albums    []album           // by artist, then year and title
	byTitle   []uint32          // albums
	byID      map[uint64]uint32 // albums
	shown     []nameID          // how the same names are written mostly
	artists   []person          // whom albums or tracks are by
	composers []person
}

// album is consecutive tracks of the order.
type album struct {
	id       uint64
	name     nameID // its title
	artist   nameID // 0: various, or nobody says
	from, to uint32 // of order
	year     uint16
	millis   int64
	art      uint64 // inode of a track with a picture, or of a picture
	tagged   bool   // it has a title, and not that of its folder
}

// person is an artist or a composer.
type person struct {
	name   nameID
	albums uint32
	tracks uint32
	last   uint32 // album that was counted, from 1
}

// Settle makes what follows from the tracks anew. It costs a fraction of a second for
// 100,000 of them, whatever was changed.
func (c *Catalog) Settle() {
	if c.settled {
		return
	}
	c.settled = true
	if c.used == 0 {
		c.used = c.arena.size
	}
	g := grouping{c: c}
	g.choose()
	g.claim()
	g.gather()
	g.makeAlbums()
	g.sortAlbums()
	g.people()
}

// grouping is a settling under way.
type grouping struct {
	c     *Catalog
	owner map[folderAlbum]nameID
	by    map[albumKey][]uint32 // tracks
	list  []bunch
}

// folderAlbum is an album title in a folder.
type folderAlbum struct {
	dir   dirID
	album nameID
}

// albumKey is what the tracks of an album have in common: names, or a folder.
type albumKey struct {
	artist, album nameID
	dir           dirID // of an album without a title, or one of two of the same name
}

type bunch struct {
	albumKey
	tracks []uint32
}

func (g *grouping) each(fn func(i uint32, t *track)) {
	for i := range g.c.tracks {
		if t := &g.c.tracks[i]; !t.gone {
			fn(uint32(i), t)
		}
	}
}

// choose finds, of the ways in which a name is written, the one that most tracks have.
func (g *grouping) choose() {
	c := g.c
	uses := make([]uint32, len(c.names))
	g.each(func(_ uint32, t *track) {
		for _, id := range [...]nameID{t.artist, t.albumArtist, t.composer} {
			c.written(id, func(p nameID) { uses[p]++ })
		}
		uses[t.album]++
	})
	c.shown = make([]nameID, len(c.names))
	for i := range c.names {
		id := nameID(i)
		if is := &c.shown[c.same(id)]; *is == 0 || uses[id] > uses[*is] {
			*is = id
		}
	}
}

// claim finds whose the albums are whose tracks name no album artist.
func (g *grouping) claim() {
	type votes struct {
		first      nameID // who may have more than half
		lead       int
		votes, all int
	}
	count := map[folderAlbum]votes{}
	each := func(fn func(v *votes, artist nameID)) {
		g.each(func(_ uint32, t *track) {
			if t.albumArtist == 0 {
				k := folderAlbum{g.home(t), g.c.same(t.album)}
				v := count[k]
				fn(&v, g.c.same(t.artist))
				count[k] = v
			}
		})
	}
	each(func(v *votes, artist nameID) { // Boyer and Moore's majority vote
		switch {
		case v.lead == 0:
			v.first, v.lead = artist, 1
		case v.first == artist:
			v.lead++
		default:
			v.lead--
		}
	})
	each(func(v *votes, artist nameID) {
		if v.all++; v.first == artist {
			v.votes++
		}
	})
	g.owner = make(map[folderAlbum]nameID, len(count))
	for k, v := range count {
		if 2*v.votes > v.all {
			g.owner[k] = v.first
		}
	}
}

// discFolder is how folders of one disc of several are called.
var discFolder = regexp.MustCompile(`(?i)^(?:cd|dis[ck]|disque|disco)[ _.-]*0*([1-9][0-9]?)$`)

// discOf is the disc that a folder is called after; 0: none.
func discOf(called string) uint8 {
	m := discFolder.FindStringSubmatch(called)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	return uint8(n)
}

// home is the folder of the album of a track: above that of a disc.
func (g *grouping) home(t *track) dirID {
	if d := &g.c.dirs[t.dir]; d.disc > 0 && d.parent != 0 {
		return d.parent
	}
	return t.dir
}

// disc is the disc that a track is of, by its tags or its folder.
func (c *Catalog) disc(t *track) uint8 {
	if t.disc != 0 {
		return t.disc
	}
	return c.dirs[t.dir].disc
}

// gather puts the tracks of each album together, and apart again where two folders
// have the same.
func (g *grouping) gather() {
	g.by = map[albumKey][]uint32{}
	g.each(func(i uint32, t *track) {
		k := albumKey{artist: g.c.same(t.albumArtist), album: g.c.same(t.album)}
		switch {
		case several[string(g.c.fold(t.albumArtist))]:
			k.artist = 0
		case k.artist == 0:
			k.artist = g.owner[folderAlbum{g.home(t), k.album}]
		}
		if k.album == 0 || k.artist == 0 && t.albumArtist == 0 { // several artists: who else has the title is another album
			k.dir = g.home(t)
		}
		g.by[k] = append(g.by[k], i)
	})
	g.list = make([]bunch, 0, len(g.by))
	for k, tracks := range g.by {
		g.list = append(g.list, g.apart(bunch{k, tracks})...)
	}
	g.by = nil
}

// apart splits a bunch by folders where two of them claim one place.
func (g *grouping) apart(b bunch) []bunch {
	home := g.home(&g.c.tracks[b.tracks[0]])
	if b.dir != 0 || !slices.ContainsFunc(b.tracks, func(i uint32) bool { return g.home(&g.c.tracks[i]) != home }) {
		return []bunch{b}
	}
	type place struct {
		disc uint8
		no   uint16
	}
	at, twice := map[place]dirID{}, false
	by := map[dirID][]uint32{}
	for _, i := range b.tracks {
		t := &g.c.tracks[i]
		home := g.home(t)
		by[home] = append(by[home], i)
		p := place{g.c.disc(t), t.no}
		if was, ok := at[p]; ok && was != home && t.no != 0 {
			twice = true
		}
		at[p] = home
	}
	if !twice {
		return []bunch{b}
	}
	list := make([]bunch, 0, len(by))
	for home, tracks := range by {
		list = append(list, bunch{albumKey{b.artist, b.album, home}, tracks})
	}
	return list
}

// makeAlbums puts each bunch in order and tells of it.
func (g *grouping) makeAlbums() {
	c := g.c
	c.albums = make([]album, len(g.list))
	for n, b := range g.list {
		slices.SortFunc(b.tracks, func(x, y uint32) int { return g.compare(&c.tracks[x], &c.tracks[y]) })
		a := album{artist: b.artist, name: c.shown[b.album], tagged: b.album != 0}
		if !a.tagged {
			a.name = c.dirs[b.dir].name
		}
		cover := uint64(0)
		for _, i := range b.tracks {
			t := &c.tracks[i]
			a.millis += int64(t.millis)
			if a.year == 0 || t.year != 0 && t.year < a.year {
				a.year = t.year
			}
			if a.art == 0 && t.art > 0 {
				a.art = t.inode
			}
			if cover == 0 {
				cover = c.dirs[t.dir].cover
			}
		}
		if a.art == 0 {
			a.art = cover
		}
		a.id = g.id(b)
		c.albums[n] = a
	}
}

// compare is the order of tracks of an album.
func (g *grouping) compare(x, y *track) int {
	return cmp.Or(
		cmp.Compare(g.c.disc(x), g.c.disc(y)),
		cmp.Compare(x.no, y.no),
		bytes.Compare(g.c.arena.bytes(x.file), g.c.arena.bytes(y.file)),
		cmp.Compare(x.inode, y.inode))
}

// id names an album by what makes it one, so that a link to it lasts.
func (g *grouping) id(b bunch) uint64 {
	h := fnv.New64a()
	ids := []uint64{g.c.names[b.artist].id, g.c.names[b.album].id}
	for d, n := b.dir, 0; d != 0 && n < 100; d, n = g.c.dirs[d].parent, n+1 {
		ids = append(ids, g.c.names[g.c.dirs[d].name].id)
	}
	for _, id := range ids {
		h.Write(binary.BigEndian.AppendUint64(nil, id))
	}
	return h.Sum64()
}
