package catalog

import (
	"bytes"
	"cmp"
	"slices"
)

// sortAlbums puts the albums in their orders, and the tracks in that of the albums.
func (g *grouping) sortAlbums() {
	c := g.c
	seq := make([]uint32, len(c.albums))
	for i := range seq {
		seq[i] = uint32(i)
	}
	slices.SortFunc(seq, func(x, y uint32) int { return c.byArtist(&c.albums[x], &c.albums[y]) })
	albums := make([]album, len(seq))
	c.order = make([]uint32, 0, c.Tracks())
	c.byID = make(map[uint64]uint32, len(seq))
	for to, from := range seq {
		a := c.albums[from]
		a.from = uint32(len(c.order))
		c.order = append(c.order, g.list[from].tracks...)
		a.to = uint32(len(c.order))
		albums[to] = a
		c.byID[a.id] = uint32(to)
		for _, i := range c.order[a.from:a.to] {
			c.tracks[i].in = uint32(to)
		}
	}
	c.albums, g.list = albums, nil
	for i := range seq {
		seq[i] = uint32(i)
	}
	slices.SortFunc(seq, func(x, y uint32) int {
		return cmp.Or(bytes.Compare(c.key(c.albums[x].name), c.key(c.albums[y].name)), cmp.Compare(x, y))
	})
	c.byTitle = seq
}

func (c *Catalog) key(id nameID) []byte { return c.arena.bytes(c.names[id].key) }

// byArtist is the order of albums: by artist, year and title, those by various artists
// behind the others.
func (c *Catalog) byArtist(a, b *album) int {
	if (a.artist == 0) != (b.artist == 0) {
		if a.artist == 0 {
			return 1
		}
		return -1
	}
	return cmp.Or(
		bytes.Compare(c.key(c.shown[a.artist]), c.key(c.shown[b.artist])),
		cmp.Compare(a.artist, b.artist),
		cmp.Compare(a.year, b.year),
		bytes.Compare(c.key(a.name), c.key(b.name)),
		cmp.Compare(a.id, b.id))
}

// people counts and sorts artists and composers.
func (g *grouping) people() {
	c := g.c
	artists, composers := make([]person, len(c.names)), make([]person, len(c.names))
	for i := range c.albums {
		a := &c.albums[i]
		c.each(a.artist, func(id nameID) { artists[id].albums++ })
		for _, j := range c.order[a.from:a.to] {
			t := &c.tracks[j]
			c.each(t.artist, func(id nameID) { artists[id].tracks++ })
			c.each(t.composer, func(id nameID) {
				p := &composers[id]
				p.tracks++
				if p.last != uint32(i)+1 {
					p.albums++
				}
				p.last = uint32(i) + 1
			})
		}
	}
	c.artists = c.sortPeople(artists, func(id nameID) text { return c.names[c.shown[id]].key })
	c.composers = c.sortPeople(composers, func(id nameID) text { return c.names[id].surname })
}

// sortPeople lists those of a table by name that have anything.
func (c *Catalog) sortPeople(table []person, key func(nameID) text) (list []person) {
	for id, p := range table {
		if id > 0 && p.albums+p.tracks > 0 {
			p.name = nameID(id)
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b person) int {
		x, y := c.arena.bytes(key(a.name)), c.arena.bytes(key(b.name))
		return cmp.Or(bytes.Compare(x, y), cmp.Compare(a.name, b.name))
	})
	return slices.Clip(list)
}
