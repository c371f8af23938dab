package sync

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"github.com/tunesafe/tunesafe/cache"
)

// simHandle is a file that a program keeps open for writing.
type simHandle struct {
	node *simNode
	h    *cache.Handle
}

func owner() cache.Owner { return cache.Owner{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())} }

// simOps are what a step may do, and how often beside each other. An op tells
// whether it could be done.
var simOps = []struct {
	name   string
	weight int
	do     func(*sim, *simDevice) bool
}{
	{"write", 14, (*sim).write}, {"patch", 8, (*sim).patch}, {"cut", 3, (*sim).cutShort},
	{"open", 4, (*sim).keepOpen}, {"write open", 6, (*sim).writeOpen}, {"release", 4, (*sim).releaseOne},
	{"mkdir", 2, (*sim).mkdir}, {"remove", 7, (*sim).remove}, {"link", 2, (*sim).link}, {"symlink", 1, (*sim).symlink},
	{"rename", 8, (*sim).rename}, {"chmod", 2, (*sim).chmod}, {"xattr", 2, (*sim).xattr}, {"read", 6, (*sim).read},
	{"sleep", 8, (*sim).sleep}, {"pass", 10, (*sim).passSoon}, {"hurry", 5, (*sim).passNow}, {"die in pass", 3, (*sim).dieInPass},
	{"die", 1, func(s *sim, d *simDevice) bool { s.die(d); return true }},
	{"remount", 1, func(s *sim, d *simDevice) bool { s.reopen(d, s.rng.IntN(4) > 0); return true }},
	{"faults", 2, (*sim).changeFaults}, {"handover", 1, (*sim).handOver}, {"look", 1, func(s *sim, d *simDevice) bool { s.look(d); return true }},
}

// step does one thing.
func (s *sim) step() {
	s.t.Helper()
	s.n++
	s.steps++
	clear(s.asked)
	sum := 0
	for _, o := range simOps {
		sum += o.weight
	}
	for {
		d := s.devs[s.rng.IntN(len(s.devs))]
		x := s.rng.IntN(sum)
		for _, o := range simOps {
			if x -= o.weight; x < 0 {
				s.op = d.name + " " + o.name
				s.note("%s", s.op)
				if o.do(s, d) {
					return
				}
				break
			}
		}
	}
}

// meddlers are the ops that programs do amid a pass of the worker.
var meddlers = []func(*sim, *simDevice) bool{(*sim).write, (*sim).patch, (*sim).patch, (*sim).cutShort, (*sim).keepOpen, (*sim).writeOpen,
	(*sim).releaseOne, (*sim).remove, (*sim).rename, (*sim).rename, (*sim).chmod, (*sim).xattr}

// meddle has a program do something amid a pass, at one request of five.
func (s *sim) meddle(d *simDevice) {
	s.t.Helper()
	if s.passing != d || d.dead || s.rng.IntN(5) > 0 {
		return
	}
	n := s.rng.IntN(len(meddlers))
	s.note("amid the pass %d %v", n, meddlers[n](s, d))
	s.meddled++
}

// must fails the run on an error of what programs do: none is excused by a store.
func (s *sim) must(err error) {
	s.t.Helper()
	if err != nil {
		s.fatalf("%v", err)
	}
}

// mine picks a folder of the device; nil if it has none.
func (s *sim) mine(d *simDevice) *simFolder {
	f := s.folders[s.rng.IntN(len(s.folders))]
	if f.owner != d {
		return nil
	}
	return f
}

// pick chooses a name in a folder of the device.
func (s *sim) pick(d *simDevice, ok func(simEntry) bool) (simEntry, *simFolder, bool) {
	f := s.mine(d)
	if f == nil {
		return simEntry{}, nil, false
	}
	list := slices.DeleteFunc(f.root.entries(f.name), func(e simEntry) bool { return !ok(e) })
	if len(list) == 0 {
		return simEntry{}, f, false
	}
	return list[s.rng.IntN(len(list))], f, true
}

func isFile(e simEntry) bool { return !e.node.isDir() && !e.node.link }

// place picks a directory and a name in it, which may be taken.
func (s *sim) place(d *simDevice) (at string, dir *simNode, name string, ok bool) {
	f := s.mine(d)
	if f == nil {
		return "", nil, "", false
	}
	at, dir = f.name, f.root
	for _, e := range f.root.entries(f.name) {
		if e.node.isDir() && s.rng.IntN(3) == 0 {
			at, dir = e.path, e.node
		}
	}
	return at, dir, fmt.Sprintf("n%02d", s.rng.IntN(14)), true
}

