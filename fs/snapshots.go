package fs

import (
	"cmp"
	"context"
	"errors"
	"path"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/tunesafe/tunesafe/cache"
)

// The kernel's numbers of what is in snapshots have the top bit, which no inode of
// the cache has. One of them is for good, the folder that all snapshots are in.
const (
	pastBit       = 1 << 63
	snapshotsNode = uint64(pastBit)
)

func isPast(id uint64) bool { return id&pastBit != 0 }

// maxPastNodes is how many inodes of snapshots the kernel may know before it is
// asked to forget some: each is 150 bytes here, and seven times that there.
const maxPastNodes = 1 << 16

// snapshots is what the kernel knows of the past. Unlike inodes of the present,
// those of the past need a table: their number says nothing of the moment. It
// holds what was looked up and not forgotten.
type snapshots struct {
	d      *drive
	past   Past
	listed bool // in the root

	mu       sync.Mutex
	last     uint64 // number given out, of nodes and handles
	nodes    map[uint64]*pastNode
	ids      map[pastKey]uint64
	moments  map[int64]*moment // by the second
	files    map[uint64]*pastFile
	dirs     map[uint64]*pastDir
	most     int  // nodes, before the kernel is asked to forget
	limit    int  // likewise, while it could not
	trimming bool // it is being asked
	trims    sync.WaitGroup
	done     chan struct{}
}

// moment is a snapshot that was looked into.
type moment struct {
	name  string
	tree  Tree
	salt  uint64
	nodes int       // that the kernel knows
	used  time.Time // looked up
}

// pastNode is an inode at a moment, by the name that it was first looked up with.
type pastNode struct {
	m       *moment
	ino     cache.Ino
	up      cache.Ino // the directory of the name
	name    string
	lookups uint64 // that the kernel has not forgotten
}

type pastKey struct {
	m   *moment
	ino cache.Ino
}

func newSnapshots(d *drive, past Past, listed bool) *snapshots {
	return &snapshots{
		d: d, past: past, listed: listed, last: snapshotsNode, most: maxPastNodes, limit: maxPastNodes, done: make(chan struct{}),
		nodes: make(map[uint64]*pastNode), ids: make(map[pastKey]uint64), moments: make(map[int64]*moment),
		files: make(map[uint64]*pastFile), dirs: make(map[uint64]*pastDir),
	}
}

// number is the inode number that programs see. Those of one moment differ as the
// inodes do; those of two moments differ, too, or programs would take two versions
// of a file for hard links of one (tar, cp -a, du).
func (m *moment) number(ino cache.Ino) uint64 { return pastBit | (ino^m.salt)&^pastBit }

