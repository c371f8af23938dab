// Package catalog is a music library as a person sees it: albums, artists,
// composers and tracks, and a search through all of them as it is typed.
//
// It is made of what each track says of itself and of where it lies, told one
// file at a time, and holds it in memory, small: 100,000 tracks take some 20 MB.
// What it is told again takes the place of what it knew, so it follows a library
// that changes without being read anew. It reads no file and knows of no page.
//
// # What is an album
//
// Tracks with the same album title and the same album artist, as [Same] compares
// names. Where the tags name no album artist, the tracks of a folder are asked:
// the artist of more than half of them is the album's, else it is by various
// artists, as it is where the tags say so. Tracks that claim one place of a disc from two folders are two albums,
// as a FLAC and its MP3 are. Tracks without an album title are the album of their
// folder, under its name.
//
// # Order
//
// Names are sorted as sort tags say, else without leading articles ([SortKey]),
// composers by family name ([SurnameKey]), and all without regard to case and diacritics ([Fold]).
package catalog

import (
	"cmp"
	"hash/fnv"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/tunesafe/tunesafe/internal/label"
)

// Catalog is a library. After a change [Catalog.Settle] must be called before it is
// read. Any number may read at once; changes need it for themselves.
type Catalog struct {
	arena      arena
	nameFolds  haystack
	titleFolds haystack

	names  []name // of artists, composers and albums; 0 is none
	nameOf map[string]nameID
	sameOf map[string]nameID // by Same
	parts  map[nameID][]nameID

	tracks []track
	sorted int            // of tracks, as many are in the order of inodes
	later  map[uint64]int // the others, by inode
	dead   int            // tracks that are gone

	dirs  []dir
	dirOf map[uint64]dirID

	formats []string
	used    int // bytes of the arena, when it was made

	settled bool
	groups
}

type (
	nameID uint32
	dirID  uint32
)

// name is a name as it is written somewhere.
type name struct {
	text    text
	fold    uint32 // of Catalog.nameFolds
	id      uint64 // made of it, whatever way it is written
	key     text   // what it is sorted by
	surname text   // what it is sorted by as a composer's; 0: it is none
	same    nameID // the first one that is the same
}

// track is one file.
type track struct {
	inode       uint64
	dir         dirID
	file        text
	title       text
	fold        uint32 // of Catalog.titleFolds
	artist      nameID
	albumArtist nameID
	album       nameID
	composer    nameID
	millis      uint32
	art         uint32 // bytes of pictures
	in          uint32 // the album, of Catalog.albums
	year, no    uint16
	disc        uint8
	format      uint8 // of Catalog.formats
	unread      bool
	gone        bool
}

// dir is a folder that holds tracks, or folders of them.
type dir struct {
	inode  uint64
	parent dirID
	name   nameID
	disc   uint8 // that it is called after
	known  bool
	cover  uint64 // the inode of a picture of the front
	rank   uint8  // of its name among those that covers have
}

// New makes an empty catalog.
func New() *Catalog {
	c := &Catalog{
		nameOf: map[string]nameID{}, sameOf: map[string]nameID{}, parts: map[nameID][]nameID{},
		later: map[uint64]int{}, dirs: make([]dir, 1), dirOf: map[uint64]dirID{0: 0},
	}
	c.nameID("")
	c.titleFolds.add(0, "")
	return c
}

// Put adds a track, or what it says of itself now. unread says that nobody has asked
// it yet. What is no music is taken away.
func (c *Catalog) Put(inode uint64, l label.Label, unread bool) {
	if !l.Music() {
		c.Remove(inode)
		return
	}
	t := c.find(inode)
	if t == nil {
		t = c.grow(inode)
	}
	c.settled = false
	if string(c.arena.bytes(t.title)) != l.Title {
		t.title = c.arena.add(l.Title)
		t.fold = c.titleFolds.add(c.number(t), Fold(l.Title))
	}
	c.untitled(t)
	t.artist, t.albumArtist = c.nameID(l.Artist), c.nameID(l.AlbumArtist)
	t.album, t.composer = c.nameID(l.Album), c.composerID(l.Composer)
	c.sortBy(t.artist, l.ArtistSort, func(n *name) *text { return &n.key })
	c.sortBy(t.albumArtist, l.AlbumArtistSort, func(n *name) *text { return &n.key })
	c.sortBy(t.composer, l.ComposerSort, func(n *name) *text { return &n.surname })
	t.millis = uint32(min(l.Seconds*1000, math.MaxUint32))
	t.art = uint32(min(l.Art, math.MaxUint32))
	t.year, t.no, t.disc = clamp[uint16](l.Year), clamp[uint16](l.Track), clamp[uint8](l.Disc)
	t.format, t.unread = c.format(l.Format), unread
}

