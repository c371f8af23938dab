package fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
)

// folderPast is a past whose moments are the folders of a real one. Their names are
// their times, by [momentFolder], to the nanosecond.
type folderPast struct{ dir string }

const momentFolder = "2006-01-02T15:04:05.000000000"

func (p folderPast) Moments(context.Context) (all []time.Time, err error) {
	list, err := os.ReadDir(p.dir)
	for _, e := range list {
		t, _ := time.Parse(momentFolder, e.Name())
		all = append(all, t)
	}
	return all, err
}

func (p folderPast) At(ctx context.Context, t time.Time) (Tree, error) {
	all, err := p.Moments(ctx)
	i := len(all) - 1
	for i >= 0 && all[i].After(t) {
		i--
	}
	if i < 0 {
		return nil, errors.Join(err, cache.ErrNotExist)
	}
	tree := &folderTree{t: all[i], paths: map[cache.Ino]string{}, inos: map[cache.Ino]cache.Ino{}}
	root := filepath.Join(p.dir, all[i].Format(momentFolder))
	return tree, filepath.WalkDir(root, func(path string, _ iofs.DirEntry, err error) error {
		var st unix.Stat_t
		if err == nil {
			err = unix.Lstat(path, &st)
		}
		if path == root {
			tree.inos[st.Ino] = cache.Root
			tree.age = uint64(st.Mtim.Nano())
		} else {
			tree.inos[st.Ino] = st.Ino
		}
		tree.paths[tree.inos[st.Ino]] = path
		return err
	})
}

// How many bytes of sound, and of other files, were asked for.
var soundAsked, otherAsked atomic.Int64

// folderTree is the folder of a moment. Files called sound.* are sound; those called
// gone are in no store any more.
type folderTree struct {
	t     time.Time
	age   uint64
	paths map[cache.Ino]string
	inos  map[cache.Ino]cache.Ino // by those of the disk
}

func (f *folderTree) Moment() time.Time { return f.t }

// Edition is the age that the moment's folder had.
func (f *folderTree) Edition() uint64 { return f.age }

func (f *folderTree) stat(path string) (a cache.Attr, err error) {
	var st unix.Stat_t
	err = unix.Lstat(path, &st)
	if err == unix.ENOENT {
		err = cache.ErrNotExist
	}
	at := func(t unix.Timespec) time.Time { return time.Unix(t.Unix()) }
	return cache.Attr{Ino: f.inos[st.Ino], Mode: st.Mode, Nlink: uint32(st.Nlink), UID: st.Uid, GID: st.Gid, Rdev: uint32(st.Rdev),
		Size: st.Size, Blocks: st.Blocks, Atime: at(st.Atim), Mtime: at(st.Mtim), Ctime: at(st.Ctim)}, err
}

func (f *folderTree) Attr(ino cache.Ino) (cache.Attr, error) { return f.stat(f.paths[ino]) }

func (f *folderTree) Lookup(dir cache.Ino, name string) (cache.Attr, error) {
	return f.stat(filepath.Join(f.paths[dir], name))
}

func (f *folderTree) List(dir cache.Ino) (all []cache.DirEntry, err error) {
	list, err := os.ReadDir(f.paths[dir])
	for _, e := range list {
		a, err := f.Lookup(dir, e.Name())
		if err != nil {
			return nil, err
		}
		all = append(all, cache.DirEntry{Name: e.Name(), Ino: a.Ino, Mode: a.Mode & unix.S_IFMT})
	}
	slices.Reverse(all) // no order is promised
	return all, err
}

func (f *folderTree) Readlink(ino cache.Ino) (string, error) { return os.Readlink(f.paths[ino]) }

func (f *folderTree) Xattrs(ino cache.Ino) (map[string][]byte, error) {
	names := make([]byte, 64<<10)
	n, err := unix.Llistxattr(f.paths[ino], names)
	if err != nil {
		return nil, err
	}
	all := map[string][]byte{}
	for name := range strings.SplitSeq(string(names[:n]), "\x00") {
		value := make([]byte, 64<<10)
		if n, err := unix.Lgetxattr(f.paths[ino], name, value); err == nil {
			all[name] = value[:n]
		}
	}
	return all, nil
}

func (f *folderTree) Open(_ context.Context, ino cache.Ino) (TreeFile, error) {
	file, err := os.Open(f.paths[ino])
	return folderFile{file}, err
}

type folderFile struct{ *os.File }

func (f folderFile) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	if filepath.Base(f.Name()) == "gone" {
		return 0, fmt.Errorf("%w: deleted", cache.ErrUnavailable)
	}
	asked := &otherAsked
	if f.Sound() {
		asked = &soundAsked
	}
	asked.Add(int64(len(p)))
	n, err := f.File.ReadAt(p, off)
	if n < len(p) && err == nil {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (f folderFile) Lseek(off int64, whence uint32) (int64, error) {
	return unix.Seek(int(f.Fd()), off, int(whence))
}

func (f folderFile) Sound() bool { return strings.HasPrefix(filepath.Base(f.Name()), "sound.") }
