package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/label"
	"github.com/tunesafe/tunesafe/internal/web"
	tsync "github.com/tunesafe/tunesafe/sync"
	"github.com/tunesafe/tunesafe/sync/browse"
	"github.com/tunesafe/tunesafe/sync/past"
)

// moments shows the page the drive as it is and as it was.
type moments struct{ o *owner }

var _ web.Past = moments{}

// At implements [web.Past].
func (m moments) At(ctx context.Context, t time.Time) (web.Moment, error) {
	if t.IsZero() {
		return moment{src: tsync.Now(m.o.cache)}, m.o.learn(ctx, false)
	}
	db, err := m.o.recall(ctx, func(control.PastProgress) {})
	if err != nil {
		return nil, err
	}
	v, err := viewAt(db, t)
	if err != nil {
		return nil, err
	}
	tree := m.o.past.Tree(v)
	return moment{src: tree, tree: tree}, nil
}

// moment is the drive at one; tree is nil for now.
type moment struct {
	src  tsync.RestoreSource
	tree *past.Tree
}

func nodeOf(name string, a cache.Attr) web.Node {
	n := web.Node{Ino: a.Ino, Name: name, Size: a.Size, Time: a.Mtime, Mode: a.Mode & 0o777, Changed: a.Ctime}
	switch a.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		n.Kind = web.Folder
	case unix.S_IFREG:
		n.Kind = web.File
	}
	return n
}

// Find implements [web.Moment].
func (m moment) Find(name string) (web.Node, error) {
	a, err := tsync.Resolve(m.src, name)
	return nodeOf(path.Base(name), a), notThere(err)
}

// List implements [web.Moment].
func (m moment) List(n web.Node) ([]web.Node, error) {
	entries, err := m.src.List(n.Ino)
	if err != nil {
		return nil, notThere(err)
	}
	list := make([]web.Node, 0, len(entries))
	for _, e := range entries {
		a, err := m.src.Attr(e.Ino)
		if errors.Is(err, cache.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		list = append(list, nodeOf(e.Name, a))
	}
	return list, nil
}

// Key implements [web.Moment].
func (m moment) Key(n web.Node) (key [16]byte, err error) {
	text := fmt.Sprintf("now %x %d %d %d", n.Ino, n.Size, n.Time.UnixNano(), n.Changed.UnixNano())
	if m.tree != nil {
		if text, err = m.tree.Version(n.Ino); err != nil {
			return key, notThere(err)
		}
	}
	sum := sha256.Sum256([]byte(text))
	copy(key[:], sum[:])
	return key, nil
}

// Open implements [web.Moment].
func (m moment) Open(ctx context.Context, n web.Node) (web.Bytes, error) {
	f, err := m.src.OpenToRestore(n.Ino, false)
	if err != nil {
		return nil, notThere(err)
	}
	a, err := m.src.Attr(n.Ino)
	if err == nil && (a.Size != n.Size || !a.Mtime.Equal(n.Time) || !a.Ctime.Equal(n.Changed)) {
		err = fmt.Errorf("%s: %w", n.Name, errChangedNow)
	}
	if err != nil {
		return nil, errors.Join(notThere(err), f.Release())
	}
	return readingOf(ctx, f), nil
}

// Label implements [web.Moment].
func (m moment) Label(ctx context.Context, n web.Node) (label.Label, error) {
	if m.tree == nil {
		return label.Label{}, web.ErrNotThere
	}
	l, err := m.tree.Label(ctx, n.Ino)
	return l, notThere(err)
}

// Picture implements [web.Moment].
func (m moment) Picture(ctx context.Context, n web.Node) ([]byte, error) {
	if m.tree == nil {
		return nil, web.ErrNotThere
	}
	b, err := m.tree.Picture(ctx, n.Ino, browse.MaxPicture)
	return b, notThere(err)
}