func (s *sim) ino(d *simDevice, at string) cache.Ino {
	s.t.Helper()
	a, err := Resolve(d.cache, at)
	s.must(err)
	return a.Ino
}

// content makes bytes of a file: a song, sometimes with sound that was there
// before, or anything else.
func (s *sim) content() []byte {
	switch k := s.rng.IntN(20); {
	case k < 3:
		return []byte(strings.Repeat("words ", s.rng.IntN(30)))
	case k < 6:
		return wav(s.rng, s.rng.IntN(60_000))[44:]
	case k < 11 && len(s.sounds) > 0:
		return s.tagged(s.sounds[s.rng.IntN(len(s.sounds))])
	}
	n := s.rng.IntN(50_000)
	if s.rng.IntN(25) == 0 {
		n += 280_000 // an object of its own
	}
	sound := wav(s.rng, n)
	s.sounds = append(s.sounds, sound)
	s.sounds = s.sounds[max(0, len(s.sounds)-10):]
	return s.tagged(sound)
}

func (s *sim) tagged(sound []byte) []byte {
	n := s.rng.IntN(110)
	if n < 10 {
		return bytes.Clone(sound)
	}
	tag := append([]byte("ID3\x03\x00\x00\x00\x00\x00"), byte(n))
	for range n {
		tag = append(tag, byte(s.rng.IntN(256)))
	}
	return append(tag, sound...)
}

// write makes a file or replaces the content of one, in place or by a rename.
func (s *sim) write(d *simDevice) bool {
	at, dir, name, ok := s.place(d)
	if !ok {
		return false
	}
	p := s.content()
	old := dir.kids[name]
	if old != nil && (old.isDir() || old.link) {
		return false
	}
	parent := s.ino(d, at)
	var h *cache.Handle
	var err error
	switch {
	case old == nil:
		_, h, err = d.cache.Create(parent, name, 0o644, owner(), cache.OpenFlags{Write: true})
		old = s.node(simNode{mode: 0o644, nlink: 1})
		dir.kids[name] = old
	case s.rng.IntN(2) == 0: // as careful programs do
		_, h, err = d.cache.Create(parent, ".tmp", 0o600, owner(), cache.OpenFlags{Write: true})
		s.must(err)
		s.must(d.cache.Rename(parent, ".tmp", parent, name, cache.RenameFlags{}))
		old.nlink--
		old = s.node(simNode{mode: 0o600, nlink: 1})
		dir.kids[name] = old
	default:
		h, err = d.cache.OpenFile(s.ino(d, path.Join(at, name)), cache.OpenFlags{Write: true, Truncate: true})
	}
	s.must(err)
	old.data = p
	_, err = h.WriteAt(p, 0)
	s.must(err)
	s.must(h.Release())
	s.note("write %s/%s #%d %d %x", at, name, old.id, len(p), p[:min(len(p), 16)])
	return true
}

// change writes some bytes into a handle.
func (s *sim) change(h *simHandle) {
	p := wav(s.rng, s.rng.IntN(3000))[44:]
	off := s.rng.IntN(len(h.node.data) + 200)
	if s.rng.IntN(3) == 0 {
		off = s.rng.IntN(min(len(h.node.data), 100) + 1) // where tags are
	}
	if len(p) == 0 {
		return
	}
	_, err := h.h.WriteAt(p, int64(off))
	s.must(err)
	data := h.node.data
	if n := off + len(p); n > len(data) {
		data = append(bytes.Clone(data), make([]byte, n-len(data))...)
	} else {
		data = bytes.Clone(data)
	}
	copy(data[off:], p)
	h.node.data = data
	s.note("change #%d %d+%d", h.node.id, off, len(p))
}

func (s *sim) openHandle(d *simDevice) *simHandle {
	e, _, ok := s.pick(d, isFile)
	if !ok {
		return nil
	}
	h, err := d.cache.OpenFile(s.ino(d, e.path), cache.OpenFlags{Read: true, Write: true})
	s.must(err)
	s.note("open %s #%d", e.path, e.node.id)
	return &simHandle{e.node, h}
}

func (s *sim) patch(d *simDevice) bool {
	h := s.openHandle(d)
	if h == nil {
		return false
	}
	s.change(h)
	s.must(h.h.Release())
	return true
}

func (s *sim) keepOpen(d *simDevice) bool {
	if len(d.handles) >= 3 {
		return false
	}
	h := s.openHandle(d)
	if h != nil {
		d.handles = append(d.handles, h)
	}
	return h != nil
}

func (s *sim) writeOpen(d *simDevice) bool {
	if len(d.handles) == 0 {
		return false
	}
	s.change(d.handles[s.rng.IntN(len(d.handles))])
	return true
}

