package fs

import (
	"cmp"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/tunesafe/tunesafe/cache"
)

// maxName is the length of a name in bytes (NAME_MAX).
const maxName = 255

// pastFile is an open file of a snapshot.
type pastFile struct {
	s *snapshots
	n *pastNode
	f TreeFile
}

// open opens a file for reading. The kernel keeps its pages for good, but for
// those of sound: that is read directly, as a file of missing bytes is.
func (s *snapshots) open(ctx *fuse.Context, id uint64, flags uint32, out *fuse.OpenOut) syscall.Errno {
	if flags&syscall.O_ACCMODE != syscall.O_RDONLY || flags&syscall.O_TRUNC != 0 {
		return syscall.EROFS
	}
	p := newPatience(ctx)
	defer p.end()
	n := s.node(id)
	f, err := n.m.tree.Open(p, n.ino)
	if err != nil {
		return s.errno("open", n, err)
	}
	out.OpenFlags = fuse.FOPEN_KEEP_CACHE | fuse.FOPEN_NOFLUSH
	if s.d.direct && f.Sound() {
		out.OpenFlags = fuse.FOPEN_DIRECT_IO | fuse.FOPEN_NOFLUSH
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	out.Fh = s.last
	s.files[out.Fh] = &pastFile{s, n, f}
	return 0
}

// file is an open file of a snapshot by its handle number; nil for the drive's own.
func (s *snapshots) file(fh uint64) *pastFile {
	if !isPast(fh) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.files[fh]
}

func (s *snapshots) release(fh uint64) {
	s.mu.Lock()
	f := s.files[fh]
	delete(s.files, fh)
	s.mu.Unlock()
	if f != nil {
		f.close()
	}
}

func (f *pastFile) close() {
	if err := f.f.Close(); err != nil {
		f.s.d.log.Warn("closing a file of a snapshot", "error", err)
	}
}

// read, too, never answers short but at the end.
func (f *pastFile) read(ctx *fuse.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	p := newPatience(ctx)
	defer p.end()
	n, err := f.f.ReadAt(p, dest, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, f.s.errno("read", f.n, err)
	}
	return fuse.ReadResultData(dest[:n]), 0
}

func (f *pastFile) lseek(off, whence uint64) (uint64, syscall.Errno) {
	at, err := f.f.Lseek(int64(off), uint32(whence))
	return uint64(at), f.s.errno("lseek", f.n, err)
}

// pastDir is an open directory: its names, as they are for good, or the snapshots
// there were when it was opened.
type pastDir struct {
	s     *snapshots
	n     *pastNode // nil for the folder of the snapshots
	names []place
}

// opendir lets the kernel keep the listing of a directory in a snapshot: no name
// in it ever goes, so it does not matter how long it is.
func (s *snapshots) opendir(ctx *fuse.Context, id uint64, out *fuse.OpenOut) syscall.Errno {
	h := &pastDir{s: s}
	var err error
	if id == snapshotsNode {
		p := newPatience(ctx)
		defer p.end()
		if h.names, err = s.list(p); err != nil {
			return s.failed("opendir", "", err)
		}
		h.dots(snapshotsNode, cache.Root)
	} else {
		h.n = s.node(id)
		if h.names, err = h.n.list(); err != nil {
			return s.errno("opendir", h.n, err)
		}
		up := snapshotsNode
		if h.n.ino != cache.Root {
			up = h.n.m.number(h.n.up)
		}
		h.dots(h.n.m.number(h.n.ino), up)
		out.OpenFlags = fuse.FOPEN_CACHE_DIR | fuse.FOPEN_KEEP_CACHE
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	out.Fh = s.last
	s.dirs[out.Fh] = h
	return 0
}

// dots puts "." and ".." before the names.
func (h *pastDir) dots(self, up uint64) {
	h.names = slices.Insert(h.names, 0,
		place{cache.DirEntry{Name: ".", Ino: self, Mode: syscall.S_IFDIR}, dotCookie},
		place{cache.DirEntry{Name: "..", Ino: up, Mode: syscall.S_IFDIR}, dotDotCookie})
}

// list lists a directory, by the inodes' numbers of their moment.
func (n *pastNode) list() ([]place, error) {
	list, err := n.m.tree.List(n.ino)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b cache.DirEntry) int { return strings.Compare(a.Name, b.Name) })
	names := make([]place, len(list))
	for i, e := range list {
		names[i] = place{e, dotDotCookie + 1 + uint64(i)}
	}
	return names, nil
}