func clamp[T uint8 | uint16](n int) T {
	if n < 0 || n > int(^T(0)) {
		return 0
	}
	return T(n)
}

// grow makes room for a track. They mostly come in the order of inodes.
func (c *Catalog) grow(inode uint64) *track {
	n := len(c.tracks)
	c.tracks = append(c.tracks, track{inode: inode})
	if c.sorted == n && (n == 0 || c.tracks[n-1].inode < inode) {
		c.sorted++
	} else {
		c.later[inode] = n
	}
	return &c.tracks[n]
}

// number is the place of a track among them.
func (c *Catalog) number(t *track) uint32 {
	i, _ := c.index(t.inode)
	return uint32(i)
}

func (c *Catalog) find(inode uint64) *track {
	i, ok := c.index(inode)
	if !ok {
		return nil
	}
	return &c.tracks[i]
}

func (c *Catalog) index(inode uint64) (int, bool) {
	if i, ok := c.later[inode]; ok {
		return i, true
	}
	i, ok := slices.BinarySearchFunc(c.tracks[:c.sorted], inode, func(t track, ino uint64) int {
		return cmp.Compare(t.inode, ino)
	})
	return i, ok && !c.tracks[i].gone
}

// Has reports whether the inode is a track.
func (c *Catalog) Has(inode uint64) bool { _, ok := c.index(inode); return ok }

// Remove takes a track away.
func (c *Catalog) Remove(inode uint64) {
	i, ok := c.index(inode)
	if !ok {
		return
	}
	delete(c.later, inode)
	c.tracks[i] = track{inode: inode, gone: true} // its place keeps the order
	c.dead++
	c.settled = false
}

// Place says where a track lies. Of several names the last one told counts.
func (c *Catalog) Place(inode, folder uint64, file string) {
	t := c.find(inode)
	if t == nil {
		return
	}
	d := c.dirID(folder)
	if t.dir == d && string(c.arena.bytes(t.file)) == file {
		return
	}
	if string(c.arena.bytes(t.file)) != file {
		t.file = c.arena.add(file)
	}
	t.dir = d
	c.untitled(t)
	c.settled = false
}

// untitled has a track without a title be found by the name of its file.
func (c *Catalog) untitled(t *track) {
	if t.title != 0 {
		return
	}
	if f := Fold(titleOf(c.arena.string(t.file))); string(c.titleFolds.bytes(t.fold)) != f {
		t.fold = c.titleFolds.add(c.number(t), f)
	}
}

// At finds the track of a name in a folder; 0 if there is none. It looks at all.
func (c *Catalog) At(folder uint64, file string) uint64 {
	d, ok := c.dirOf[folder]
	if !ok {
		return 0
	}
	for i := range c.tracks {
		if t := &c.tracks[i]; t.dir == d && !t.gone && string(c.arena.bytes(t.file)) == file {
			return t.inode
		}
	}
	return 0
}

// Folder says what a folder is called and where it lies; the top has parent 0.
func (c *Catalog) Folder(inode, parent uint64, called string) {
	p := c.dirID(parent)
	d := &c.dirs[c.dirID(inode)]
	if d.known && d.parent == p && d.name == c.nameID(called) {
		return
	}
	d.parent, d.name, d.disc, d.known = p, c.nameID(called), discOf(called), true
	c.settled = false
}

// HasFolder reports whether the inode is a folder of tracks.
func (c *Catalog) HasFolder(inode uint64) bool { _, ok := c.dirOf[inode]; return ok }

// Strange lists folders of which nobody said yet where they are.
func (c *Catalog) Strange() (inodes []uint64) {
	for _, d := range c.dirs[1:] {
		if !d.known {
			inodes = append(inodes, d.inode)
		}
	}
	return inodes
}

func (c *Catalog) dirID(inode uint64) dirID {
	d, ok := c.dirOf[inode]
	if !ok {
		d = dirID(len(c.dirs))
		c.dirs = append(c.dirs, dir{inode: inode})
		c.dirOf[inode] = d
	}
	return d
}

