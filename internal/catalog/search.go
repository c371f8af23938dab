package catalog

import (
	"bytes"
	"slices"
	"strings"
)

// Found is what a search found, the best first.
type Found struct {
	Artists []Person // the best few
	Albums  []Album  // the best few
	Tracks  []Track  // a page of them

	AllArtists, AllAlbums, AllTracks int
}

// Limits of a search.
const (
	maxWords   = 8
	maxQuery   = 256 // bytes
	foundFew   = 12  // artists and albums
	worstScore = 63
)

// Search finds what holds every word of the query, each somewhere in title, artist,
// album artist, album or composer, as a prefix of a word or within one. Of the tracks
// it gives up to limit from offset on.
func (c *Catalog) Search(query string, offset, limit int) (f Found) {
	s := c.asked(query)
	if len(s.words) == 0 {
		return f
	}
	score := s.tracks()
	artists := rank(len(c.artists), func(i int) int { return s.person(&c.artists[i]) })
	albums := rank(len(c.albums), func(i int) int { return s.album(&c.albums[i]) })
	tracks := rank(len(c.order), func(i int) int { return int(score[c.order[i]]) })
	f.AllArtists, f.AllAlbums, f.AllTracks = len(artists), len(albums), len(tracks)
	for _, i := range page(artists, 0, foundFew) {
		f.Artists = append(f.Artists, c.person(&c.artists[i], Artist))
	}
	for _, i := range page(albums, 0, foundFew) {
		f.Albums = append(f.Albums, c.album(&c.albums[i]))
	}
	for _, i := range page(tracks, offset, limit) {
		f.Tracks = append(f.Tracks, c.track(&c.tracks[c.order[i]]))
	}
	return f
}

// page is the part of a list that is shown, whatever was asked for.
func page[T any](list []T, offset, limit int) []T {
	offset = max(0, min(offset, len(list)))
	return list[offset:min(len(list), offset+max(limit, 0))]
}

// rank lists what has a score, the lowest first and otherwise in order.
func rank(n int, score func(int) int) []uint32 {
	var by [worstScore + 1][]uint32
	for i := range n {
		if s := score(i); s > 0 {
			s = min(s, worstScore)
			by[s] = append(by[s], uint32(i))
		}
	}
	return slices.Concat(by[:]...)
}

// search is one query.
type search struct {
	c     *Catalog
	all   []byte // the query, folded
	words [][]byte
	names [][]uint8 // for each word, how it lies in each name
}

func (c *Catalog) asked(query string) *search {
	query = strings.ToValidUTF8(query[:min(len(query), maxQuery)], "")
	s := &search{c: c, all: []byte(Fold(query))}
	s.words = bytes.Fields(s.all)
	s.words = s.words[:min(len(s.words), maxWords)]
	for _, w := range s.words {
		in := make([]uint8, len(c.names))
		c.nameFolds.find(w, func(_, id uint32, how uint8) { in[id] = how })
		s.names = append(s.names, in)
	}
	return s
}

// Scores of a word by how it lies in a title, or in a name that goes with it.
var (
	inTitle = [...]uint8{absent: 0, whole: 1, begins: 2, beginsWord: 3, within: 6}
	inName  = [...]uint8{absent: 0, whole: 3, begins: 4, beginsWord: 5, within: 7}
)

// better is the lower of two scores of which 0 is none.
func better(a, b uint8) uint8 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// tracks scores all tracks: the sum of the best of each word, 0 where one is absent.
func (s *search) tracks() []uint8 {
	c := s.c
	sum := make([]uint8, len(c.tracks))
	titles := make([]uint8, len(c.tracks))
	for w, word := range s.words {
		clear(titles)
		c.titleFolds.find(word, func(i, track uint32, how uint8) {
			if c.tracks[track].fold == i {
				titles[track] = inTitle[how]
			}
		})
		names := s.names[w]
		for i := range c.tracks {
			if w > 0 && sum[i] == 0 {
				continue
			}
			t, n := &c.tracks[i], titles[i]
			for _, id := range [...]nameID{t.artist, t.albumArtist, t.album, t.composer} {
				n = better(n, inName[names[id]])
			}
			if n == 0 || t.gone {
				sum[i] = 0
			} else {
				sum[i] += n
			}
		}
	}
	if len(s.words) > 1 {
		c.titleFolds.find(s.all, func(i, track uint32, how uint8) {
			if c.tracks[track].fold == i {
				sum[track] = s.exact(sum[track], how)
			}
		})
	}
	return sum
}

// exact prefers what is called just as the query, or begins so.
func (s *search) exact(sum, how uint8) uint8 {
	if sum > 0 && (how == whole || how == begins) {
		return how
	}
	return sum
}

// of adds up the words, each by its score; 0 if one has none.
func (s *search) of(fold []byte, score func(w int) uint8) int {
	sum := uint8(0)
	for w := range s.words {
		n := score(w)
		if n == 0 {
			return 0
		}
		sum += n
	}
	if len(s.words) > 1 {
		sum = s.exact(sum, lies(fold, s.all))
	}
	return int(sum)
}

func (s *search) album(a *album) int {
	return s.of(s.c.fold(a.name), func(w int) uint8 {
		return better(inTitle[s.names[w][a.name]], inName[s.names[w][a.artist]])
	})
}

func (s *search) person(p *person) int {
	return s.of(s.c.fold(s.c.shown[p.name]), func(w int) uint8 { return inTitle[s.names[w][p.name]] })
}