func (s *sim) release(d *simDevice, i int) {
	s.t.Helper()
	s.note("release #%d", d.handles[i].node.id)
	s.must(d.handles[i].h.Release())
	d.handles = slices.Delete(d.handles, i, i+1)
}

func (s *sim) releaseOne(d *simDevice) bool {
	if len(d.handles) == 0 {
		return false
	}
	s.release(d, s.rng.IntN(len(d.handles)))
	return true
}

// cutShort sets the size of a file.
func (s *sim) cutShort(d *simDevice) bool {
	e, _, ok := s.pick(d, isFile)
	if !ok {
		return false
	}
	n := s.rng.IntN(len(e.node.data) + 100)
	if s.rng.IntN(5) == 0 {
		n = 0
	}
	size := int64(n)
	_, err := d.cache.SetAttr(s.ino(d, e.path), cache.Change{Size: &size})
	s.must(err)
	data := bytes.Clone(e.node.data[:min(n, len(e.node.data))])
	e.node.data = append(data, make([]byte, n-len(data))...)
	s.note("size %s #%d %d", e.path, e.node.id, n)
	return true
}

func (s *sim) mkdir(d *simDevice) bool {
	at, dir, name, ok := s.place(d)
	if !ok || dir.kids[name] != nil || strings.Count(at, "/") > 2 {
		return false
	}
	_, err := d.cache.Mkdir(s.ino(d, at), name, 0o755, owner())
	s.must(err)
	dir.kids[name] = s.newDir()
	return true
}

func (s *sim) symlink(d *simDevice) bool {
	at, dir, name, ok := s.place(d)
	if !ok || dir.kids[name] != nil {
		return false
	}
	_, err := d.cache.Symlink(s.ino(d, at), name, "../"+name, owner())
	s.must(err)
	dir.kids[name] = s.node(simNode{link: true, target: "../" + name, nlink: 1})
	return true
}

func (s *sim) remove(d *simDevice) bool {
	e, _, ok := s.pick(d, func(e simEntry) bool { return len(e.node.kids) == 0 })
	if !ok {
		return false
	}
	dir := s.ino(d, path.Dir(e.path))
	if e.node.isDir() {
		s.must(d.cache.Rmdir(dir, e.name))
	} else {
		s.must(d.cache.Unlink(dir, e.name))
		e.node.nlink--
	}
	delete(e.dir.kids, e.name)
	s.note("remove %s #%d", e.path, e.node.id)
	return true
}

func (s *sim) link(d *simDevice) bool {
	e, _, ok := s.pick(d, isFile)
	at, dir, name, ok2 := s.place(d)
	if !ok || !ok2 || dir.kids[name] != nil || !sameFolder(at, e.path) {
		return false
	}
	_, err := d.cache.Link(s.ino(d, e.path), s.ino(d, at), name)
	s.must(err)
	e.node.nlink++
	dir.kids[name] = e.node
	return true
}

// sameFolder: only then a file may have both names, as folders change hands.
func sameFolder(a, b string) bool {
	return strings.SplitN(a, "/", 2)[0] == strings.SplitN(b, "/", 2)[0]
}

// linked tells whether anything at or below a node has a second name.
func linked(n *simNode) bool {
	if n == nil || n.nlink > 1 {
		return n != nil
	}
	for _, kid := range n.kids {
		if linked(kid) {
			return true
		}
	}
	return false
}

func (s *sim) rename(d *simDevice) bool {
	e, _, ok := s.pick(d, func(simEntry) bool { return true })
	at, dir, name, ok2 := s.place(d)
	if !ok || !ok2 {
		return false
	}
	to, over := path.Join(at, name), dir.kids[name]
	if to == e.path || strings.HasPrefix(to+"/", e.path+"/") || strings.HasPrefix(e.path, to+"/") {
		return false
	}
	if !sameFolder(to, e.path) && (linked(e.node) || linked(over)) {
		return false
	}
	from, into := s.ino(d, path.Dir(e.path)), s.ino(d, at)
	if over != nil && over != e.node && s.rng.IntN(4) == 0 {
		s.must(d.cache.Rename(from, e.name, into, name, cache.RenameFlags{Exchange: true}))
		e.dir.kids[e.name], dir.kids[name] = over, e.node
		s.note("exchange %s %s", e.path, to)
		return true
	}
	if over != nil && (over.isDir() != e.node.isDir() || len(over.kids) > 0) {
		return false
	}
	s.must(d.cache.Rename(from, e.name, into, name, cache.RenameFlags{}))
	s.note("rename %s #%d %s", e.path, e.node.id, to)
	if over == e.node { // two names of one file: nothing happens, says POSIX
		return true
	}
	if over != nil {
		over.nlink--
	}
	delete(e.dir.kids, e.name)
	dir.kids[name] = e.node
	return true
}

