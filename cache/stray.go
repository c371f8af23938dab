package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/kv"
)

// LostAndFound is the folder of the drive for contents whose rows were lost.
const LostAndFound = "lost+found"

// SalvageNames reads the names of inodes from a database that cannot be opened,
// as far as it still tells them.
func SalvageNames(dir string) map[Ino]string {
	names := map[Ino]string{}
	kv.Salvage(dir, func(b int, key, value []byte) {
		name := b == int(bName) || b < 0 && (len(value) == 8 || len(value) == 9)
		if !name || len(key) <= 8 || len(value) < 8 {
			return
		}
		if ino := keyIno(value); ino>>32 != 0 { // a waiting name holds a small number
			names[ino] = string(key[8:])
		}
	})
	return names
}

// Strays lists the contents that no row speaks of: the database was lost.
func (c *Cache) Strays() (inos []Ino, err error) {
	err = filepath.WalkDir(c.opt.ContentDir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || len(d.Name()) != 16 {
			return err
		}
		ino, perr := strconv.ParseUint(d.Name(), 16, 64)
		if perr != nil {
			return nil
		}
		here, err := c.marked(bHave, ino)
		if err == nil && !here {
			inos = append(inos, ino)
		}
		return err
	})
	return inos, err
}

// StrayIsKnown tells whether the bucket has all that a stray content holds: by
// the recipe of the inode of that number, and id, which names blobs. What is a
// hole was never fetched, or is zeros that the bucket need not be asked for.
func (c *Cache) StrayIsKnown(ctx context.Context, ino Ino, id func([]byte) [16]byte) (bool, error) {
	f, err := os.Open(c.contentPath(ino))
	if err != nil {
		return false, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return false, err
	}
	n, err := c.inode(ino)
	if errors.Is(err, ErrNotExist) || err == nil && !n.isFile() {
		return st.Size() == 0, nil
	}
	if err != nil {
		return false, err
	}
	l, err := c.loadLayout(ctx, ino)
	if err != nil || l.recipe.Size != st.Size() {
		return false, nil // what cannot be compared is kept
	}
	for i, p := range l.recipe.Parts {
		var off int64
		for _, b := range p.Blobs {
			if same, err := l.blobIs(f, i, off, b, id); err != nil || !same {
				return false, err
			}
			off += b.Size
		}
		if off != p.Size {
			return false, nil // bytes that the bucket still lacks
		}
	}
	return true, nil
}

// blobIs compares a blob with its place in a content file.
func (l *layout) blobIs(f *os.File, part int, off int64, b Blob, id func([]byte) [16]byte) (bool, error) {
	if b.Off != 0 || b.Size > 16<<20 {
		return false, nil // a slice, or many zeros: cannot be compared, and is kept
	}
	buf := make([]byte, b.Size)
	for at := int64(0); at < b.Size; {
		from, n := l.fileOff(part, off+at)
		n = min(n, b.Size-at)
		if hole, err := unix.Seek(int(f.Fd()), from, unix.SEEK_HOLE); err != nil || hole < from+n {
			return err == nil, err
		}
		if _, err := f.ReadAt(buf[at:at+n], from); err != nil {
			return false, err
		}
		at += n
	}
	return id(buf) == b.ID, nil
}

// DropStray removes a content that the bucket has.
func (c *Cache) DropStray(ino Ino) error { return os.Remove(c.contentPath(ino)) }

// Adopt makes a file of the folder lost+found of a stray content, under a name
// like the one given; it waits for the bucket like any other.
func (c *Cache) Adopt(ino Ino, like string) (string, error) {
	dir, err := c.lostAndFound()
	if err != nil {
		return "", err
	}
	st, err := os.Stat(c.contentPath(ino))
	if err != nil {
		return "", err
	}
	var at Ino
	made := func(x *change, to Ino, n *inode) error {
		at, n.Gen, n.Size, n.Mtime = to, 1, st.Size(), stampOf(st.ModTime())
		x.b.Put(bHave, inoKey(to), encode(&have{Whole: true}))
		x.b.Put(bUncut, inoKey(to), nil)
		path, err := c.placeFor(to)
		if err == nil {
			err = unix.Link(c.contentPath(ino), path)
		}
		if err != nil {
			err = &os.PathError{Op: "link", Path: c.contentPath(ino), Err: err}
		}
		return err
	}
	name := like
	for i := 2; ; i++ {
		_, err = c.make(dir, name, inode{Mode: unix.S_IFREG | 0o644, UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}, made)
		if !errors.Is(err, ErrExist) {
			break
		}
		name = fmt.Sprintf("%d %s", i, like[:min(len(like), maxName-20)])
	}
	if err != nil {
		return "", err
	}
	c.touchLRU(at, st.Size())
	c.fmu.Lock()
	c.closed[at] = time.Now()
	c.mustSync(at) // the new name of the bytes, before the old one goes
	c.fmu.Unlock()
	if err := c.Sync(); err != nil {
		return "", err
	}
	return LostAndFound + "/" + name, c.DropStray(ino)
}

func (c *Cache) lostAndFound() (Ino, error) {
	a, err := c.Mkdir(Root, LostAndFound, 0o700, Owner{uint32(os.Getuid()), uint32(os.Getgid())})
	if errors.Is(err, ErrExist) {
		a, err = c.Lookup(Root, LostAndFound)
	}
	return a.Ino, err
}

// NamesOf gives a name of each inode that has one.
func (c *Cache) NamesOf(inos []Ino) (map[Ino]string, error) {
	names, wanted := map[Ino]string{}, map[Ino]bool{}
	for _, ino := range inos {
		wanted[ino] = true
	}
	err := c.db.Scan(bName, nil, nil, func(k, v []byte) bool {
		if ino := decodeName(v).ino; wanted[ino] {
			names[ino] = string(k[8:])
		}
		return true
	})
	return names, err
}
