package musiclib

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// libraryFile is the name that iTunes gives its library.
const libraryFile = "iTunes Library.xml"

// modes are those of the tracks; few libraries are tidy. Their owner may write
// every one, or taggers would refuse to work.
var modes = []fs.FileMode{0o644, 0o644, 0o644, 0o640, 0o600, 0o664, 0o755}

// write makes the files, then gives the folders, innermost first, their
// attributes and times.
func (p *plan) write(ctx context.Context, dir string) (Summary, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Summary{}, err
	}
	var s Summary
	folders := map[string]bool{}
	for _, t := range p.tracks {
		if err := ctx.Err(); err != nil {
			return Summary{}, err
		}
		if d := path.Dir(t.path); !folders[d] {
			folders[d], folders[path.Dir(d)] = true, true
			if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
				return Summary{}, err
			}
		}
		n, err := p.writeTrack(dir, t)
		if err != nil {
			return Summary{}, err
		}
		s.Tracks = append(s.Tracks, Track{
			Path: t.path, Kind: t.kind, Title: t.Title, Artist: t.Artist, Album: t.Album, Art: t.art.sum(), Size: n,
		})
		s.Bytes += n
	}
	n, err := p.writeFile(filepath.Join(dir, libraryFile), [][]byte{libraryXML(s.Tracks)}, len(p.tracks)+1)
	if err != nil {
		return Summary{}, err
	}
	s.Files, s.Bytes = len(s.Tracks)+1, s.Bytes+n
	return s, p.finishFolders(dir, folders)
}

func (p *plan) writeTrack(dir string, t *track) (int64, error) {
	parts, err := p.content(t)
	if err != nil {
		return 0, err
	}
	return p.writeFile(filepath.Join(dir, t.path), parts, t.id)
}

// content is the file of a track, in pieces.
func (p *plan) content(t *track) ([][]byte, error) {
	r := rng(p.o.Seed, "content", t.id)
	switch t.kind {
	case MP3:
		return mp3File(r, t, p.pick(t)), nil
	case M4AFront, M4ABack:
		return m4aFile(r, t, p.pick(t)), nil
	case FLAC:
		return flacFile(r, t)
	case Ogg, Opus:
		return oggFile(r, t)
	case WAV:
		return wavFile(t)
	}
	return nil, fmt.Errorf("musiclib: no kind %q", t.kind)
}

// writeFile writes the parts and gives the file the mode, attributes and time
// of file number n.
func (p *plan) writeFile(name string, parts [][]byte, n int) (size int64, err error) {
	f, err := os.Create(name)
	if err != nil {
		return 0, err
	}
	w := bufio.NewWriterSize(f, 256<<10)
	for _, part := range parts {
		k, _ := w.Write(part) // Flush reports the error
		size += int64(k)
	}
	if err := w.Flush(); err != nil {
		f.Close()
		return 0, err
	}
	if err := f.Close(); err != nil {
		return 0, err
	}
	r := rng(p.o.Seed, "file", n)
	if p.o.Xattrs && r.IntN(4) == 0 {
		if err := setXattrs(name, r); err != nil {
			return 0, err
		}
	}
	if err := os.Chmod(name, modes[r.IntN(len(modes))]); err != nil {
		return 0, err
	}
	return size, setTime(name, r)
}

func (p *plan) finishFolders(dir string, folders map[string]bool) error {
	var names []string
	for d := range folders {
		names = append(names, d)
	}
	slices.Sort(names)
	slices.Reverse(names)
	for _, d := range append(names, ".") {
		name, r := filepath.Join(dir, d), rng(p.o.Seed, "folder "+d, 0)
		if d != "." { // whose mode is its owner's business
			if err := os.Chmod(name, 0o755); err != nil {
				return err
			}
		}
		if p.o.Xattrs && r.IntN(4) == 0 {
			if err := setXattrs(name, r); err != nil {
				return err
			}
		}
		if err := setTime(name, r); err != nil {
			return err
		}
	}
	return nil
}

// setXattrs sets one attribute with text, one with bytes and an empty one.
func setXattrs(name string, r *rand.Rand) error {
	binary := be.AppendUint64([]byte{0, 0xFF}, r.Uint64())
	for attr, value := range map[string][]byte{
		"user.xdg.origin.url": fmt.Appendf(nil, "https://music.example/track/%d", r.IntN(1e6)),
		"user.finder.info":    binary,
		"user.favourite":      {},
	} {
		if err := unix.Lsetxattr(name, attr, value, 0); err != nil {
			return fmt.Errorf("musiclib: set %s of %s: %w", attr, name, err)
		}
	}
	return nil
}

// setTime sets a modification time within 2017, to the nanosecond.
func setTime(name string, r *rand.Rand) error {
	start := time.Date(2017, 1, 1, 0, 0, 0, 0, time.UTC)
	t := start.Add(time.Duration(r.Int64N(int64(365 * 24 * time.Hour))))
	return os.Chtimes(name, t, t)
}
