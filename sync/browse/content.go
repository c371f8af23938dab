package browse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/label"
	"github.com/tunesafe/tunesafe/internal/split"
)

// File is an open file of the drive, to be read and sought in. What is read is
// fetched where it is not here, and somewhat ahead of a reader that goes on.
type File struct {
	io.ReaderAt
	h     *cache.Handle
	Size  int64
	Mtime time.Time
	Tag   string // another for other bytes
	at    int64
}

// Open opens a file; ctx ends what it fetches.
func (l *Library) Open(ctx context.Context, ino cache.Ino) (*File, error) {
	h, err := l.o.Cache.OpenFile(ino, cache.OpenFlags{Read: true, Ordinary: true})
	if err != nil {
		return nil, err
	}
	a, err := l.o.Cache.Attr(ino)
	if err != nil {
		return nil, errors.Join(err, h.Release())
	}
	return &File{ReaderAt: cache.ReaderAt{Ctx: ctx, File: h}, h: h, Size: a.Size, Mtime: a.Mtime, Tag: tagOf(ino, a)}, nil
}

func tagOf(ino cache.Ino, a cache.Attr) string {
	return fmt.Sprintf("%x-%x-%x", ino, a.Size, a.Mtime.UnixNano())
}

// Read implements [io.Reader].
func (f *File) Read(p []byte) (int, error) {
	if f.at >= f.Size {
		return 0, io.EOF
	}
	n, err := f.ReadAt(p, f.at)
	if f.at += int64(n); n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// Seek implements [io.Seeker].
func (f *File) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		off += f.at
	case io.SeekEnd:
		off += f.Size
	}
	if off < 0 {
		return 0, cache.ErrInvalid
	}
	f.at = off
	return off, nil
}

// Close ends its use.
func (f *File) Close() error { return f.h.Release() }

// MaxPicture is the largest picture that is given, in bytes.
const MaxPicture = 8 << 20

// Picture is a picture as it is stored.
type Picture struct {
	Tag   string // another for another picture
	Bytes func() ([]byte, error)
}

// ErrNoPicture: there is none, or none that can be shown.
var ErrNoPicture = errors.New("there is no picture")

// Picture gives the first picture in a track, or the file itself if that is one. The
// bytes are read only if they are asked for: nothing but they is fetched.
func (l *Library) Picture(ctx context.Context, ino cache.Ino) (Picture, error) {
	r, still, err := l.o.Cache.RecipeOf(ino)
	if err != nil {
		return Picture{}, err
	}
	n := slices.IndexFunc(r.Parts, func(p cache.Part) bool { return p.Kind == split.Art.String() && p.Size <= MaxPicture })
	switch {
	case n < 0 && !slices.ContainsFunc(r.Parts, isSound):
		return l.wholePicture(ctx, ino)
	case n < 0 || !still:
		return Picture{}, ErrNoPicture
	}
	id := fmt.Sprintf("%x-%d", ino, r.Parts[n].Size)
	if blobs := r.Parts[n].Blobs; len(blobs) == 1 {
		id = fmt.Sprintf("%x", blobs[0].ID)
	}
	return Picture{Tag: id, Bytes: func() ([]byte, error) {
		raw, err := l.readPart(ctx, ino, r, n)
		if err != nil {
			return nil, err
		}
		return label.Picture(raw), nil
	}}, nil
}

func isSound(p cache.Part) bool {
	return p.Kind == split.Audio.String() || p.Kind == split.Probe.String()
}

// wholePicture is a file that is a picture by its size; what it is is told by its bytes.
func (l *Library) wholePicture(ctx context.Context, ino cache.Ino) (Picture, error) {
	t, err := l.o.Cache.Track(ino)
	if err != nil {
		return Picture{}, err
	}
	if t.Size == 0 || t.Size > MaxPicture {
		return Picture{}, ErrNoPicture
	}
	a, err := l.o.Cache.Attr(ino)
	if err != nil {
		return Picture{}, err
	}
	return Picture{Tag: tagOf(ino, a), Bytes: func() ([]byte, error) {
		f, err := l.Open(ctx, ino)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return io.ReadAll(io.LimitReader(f, MaxPicture))
	}}, nil
}

// readPart reads a part of a file where it lies in it.
func (l *Library) readPart(ctx context.Context, ino cache.Ino, r *cache.Recipe, part int) ([]byte, error) {
	f, err := l.Open(ctx, ino)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	out := make([]byte, 0, r.Parts[part].Size)
	var off int64
	for _, run := range r.Runs {
		if run.Part == part {
			n := len(out)
			out = append(out, make([]byte, min(run.Length, MaxPicture-int64(n)))...)
			if _, err := f.ReadAt(out[n:], off); err != nil {
				return nil, err
			}
		}
		off += run.Length
	}
	return out, nil
}
