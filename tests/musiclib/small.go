package musiclib

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"sync"
)

// What a library of small tracks looks like: albums of ten, artists of five albums.
const (
	smallAlbum  = 10
	smallArtist = 5
	smallFrames = 4 // of a track of MP3 or AAC: 3.3 KB, and as many as tell that it is one
)

// Small makes a library of so many tracks of about 4 KB, and nothing else, for what
// grows with the number of files: four of five are MP3, the others M4A (moov before and
// behind the sound) and FLAC. All have tags, and sound, of their own; none a picture. It is
// made in the time that it takes to make the files. It calls each, which may be nil, for every
// track, one at a time and in no order.
func Small(ctx context.Context, dir string, tracks int, each func(Track)) error {
	o := Options{Seed: 1, CacheDir: defaultCache()}
	p := &plan{o: o}
	c := &cache{dir: o.CacheDir}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return err
	}
	var err error
	if p.mp3, err = c.mp3(ctx, baseSeconds(0)); err != nil {
		return err
	}
	if p.aac, err = c.aac(ctx, baseSeconds(0)); err != nil {
		return err
	}
	return p.writeSmall(ctx, dir, tracks, each)
}

// writeSmall has each processor write albums.
func (p *plan) writeSmall(ctx context.Context, dir string, tracks int, each func(Track)) error {
	var mu sync.Mutex
	albums := make(chan int)
	errs := make(chan error, runtime.NumCPU())
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for range runtime.NumCPU() {
		wg.Go(func() {
			for n := range albums {
				list, err := p.writeSmallAlbum(dir, n, min(smallAlbum, tracks-n*smallAlbum))
				if err != nil {
					cancel(err)
					errs <- err
					return
				}
				mu.Lock()
				for _, t := range list {
					if each != nil {
						each(t)
					}
				}
				mu.Unlock()
			}
		})
	}
	for n := 0; n*smallAlbum < tracks && ctx.Err() == nil; n++ {
		select {
		case albums <- n:
		case <-ctx.Done():
		}
	}
	close(albums)
	wg.Wait()
	close(errs)
	if err := <-errs; err != nil {
		return err
	}
	return ctx.Err()
}

func (p *plan) writeSmallAlbum(dir string, n, tracks int) (list []Track, err error) {
	r := rng(p.o.Seed, "small album", n)
	artist := fmt.Sprintf("%s %d", artists[n/smallArtist%len(artists)], n/smallArtist)
	a := &album{artist: artist, title: fmt.Sprintf("%s No. %d", phrase(r, 2), n), genre: "Rock", year: 1957 + r.IntN(63)}
	at := path.Join(fileName(a.artist), fileName(a.title))
	if err := os.MkdirAll(filepath.Join(dir, at), 0o755); err != nil {
		return nil, err
	}
	for i := range tracks {
		t := &track{id: n*smallAlbum + i + 1, kind: smallKind(n*smallAlbum + i), frames: smallFrames,
			tag: tag{Title: phrase(r, 3), Artist: a.artist, Album: a.title, Genre: a.genre, N: i + 1, Of: smallAlbum, Year: a.year}}
		t.path = path.Join(at, fmt.Sprintf("%02d %s", i+1, fileName(t.Title))+t.kind.Ext())
		size, err := p.writeFile(filepath.Join(dir, t.path), p.smallContent(t), t.id)
		if err != nil {
			return nil, err
		}
		list = append(list, Track{Path: t.path, Kind: t.kind, Title: t.Title, Artist: t.Artist, Album: t.Album, Size: size})
	}
	return list, nil
}

func smallKind(i int) Kind {
	switch i % 15 {
	case 4:
		return M4AFront
	case 9:
		return FLAC
	case 14:
		return M4ABack
	}
	return MP3
}

func (p *plan) smallContent(t *track) [][]byte {
	r := rng(p.o.Seed, "small content", t.id)
	const room = 128 // for tags to grow, as taggers leave it
	switch t.kind {
	case FLAC:
		return [][]byte{smallFLAC(r, t.tag, room)}
	case MP3:
		return append([][]byte{id3v23(t.tag, cover{}, room)}, p.smallPick(t)...)
	}
	return m4aFile(r, t, p.smallPick(t))
}

// smallPick draws a few frames; to shuffle a whole stream for so few would be most of the time.
func (p *plan) smallPick(t *track) [][]byte {
	r, base := rng(p.o.Seed, "small frames", t.id), p.base(t.kind).frames
	out := make([][]byte, t.frames)
	for i := range out {
		out[i] = base[r.IntN(len(base))]
	}
	return out
}
