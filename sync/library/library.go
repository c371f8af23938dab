// Package library reads the libraries of iTunes and Music that lie in a folder
// that is backed up: what they say of it is kept for the picture, and their
// playlists are written beside the music, where every player finds them.
//
// A playlist lies in the place on the drive, not in the folder, which is never
// written to. The drive has then what the folder lacks: lists with relative paths
// that any machine can play which shows the drive. They are made anew when the
// library or the folder changed, and go when they are gone from the library.
//
// A library is read only while nobody writes it: if it was changed a moment ago,
// or while it was read, what was known before stays until the next backup. One
// that ends in the middle never replaces what was read of it when it was whole.
package library

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/itunes"
)

// Folder is where playlists lie in a place. Where the folder that is backed up has
// something of this name, a number follows.
const Folder = "Playlists (iTunes)"

// settle is how long a library is left alone after it was changed.
const settle = 3 * time.Second

// Library is what is known of a library in a place.
type Library struct {
	Path   string // in the place
	Size   int64  // of the file it is known of
	Mtime  time.Time
	Survey itunes.Survey
	Lists  map[string]Sum // playlists by path in the place, with the hash of each
	Late   string         // why the file as it is now was not read; empty if it was
}

// Sum is a hash of a playlist.
type Sum [32]byte

// encMode keeps times whole: by them it is told that a library did not change.
// decMode takes paths as they are, not all of which are UTF-8.
var (
	encMode, _ = cbor.EncOptions{Time: cbor.TimeRFC3339Nano}.EncMode()
	decMode, _ = cbor.DecOptions{UTF8: cbor.UTF8DecodeInvalid}.DecMode()
)

func key(dir cache.Ino) string { return fmt.Sprintf("library/%x", dir) }

// Known returns what the last update found in a place.
func Known(c *cache.Cache, p cache.Place) ([]Library, error) {
	b, err := c.Meta(key(p.Dir))
	if err != nil || len(b) == 0 {
		return nil, err
	}
	var l []Library
	if decMode.Unmarshal(b, &l) != nil {
		return nil, nil // of another version: it is made anew
	}
	return l, nil
}

// Update reads the libraries of a place again, if they changed or the folder did,
// and brings the playlists up to date. What it could not read it tells in Late.
func Update(ctx context.Context, c *cache.Cache, p cache.Place, changed bool) ([]Library, error) {
	was, err := Known(c, p)
	if err != nil {
		return nil, err
	}
	names, err := find(c, p)
	if err != nil || len(names) == 0 && len(was) == 0 {
		return nil, err
	}
	root, err := os.OpenRoot(p.Root)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	u := updater{read: map[string]bool{}, ctx: ctx, c: c, p: p, root: root, feed: c.Feed(p)}
	places, err := c.Places()
	if err != nil {
		return nil, err
	}
	for _, other := range places {
		if other.Dir != p.Dir {
			u.others = append(u.others, other.Root)
		}
	}
	var now []Library
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		i := slices.IndexFunc(was, func(l Library) bool { return l.Path == name })
		var old *Library
		if i >= 0 {
			old = &was[i]
		}
		now = append(now, u.library(name, old, changed))
	}
	if len(u.read) == 0 && len(now) == len(was) {
		return now, u.keep(now)
	}
	if err := u.write(now); err != nil {
		return nil, fmt.Errorf("writing playlists: %w", err)
	}
	return now, u.keep(now)
}

// find lists the paths of libraries in a place.
func find(c *cache.Cache, p cache.Place) ([]string, error) {
	inos, err := c.Named(itunes.IsXML)
	if err != nil || len(inos) == 0 {
		return nil, err
	}
	paths, err := c.Paths(inos)
	var names []string
	for _, name := range paths {
		if rest, ok := strings.CutPrefix(name, p.Name+"/"); ok {
			names = append(names, rest)
		}
	}
	slices.Sort(names)
	return names, err
}

type updater struct {
	ctx    context.Context
	c      *cache.Cache
	p      cache.Place
	root   *os.Root
	others []string // roots of other places
	feed   *cache.Feed
	read   map[string]bool // libraries that were read, by path
}

// library reads one library, or keeps what is known of it.
func (u *updater) library(name string, old *Library, changed bool) Library {
	kept := Library{Path: name}
	if old != nil {
		kept = *old
		kept.Late = ""
	}
	f, err := u.root.Open(filepath.FromSlash(name))
	if err != nil {
		kept.Late = err.Error()
		return kept
	}
	defer f.Close()
	before, err := f.Stat()
	switch {
	case err != nil:
		kept.Late = err.Error()
		return kept
	case !changed && old != nil && old.Late == "" && before.Size() == old.Size && before.ModTime().Equal(old.Mtime):
		return kept
	case time.Since(before.ModTime()) < settle:
		kept.Late = "it was changed a moment ago"
		return kept
	}
	roots := []string{u.p.Root}
	if real, err := filepath.EvalSymlinks(u.p.Root); err == nil && real != u.p.Root {
		roots = append(roots, real)
	}
	s, err := itunes.Look(f, u.root, roots, u.others)
	if err != nil {
		kept.Late = err.Error()
		return kept
	}
	after, err := f.Stat()
	switch {
	case err != nil || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()):
		kept.Late = "it was changed while it was read"
		return kept
	case s.Truncated && old != nil && !old.Survey.Truncated:
		kept.Late = s.Damage
		return kept
	}
	u.read[name] = true
	now := Library{Path: name, Size: before.Size(), Mtime: before.ModTime(), Survey: s, Lists: map[string]Sum{}}
	if old != nil {
		now.Lists = old.Lists
	}
	return now
}

// keep stores what is known.
func (u *updater) keep(l []Library) error {
	b, err := encMode.Marshal(l)
	if err != nil {
		return err
	}
	old, err := u.c.Meta(key(u.p.Dir))
	if err == nil && string(old) == string(b) {
		return nil
	}
	return errors.Join(err, u.c.SetMeta(key(u.p.Dir), b))
}

// inFolder is the path of a playlist in the playlists' folder. Those of a second
// library lie in a folder of their own.
func inFolder(n int, l itunes.List) string {
	p := l.Path + ".m3u8"
	if n > 0 {
		p = path.Join(fmt.Sprintf("Library %d", n+1), p)
	}
	return p
}