func (s *sim) chmod(d *simDevice) bool {
	e, _, ok := s.pick(d, func(e simEntry) bool { return !e.node.link })
	if !ok {
		return false
	}
	mode := uint32(0o400 + s.rng.IntN(0o400))
	_, err := d.cache.SetAttr(s.ino(d, e.path), cache.Change{Mode: &mode})
	s.must(err)
	e.node.mode = mode
	return true
}

func (s *sim) xattr(d *simDevice) bool {
	e, _, ok := s.pick(d, func(e simEntry) bool { return !e.node.link })
	if !ok {
		return false
	}
	key, value := fmt.Sprintf("user.k%d", s.rng.IntN(3)), fmt.Sprint(s.rng.IntN(1000))
	if _, has := e.node.xattrs[key]; has && s.rng.IntN(3) == 0 {
		s.must(d.cache.RemoveXattr(s.ino(d, e.path), key))
		delete(e.node.xattrs, key)
		return true
	}
	s.must(d.cache.SetXattr(s.ino(d, e.path), key, []byte(value), false, false))
	if e.node.xattrs == nil {
		e.node.xattrs = map[string]string{}
	}
	e.node.xattrs[key] = value
	return true
}

// read reads a file: what comes is right, or an error while the store fails.
func (s *sim) read(d *simDevice) bool {
	e, _, ok := s.pick(d, isFile)
	if !ok {
		return false
	}
	got, err := s.readIno(d.device, s.ino(d, e.path), len(e.node.data))
	if err != nil && s.faults == (simFaults{}) {
		s.fatalf("reading %s from a store that works: %v", e.path, err)
	}
	if err == nil && !bytes.Equal(got, e.node.data) {
		s.fatalf("%s differs from byte %d on", e.path, firstDifference(got, e.node.data))
	}
	return true
}

// sleep lets time pass, and with it what happens every so often.
func (s *sim) sleep(*simDevice) bool {
	d := time.Duration(s.rng.IntN(6000)) * time.Millisecond
	if s.rng.IntN(30) == 0 {
		d += 10 * time.Minute
	}
	time.Sleep(d)
	synctest.Wait()
	return true
}

func (s *sim) passSoon(d *simDevice) bool { s.pass(d, false); return true }

func (s *sim) passNow(d *simDevice) bool { s.pass(d, true); return true }

func (s *sim) dieInPass(d *simDevice) bool {
	s.dying, s.dieIn = d, 1+s.rng.IntN(12)
	s.pass(d, s.rng.IntN(3) > 0)
	return true
}

func (s *sim) changeFaults(*simDevice) bool {
	switch s.rng.IntN(5) {
	case 0, 1:
		s.faults = simFaults{}
	case 2:
		s.faults = simFaults{away: true}
	default:
		s.faults = simFaults{before: s.rng.IntN(300), after: s.rng.IntN(300), damaged: s.rng.IntN(500)}
	}
	return true
}

// handOver gives a folder to another device, once that has taken in all of it.
func (s *sim) handOver(d *simDevice) bool {
	f := s.mine(d)
	if f == nil || len(s.devs) == 1 || !s.idle(d) || s.faults != (simFaults{}) {
		return false
	}
	to := s.devs[0]
	if to == d {
		to = s.devs[1]
	}
	s.reopen(to, true)
	d.sees[f] = f.root.clone(map[*simNode]*simNode{})
	f.owner = to
	s.look(to)
	s.handovers++
	return true
}

// look compares all that the device shows with the model.
func (s *sim) look(d *simDevice) {
	s.t.Helper()
	calm := s.calm
	s.calm = true
	defer func() { s.calm = calm }()
	known := len(d.handles) == 0
	files, size := map[*simNode]bool{}, int64(0)
	for _, f := range s.folders {
		tree := f.root
		if f.owner != d {
			tree = d.sees[f]
		}
		if tree == nil {
			known = false
			continue
		}
		s.verify(d.device, d.name, f.name, tree)
		for _, e := range tree.entries("") {
			if isFile(e) && !files[e.node] {
				files[e.node] = true
				size += int64(len(e.node.data))
			}
		}
	}
	q, err := d.cache.Waiting()
	if err != nil || known && (q.Total != len(files) || q.Size != size) {
		s.fatalf("%s counts %d files of %d bytes, not %d of %d (%v)", d.name, q.Total, q.Size, len(files), size, err)
	}
}