func (s *snapshots) dir(fh uint64) *pastDir {
	if !isPast(fh) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dirs[fh]
}

func (s *snapshots) releaseDir(fh uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.dirs, fh)
}

// read puts names into out from offset on.
func (h *pastDir) read(off uint64, out *fuse.DirEntryList, add func(*pastDir, place, *fuse.DirEntryList) (bool, error)) syscall.Errno {
	first, _ := slices.BinarySearchFunc(h.names, off+1, func(p place, o uint64) int { return cmp.Compare(p.cookie, o) })
	for i, p := range h.names[first:] {
		more, err := add(h, p, out)
		if err != nil && i == 0 {
			return h.s.errno("readdir", h.n, err)
		}
		if err != nil || !more {
			break // an error is met again, first in the next read
		}
	}
	return 0
}

// inSnapshot tells names of inodes from those that stand for another directory.
func (h *pastDir) inSnapshot(p place) bool { return h.n != nil && p.cookie > dotDotCookie }

func (h *pastDir) plain(p place, out *fuse.DirEntryList) (bool, error) {
	if h.inSnapshot(p) {
		if p.Mode&syscall.S_IFMT == 0 {
			a, err := h.n.m.tree.Attr(p.Ino)
			if err != nil {
				return false, err
			}
			p.Mode = a.Mode
		}
		p.Ino = h.n.m.number(p.Ino)
	}
	return out.AddDirEntry(fuse.DirEntry{Name: p.Name, Ino: p.Ino, Mode: p.Mode, Off: p.cookie}), nil
}

// plus adds a name with what a look-up would tell. Snapshots are listed without:
// none is opened before somebody goes there.
func (h *pastDir) plus(p place, out *fuse.DirEntryList) (bool, error) {
	if !h.inSnapshot(p) {
		return out.AddDirLookupEntry(fuse.DirEntry{Name: p.Name, Ino: p.Ino, Mode: p.Mode, Off: p.cookie}) != nil, nil
	}
	m := h.n.m
	a, err := m.tree.Attr(p.Ino)
	if err != nil {
		return false, err
	}
	o := out.AddDirLookupEntry(fuse.DirEntry{Name: p.Name, Ino: m.number(p.Ino), Mode: a.Mode, Off: p.cookie})
	if o == nil {
		return false, nil
	}
	h.s.tell(m, h.n.ino, p.Name, a, o)
	return true, nil
}

func (s *snapshots) readlink(id uint64) ([]byte, syscall.Errno) {
	n := s.node(id)
	target, err := n.m.tree.Readlink(n.ino)
	return []byte(target), s.errno("readlink", n, err)
}

// xattrs are those of a node; the folder of the snapshots has none.
func (s *snapshots) xattrs(op string, id uint64) (map[string][]byte, syscall.Errno) {
	if id == snapshotsNode {
		return nil, 0
	}
	n := s.node(id)
	x, err := n.m.tree.Xattrs(n.ino)
	return x, s.errno(op, n, err)
}

func (s *snapshots) getxattr(id uint64, attr string, dest []byte) (uint32, syscall.Errno) {
	if no := refusal(attr); no != 0 {
		return 0, no
	}
	x, no := s.xattrs("getxattr", id)
	if no != 0 {
		return 0, no
	}
	value, ok := x[attr]
	if !ok || attr == StateXattr {
		return 0, syscall.ENODATA
	}
	return sized(dest, value)
}

func (s *snapshots) listxattr(id uint64, caller fuse.Caller, dest []byte) (uint32, syscall.Errno) {
	x, no := s.xattrs("listxattr", id)
	if no != 0 {
		return 0, no
	}
	return sized(dest, xattrList(slices.Sorted(maps.Keys(x)), caller))
}
