package musiclib

import (
	"context"
	"fmt"
	"path"
	"runtime"
	"slices"
	"sync"
)

// tag is what a tagger shows of a track.
type tag struct {
	Title, Artist, Album, Genre string
	N, Of, Year                 int
}

type album struct {
	artist, title, genre string
	year                 int
	art                  cover
}

type track struct {
	tag
	id     int // from 1
	kind   Kind
	path   string // relative, slash-separated
	art    cover
	weight float64 // its share of the bytes, 1 on average
	frames int     // of MP3 and M4A
	sound  stream  // of the other kinds
}

// plan is a library before it is written.
type plan struct {
	o      Options
	tracks []*track
	mp3    frameStream
	aac    frameStream
}

// others are the kinds beside MP3, in the order in which a library gets them.
var others = []Kind{M4ABack, FLAC, M4AFront, Ogg, WAV, Opus, M4ABack, FLAC, M4AFront, M4ABack, FLAC, M4AFront}

func newPlan(o Options) *plan {
	p := &plan{o: o}
	total := o.Albums * o.TracksPerAlbum
	kinds := kindsOf(total, o.Plain)
	if o.Only != "" {
		kinds = slices.Repeat([]Kind{o.Only}, total)
	}
	for a := range o.Albums {
		al := newAlbum(o, a)
		for n := range o.TracksPerAlbum {
			id := len(p.tracks) + 1
			p.tracks = append(p.tracks, newTrack(o, al, id, n+1, kinds[id-1]))
		}
	}
	return p
}

// kindsOf spreads the other kinds over a library of n tracks: one in five, but
// each kind once where there is room.
func kindsOf(n int, plain bool) []Kind {
	kinds := make([]Kind, n)
	m := max(n/5, min(n/2, 6))
	if plain {
		m = 0
	}
	for i := range kinds {
		kinds[i] = MP3
		if k := i * m / n; (i+1)*m/n > k {
			kinds[i] = others[k%len(others)]
		}
	}
	return kinds
}

func newAlbum(o Options, n int) *album {
	r := rng(o.Seed, "album", n)
	al := &album{
		artist: FirstArtist,
		title:  fmt.Sprintf("%s No. %d", phrase(r, 2), n+1),
		genre:  "Classical",
		year:   1957 + r.IntN(63),
	}
	if n >= (o.Albums+1)/2 {
		al.artist, al.genre = artists[n%len(artists)], "Rock"
		if o.Albums > 100 { // no artist has hundreds of albums
			al.artist += fmt.Sprintf(" %d", n/len(artists))
		}
	}
	if o.ArtBytes[1] > 0 {
		al.art = newCover(r, o.ArtBytes[0]+r.IntN(o.ArtBytes[1]-o.ArtBytes[0]+1))
	}
	return al
}

func newTrack(o Options, al *album, id, n int, kind Kind) *track {
	r := rng(o.Seed, "track", id)
	t := &track{
		tag: tag{
			Title: phrase(r, 3), Artist: al.artist, Album: al.title, Genre: al.genre,
			N: n, Of: o.TracksPerAlbum, Year: al.year,
		},
		id: id, kind: kind, art: al.art,
		weight: 0.35 + 1.3*r.Float64(),
	}
	if r.IntN(16) == 0 { // now and then a long one
		t.weight = 2.1
	}
	t.path = path.Join(fileName(al.artist), fileName(al.title), fmt.Sprintf("%02d %s", n, fileName(t.Title))+kind.Ext())
	return t
}

// fit encodes what the cache lacks, then gives the MP3 and M4A tracks as many
// frames as the total asks for.
func (p *plan) fit(ctx context.Context, c *cache) error {
	const header = 2500 // a track's header without its cover, and its row in the iTunes library
	left, weights := float64(p.o.TotalBytes), 0.0
	for _, t := range p.tracks {
		left -= float64(header + len(t.art.jpeg))
		weights += t.weight
	}
	left = max(left, 0)
	mean := left / weights
	largest := 0.0
	for _, t := range p.tracks {
		if !t.kind.framed() {
			t.sound = streamOf(t.kind, p.o.Seed, t.id, mean*t.weight)
			continue
		}
		largest = max(largest, t.weight*mean)
	}
	secs := baseSeconds(largest)
	jobs := []func() error{
		func() (err error) { p.mp3, err = c.mp3(ctx, secs); return },
	}
	if !p.o.Plain {
		jobs = append(jobs, func() (err error) { p.aac, err = c.aac(ctx, secs); return })
	}
	for _, t := range p.tracks {
		if !t.kind.framed() {
			jobs = append(jobs, func() error { return c.encode(ctx, &t.sound) })
		}
	}
	if err := atOnce(runtime.NumCPU(), jobs); err != nil {
		return err
	}
	weights = 0
	for _, t := range p.tracks {
		if t.kind.framed() {
			weights += t.weight
		} else {
			left -= float64(t.sound.size)
		}
	}
	for _, t := range p.tracks {
		if t.kind.framed() {
			base := p.base(t.kind)
			t.frames = min(max(8, int(left/weights*t.weight/base.mean)), len(base.frames))
		}
	}
	return nil
}

func (k Kind) framed() bool { return k == MP3 || k == M4AFront || k == M4ABack }

func (p *plan) base(k Kind) frameStream {
	if k == MP3 {
		return p.mp3
	}
	return p.aac
}

// pick draws frames of the track's base stream, none twice.
func (p *plan) pick(t *track) [][]byte {
	base := p.base(t.kind)
	out := make([][]byte, t.frames)
	for i, k := range rng(p.o.Seed, "frames", t.id).Perm(len(base.frames))[:t.frames] {
		out[i] = base.frames[k]
	}
	return out
}

// atOnce runs the jobs, n at a time, and returns the first error.
func atOnce(n int, jobs []func() error) error {
	var (
		wg    sync.WaitGroup
		queue = make(chan func() error)
		errs  = make(chan error, len(jobs))
	)
	for range n {
		wg.Go(func() {
			for job := range queue {
				errs <- job()
			}
		})
	}
	for _, job := range jobs {
		queue <- job
	}
	close(queue)
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