// Cover says that a folder has a picture in a file; see [CoverRank].
func (c *Catalog) Cover(folder, inode uint64, file string) {
	r := CoverRank(file)
	d := &c.dirs[c.dirID(folder)]
	if r == 0 || d.cover != 0 && d.rank <= uint8(r) {
		return
	}
	d.cover, d.rank = inode, uint8(r)
	c.settled = false
}

// CoverRank tells whether a file is by its name the picture of an album: 0 if not,
// else the less the likelier.
func CoverRank(file string) int {
	ext := path.Ext(file)
	switch strings.ToLower(ext) {
	case ".jpg", ".jpeg", ".png", ".webp", ".gif":
	default:
		return 0
	}
	switch strings.ToLower(strings.TrimSuffix(file, ext)) {
	case "cover":
		return 1
	case "folder":
		return 2
	case "front":
		return 3
	case "albumart", "album":
		return 4
	}
	return 0
}

func (c *Catalog) nameID(s string) nameID {
	if id, ok := c.nameOf[s]; ok {
		return id
	}
	id := nameID(len(c.names))
	s = strings.Clone(s)
	c.nameOf[s] = id
	same := Same(s)
	first, ok := c.sameOf[same]
	if !ok {
		first = id
		c.sameOf[same] = id
	}
	h := fnv.New64a()
	h.Write([]byte(same))
	n := name{text: c.arena.add(s), fold: c.nameFolds.add(uint32(id), Fold(s)), id: h.Sum64(), same: first}
	n.key = n.text
	if key := SortKey(s); key != s {
		n.key = c.arena.add(key)
	}
	c.names = append(c.names, n)
	if strings.Contains(s, "; ") {
		var parts []nameID
		for part := range strings.SplitSeq(s, "; ") {
			if part = strings.TrimSpace(part); part != "" {
				parts = append(parts, c.nameID(part))
			}
		}
		c.parts[id] = parts
	}
	return id
}

func (c *Catalog) fold(id nameID) []byte { return c.nameFolds.bytes(c.names[id].fold) }

// composerID is nameID for composers, who are sorted by family name: as the tags
// tell it, where they do.
func (c *Catalog) composerID(s string) nameID {
	id := c.nameID(s)
	c.written(id, func(p nameID) {
		text := c.nameText(p)
		first := &c.names[c.same(p)]
		if _, _, told := inverted(text); told || first.surname == 0 {
			if key := SurnameKey(text); string(c.arena.bytes(first.surname)) != key {
				first.surname = c.arena.add(key)
			}
		}
	})
	return id
}

// sortBy has a name be sorted as a tag says; of several that say so the last told
// counts. A tag that only says the name again says nothing, and that of a list not
// whose it is.
func (c *Catalog) sortBy(id nameID, as string, key func(*name) *text) {
	fold := Fold(as)
	if fold == "" || id == 0 || c.parts[id] != nil || fold == string(c.fold(id)) {
		return
	}
	for _, p := range []nameID{id, c.same(id)} {
		if k := key(&c.names[p]); string(c.arena.bytes(*k)) != fold {
			*k = c.arena.add(fold)
		}
	}
}

func (c *Catalog) nameText(id nameID) string { return c.arena.string(c.names[id].text) }

// same is the number under which all ways to write a name are one.
func (c *Catalog) same(id nameID) nameID { return c.names[id].same }

// written yields the names that a name is a list of, or itself.
func (c *Catalog) written(id nameID, yield func(nameID)) {
	if parts := c.parts[id]; parts != nil {
		for _, p := range parts {
			yield(p)
		}
	} else if id != 0 {
		yield(id)
	}
}

// each yields the same as written, under the numbers of [Catalog.same].
func (c *Catalog) each(id nameID, yield func(nameID)) {
	c.written(id, func(p nameID) { yield(c.names[p].same) })
}

// Tracks counts them.
func (c *Catalog) Tracks() int { return len(c.tracks) - c.dead }

// Worn reports whether so much was changed since it was made that making it anew
// would save memory.
func (c *Catalog) Worn() bool {
	return c.dead > 1000+len(c.tracks)/4 || c.used > 0 && c.arena.size > 1<<20+2*c.used
}

// Path is where a track lies, from the top.
func (c *Catalog) path(t *track) string {
	parts := []string{c.arena.string(t.file)}
	for d, n := t.dir, 0; d != 0 && n < 100; d, n = c.dirs[d].parent, n+1 {
		parts = append(parts, c.nameText(c.dirs[d].name))
	}
	slices.Reverse(parts)
	return path.Join(parts...)
}