// salt spreads a second over 64 bits (the finalizer of splitmix64).
func salt(second int64) uint64 {
	x := uint64(second) + 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// parseMoment reads a snapshot's name. time.Parse alone would allow fractions.
func parseMoment(name string) (second int64, ok bool) {
	t, err := time.Parse(SnapshotName, name)
	return t.Unix(), err == nil && t.Format(SnapshotName) == name
}

// at opens the snapshot of a name. A time that is no moment has none, though the
// drive had a state then: a name that is not listed is not there.
func (s *snapshots) at(ctx context.Context, name string) (*moment, error) {
	second, ok := parseMoment(name)
	if !ok {
		return nil, cache.ErrNotExist
	}
	tree, err := s.past.At(ctx, time.Unix(second, 1e9-1))
	if err != nil {
		return nil, err
	}
	if tree.Moment().Unix() != second {
		return nil, cache.ErrNotExist
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.moments[second]
	if m == nil || !m.tree.Moment().Equal(tree.Moment()) || m.tree.Edition() != tree.Edition() {
		m = &moment{name: name, tree: tree, salt: salt(second)}
		s.moments[second] = m
	}
	m.used = time.Now()
	return m, nil
}

// node is a node that the kernel knows.
func (s *snapshots) node(id uint64) *pastNode {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nodes[id]
}

// known counts a look-up and returns the number of the node.
func (s *snapshots) known(m *moment, up cache.Ino, name string, ino cache.Ino) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := pastKey{m, ino}
	id, ok := s.ids[key]
	if !ok {
		s.last++
		id = s.last
		s.ids[key] = id
		s.nodes[id] = &pastNode{m: m, ino: ino, up: up, name: name}
		m.nodes++
	}
	s.nodes[id].lookups++
	if len(s.nodes) > s.limit && !s.trimming {
		s.trimming = true
		s.trims.Go(s.trim)
	}
	return id
}

// forget takes look-ups back, and the node after the last of them.
func (s *snapshots) forget(id, lookups uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.nodes[id]
	if n == nil {
		return
	}
	if n.lookups > lookups {
		n.lookups -= lookups
		return
	}
	delete(s.nodes, id)
	delete(s.ids, pastKey{n.m, n.ino})
	n.m.nodes--
	if second := n.m.tree.Moment().Unix(); n.m.nodes == 0 && s.moments[second] == n.m {
		delete(s.moments, second)
	}
}

// trimRest is how long the kernel has to forget what it was asked to.
const trimRest = time.Second

// trim asks the kernel to forget snapshots, those looked up longest ago first,
// until half the limit is left. What is in use it keeps; the limit then is higher
// until that is not.
func (s *snapshots) trim() {
	s.mu.Lock()
	var list []*moment
	for _, m := range s.moments {
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b *moment) int { return a.used.Compare(b.used) })
	n := len(s.nodes)
	for i, m := range list {
		if n <= s.most/2 {
			list = list[:i]
			break
		}
		n -= m.nodes
	}
	s.mu.Unlock()
	for _, m := range list {
		s.d.server.EntryNotify(snapshotsNode, m.name)
	}
	select {
	case <-time.After(trimRest):
	case <-s.done:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit, s.trimming = max(s.most, len(s.nodes)+s.most/2), false
}

// lists reports whether the root lists the snapshots.
func (d *drive) lists() bool { return d.past != nil && d.past.listed && !d.taken() }

// close ends what is open, as the kernel will not.
func (s *snapshots) close() {
	close(s.done)
	s.trims.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.files {
		f.close()
	}
}

// path is where a node was looked up first, as far as the kernel still knows the
// directories above it.
func (s *snapshots) path(n *pastNode) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := ""
	for n != nil && n.ino != cache.Root {
		at = path.Join(n.name, at)
		n = s.nodes[s.ids[pastKey{n.m, n.up}]]
	}
	if n != nil {
		at = path.Join(SnapshotsDir, n.m.name, at)
	}
	return at
}

// errno is what a program is told of an error, with the line in the log, one for
// each inode and moment.
func (s *snapshots) errno(op string, n *pastNode, err error) syscall.Errno {
	if err == nil {
		return 0
	}
	no, known := toErrno(err)
	if !known {
		s.d.failed(failure{op: op, ino: n.m.number(n.ino), path: s.path(n), err: err})
	}
	return no
}

// absent answers a look-up of a name that is not there.
func absent(out *fuse.EntryOut, believe time.Duration) syscall.Errno {
	out.SetEntryTimeout(believe)
	return 0
}

// enter looks up a snapshot. Its name may go, and the last of them may become
// another while its second lasts.
func (s *snapshots) enter(ctx context.Context, name string, out *fuse.EntryOut) syscall.Errno {
	m, err := s.at(ctx, name)
	if errors.Is(err, cache.ErrNotExist) {
		return absent(out, brief)
	}
	if err != nil {
		return s.failed("lookup", name, err)
	}
	a, err := m.tree.Attr(cache.Root)
	if err != nil {
		return s.failed("lookup", name, err)
	}
	s.tell(m, 0, name, a, out)
	out.SetEntryTimeout(brief)
	return 0
}

