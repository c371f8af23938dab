package sync

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"testing/synctest"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
)

// simNode is an inode of the model: what the drive must hold.
type simNode struct {
	id     int
	kids   map[string]*simNode // of a directory
	link   bool
	target string // of a symbolic link
	data   []byte
	mode   uint32
	xattrs map[string]string
	nlink  int // of what is no directory
}

// node makes a node; its number tells it in the trace.
func (s *sim) node(n simNode) *simNode {
	s.nodes++
	n.id = s.nodes
	return &n
}

func (s *sim) newDir() *simNode { return s.node(simNode{kids: map[string]*simNode{}, mode: 0o755}) }

func (n *simNode) isDir() bool { return n.kids != nil }

// simEntry is a name in the model.
type simEntry struct {
	path string
	dir  *simNode
	name string
	node *simNode
}

// entries lists all below a directory, sorted.
func (n *simNode) entries(at string) (list []simEntry) {
	for _, k := range slices.Sorted(maps.Keys(n.kids)) {
		kid := n.kids[k]
		list = append(list, simEntry{path.Join(at, k), n, k, kid})
		if kid.isDir() {
			list = append(list, kid.entries(path.Join(at, k))...)
		}
	}
	return list
}

// clone copies a tree, links included.
func (n *simNode) clone(seen map[*simNode]*simNode) *simNode {
	if c := seen[n]; c != nil {
		return c
	}
	c := *n
	seen[n] = &c
	c.data, c.xattrs = bytes.Clone(n.data), maps.Clone(n.xattrs)
	if n.isDir() {
		c.kids = map[string]*simNode{}
		for k, kid := range n.kids {
			c.kids[k] = kid.clone(seen)
		}
	}
	return &c
}

// verify fails unless the drive shows the tree at a path.
func (s *sim) verify(d *device, who, at string, want *simNode) {
	s.t.Helper()
	a, err := Resolve(d.cache, at)
	if err != nil {
		s.fatalf("%s: %s: %v", who, at, err)
	}
	s.verifyNode(d, who, at, a, want, map[*simNode]cache.Ino{})
}

func (s *sim) verifyNode(d *device, who, at string, a cache.Attr, want *simNode, seen map[*simNode]cache.Ino) {
	s.t.Helper()
	c := d.cache
	if ino, ok := seen[want]; ok {
		if ino != a.Ino {
			s.fatalf("%s: %s is no longer linked with its other name", who, at)
		}
		return
	}
	seen[want] = a.Ino
	if got := a.Mode & 0o7777; !want.link && got != want.mode {
		s.fatalf("%s: %s: mode %o, want %o", who, at, got, want.mode)
	}
	names, err := c.ListXattr(a.Ino)
	if err != nil || len(names) != len(want.xattrs) {
		s.fatalf("%s: %s: attributes %v, want %v (%v)", who, at, names, want.xattrs, err)
	}
	for _, n := range names {
		if v, err := c.GetXattr(a.Ino, n); err != nil || string(v) != want.xattrs[n] {
			s.fatalf("%s: %s: %s is %q, want %q (%v)", who, at, n, v, want.xattrs[n], err)
		}
	}
	switch {
	case want.isDir():
		dirs := 0
		for _, kid := range want.kids {
			if kid.isDir() {
				dirs++
			}
		}
		if int(a.Nlink) != 2+dirs {
			s.fatalf("%s: %s has %d links and %d folders in it", who, at, a.Nlink, dirs)
		}
		s.verifyDir(d, who, at, a.Ino, want, seen)
		return
	case int(a.Nlink) != want.nlink:
		s.fatalf("%s: %s has %d links, want %d", who, at, a.Nlink, want.nlink)
	case want.link:
		if target, err := c.Readlink(a.Ino); err != nil || target != want.target {
			s.fatalf("%s: %s leads to %q, want %q (%v)", who, at, target, want.target, err)
		}
		return
	case a.Size != int64(len(want.data)):
		s.fatalf("%s: %s has %d bytes, want %d", who, at, a.Size, len(want.data))
	}
	got, err := s.readIno(d, a.Ino, len(want.data))
	if err != nil || !bytes.Equal(got, want.data) {
		s.note("at fault: #%d", want.id)
		s.fatalf("%s: %s differs from byte %d on of %d: %v", who, at, firstDifference(got, want.data), len(want.data), err)
	}
}

func firstDifference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

func (s *sim) verifyDir(d *device, who, at string, ino cache.Ino, want *simNode, seen map[*simNode]cache.Ino) {
	s.t.Helper()
	list, err := d.cache.ReadDir(ino)
	if err != nil {
		s.fatalf("%s: %s: %v", who, at, err)
	}
	slices.SortFunc(list, func(a, b cache.DirEntry) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
	var names []string
	for _, e := range list {
		names = append(names, e.Name)
	}
	if wanted := slices.Sorted(maps.Keys(want.kids)); !slices.Equal(names, wanted) {
		s.fatalf("%s: %s holds %q, want %q", who, at, names, wanted)
	}
	for _, e := range list {
		kid := want.kids[e.Name]
		if isDir := e.Mode&unix.S_IFMT == unix.S_IFDIR; isDir != kid.isDir() {
			s.fatalf("%s: %s/%s: mode %o", who, at, e.Name, e.Mode)
		}
		a, err := d.cache.Attr(e.Ino)
		if err != nil {
			s.fatalf("%s: %s/%s: %v", who, at, e.Name, err)
		}
		s.verifyNode(d, who, path.Join(at, e.Name), a, kid, seen)
	}
}

// readIno reads n bytes and one more, and lets what was begun ahead come to rest.
func (s *sim) readIno(d *device, ino cache.Ino, n int) ([]byte, error) {
	h, err := d.cache.OpenFile(ino, cache.OpenFlags{Read: true})
	if err != nil {
		return nil, err
	}
	p := make([]byte, n+1)
	k, err := h.ReadAt(context.Background(), p, 0)
	synctest.Wait()
	if rerr := h.Release(); err == nil && rerr != nil {
		err = fmt.Errorf("release: %w", rerr)
	}
	if err != nil {
		return nil, err
	}
	return p[:k], nil
}