// failed is errno where there is no node.
func (s *snapshots) failed(op, name string, err error) syscall.Errno {
	no, known := toErrno(err)
	if !known {
		s.d.failed(failure{op: op, ino: snapshotsNode, path: path.Join(SnapshotsDir, name), err: err})
	}
	return no
}

// lookup looks up a name in a directory of a snapshot. What is there and what is
// not stays so.
func (s *snapshots) lookup(ctx *fuse.Context, id uint64, name string, out *fuse.EntryOut) syscall.Errno {
	if len(name) > maxName {
		return syscall.ENAMETOOLONG
	}
	if id == snapshotsNode {
		p := newPatience(ctx)
		defer p.end()
		return s.enter(p, name, out)
	}
	n := s.node(id)
	a, err := n.m.tree.Lookup(n.ino, name)
	if errors.Is(err, cache.ErrNotExist) {
		return absent(out, long)
	}
	if err != nil {
		return s.errno("lookup", n, err)
	}
	s.tell(n.m, n.ino, name, a, out)
	return 0
}

// tell answers with an inode just looked up.
func (s *snapshots) tell(m *moment, up cache.Ino, name string, a cache.Attr, out *fuse.EntryOut) {
	fill(&out.Attr, a)
	out.Attr.Ino = m.number(a.Ino)
	out.NodeId = s.known(m, up, name, a.Ino)
	out.SetAttrTimeout(long)
	out.SetEntryTimeout(long)
}

// lookupTop finds the folder of all snapshots.
func (s *snapshots) lookupTop(out *fuse.EntryOut) syscall.Errno {
	a, err := s.top()
	if err != nil {
		return s.failed("lookup", "", err)
	}
	fill(&out.Attr, a)
	out.NodeId = snapshotsNode
	out.SetAttrTimeout(brief)
	out.SetEntryTimeout(long)
	return 0
}

func (s *snapshots) getattr(id uint64, out *fuse.AttrOut) syscall.Errno {
	if id == snapshotsNode {
		a, err := s.top()
		if err != nil {
			return s.failed("getattr", "", err)
		}
		fill(&out.Attr, a)
		out.SetTimeout(brief)
		return 0
	}
	n := s.node(id)
	a, err := n.m.tree.Attr(n.ino)
	if err != nil {
		return s.errno("getattr", n, err)
	}
	fill(&out.Attr, a)
	out.Attr.Ino = n.m.number(n.ino)
	out.SetTimeout(long)
	return 0
}

// top is the folder of all snapshots. It belongs to whom the drive belongs to. The past
// is not asked, which may take a while: the root could not be changed meanwhile.
func (s *snapshots) top() (cache.Attr, error) {
	root, err := s.d.c.Attr(cache.Root)
	a := cache.Attr{Ino: snapshotsNode, Mode: syscall.S_IFDIR | 0o555, Nlink: 2, UID: root.UID, GID: root.GID,
		Atime: root.Mtime, Mtime: root.Mtime, Ctime: root.Mtime}
	return a, err
}

// list lists the snapshots, oldest first.
func (s *snapshots) list(ctx context.Context) ([]place, error) {
	moments, err := s.past.Moments(ctx)
	if err != nil {
		return nil, err
	}
	names := make([]place, 0, len(moments)+2)
	for _, t := range moments {
		second := t.Unix()
		m := moment{salt: salt(second)}
		names = append(names, place{
			cache.DirEntry{Name: t.UTC().Format(SnapshotName), Ino: m.number(cache.Root), Mode: syscall.S_IFDIR},
			max(uint64(second), dotDotCookie+1),
		})
	}
	slices.SortFunc(names, func(a, b place) int { return cmp.Compare(a.cookie, b.cookie) })
	return slices.CompactFunc(names, func(a, b place) bool { return a.cookie == b.cookie }), nil
}
