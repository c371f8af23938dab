package past

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/history"
	"github.com/tunesafe/tunesafe/internal/label"
	"github.com/tunesafe/tunesafe/internal/repo"
	tsync "github.com/tunesafe/tunesafe/sync"
)

// Tree is the drive at one moment. Numbers of inodes are those of then. What is not there
// is [cache.ErrNotExist].
type Tree struct {
	p    *Past
	v    *history.View
	late uint64
}

// Tree makes the tree of a view.
func (p *Past) Tree(v *history.View) *Tree { return &Tree{p: p, v: v} }

// Moment is the time of the commit that the tree is of.
func (t *Tree) Moment() time.Time { return t.v.Rev().Time() }

// Edition is another number once a commit of another device became known that applied
// before one that was known: what the tree told before may not hold.
func (t *Tree) Edition() uint64 { return t.late }

// Attr tells of an inode what the log has of it.
func (t *Tree) Attr(ino cache.Ino) (cache.Attr, error) {
	row, _, err := t.v.Inode(ino)
	if err != nil {
		if ino == cache.Root { // before the first commit that had a row of it
			return cache.Attr{Ino: cache.Root, Mode: 0o040755, Nlink: 1, Mtime: t.Moment(), Ctime: t.Moment(), Atime: t.Moment()}, nil
		}
		return cache.Attr{}, notExist(err)
	}
	links := 1
	if row.Type != "dir" {
		names, err := t.v.Names(ino)
		if err != nil {
			return cache.Attr{}, err
		}
		links = max(1, len(names))
	}
	return attrOf(&row, uint32(links)), nil
}

func attrOf(row *repo.InodeRow, links uint32) cache.Attr {
	r := tsync.FromRepo(*row)
	a := cache.Attr{Ino: r.Ino, Mode: r.Mode, Nlink: links, UID: r.UID, GID: r.GID, Rdev: r.Rdev, Size: row.Size,
		Atime: r.Mtime, Mtime: r.Mtime, Ctime: r.Mtime}
	if row.Type == "symlink" {
		a.Size = int64(len(row.Target))
	}
	a.Blocks = (a.Size + 4095) / 4096 * 8
	return a
}

// Lookup finds a name in a folder.
func (t *Tree) Lookup(dir cache.Ino, name string) (cache.Attr, error) {
	e, err := t.v.Lookup(dir, name)
	if err != nil {
		return cache.Attr{}, notExist(err)
	}
	return t.Attr(e.Inode)
}

// List gives the names in a folder, sorted.
func (t *Tree) List(dir cache.Ino) ([]cache.DirEntry, error) {
	entries, err := t.v.List(dir)
	list := make([]cache.DirEntry, len(entries))
	for i, e := range entries {
		list[i] = cache.DirEntry{Name: e.Name, Ino: e.Inode, Mode: tsync.TypeBits(e.Type)}
	}
	return list, err
}

// Readlink gives the target of a symbolic link.
func (t *Tree) Readlink(ino cache.Ino) (string, error) {
	row, _, err := t.v.Inode(ino)
	return row.Target, notExist(err)
}

// Xattrs gives the extended attributes of an inode.
func (t *Tree) Xattrs(ino cache.Ino) (map[string][]byte, error) {
	row, _, err := t.v.Inode(ino)
	return row.Xattrs, notExist(err)
}

// Open opens a file for reading.
func (t *Tree) Open(_ context.Context, ino cache.Ino) (*File, error) { return t.open(ino, false) }

func (t *Tree) open(ino cache.Ino, whole bool) (*File, error) {
	row, _, err := t.v.Inode(ino)
	if err != nil {
		return nil, notExist(err)
	}
	if row.Type != "file" {
		return nil, fmt.Errorf("inode %x: %w", ino, cache.ErrInvalid)
	}
	db, err := t.p.DB()
	if err != nil {
		return nil, err
	}
	if err := paid(db, &row); err != nil {
		return nil, err
	}
	return t.p.open(row, whole), nil
}

// paid completes a version that was committed while sound of it was still on its way:
// by the version behind it that is the same file, with the sound in the bucket.
func paid(db *history.DB, row *repo.InodeRow) error {
	owes := false
	for _, p := range row.Parts {
		owes = owes || p.Owed()
	}
	if !owes {
		return nil
	}
	all, err := db.Versions(row.Inode)
	if err != nil {
		return err
	}
	for _, v := range all {
		if sameBut(row, &v.Row) {
			for i := range row.Parts {
				if row.Parts[i].Owed() {
					row.Parts[i].Blobs = v.Row.Parts[i].Blobs
				}
			}
		}
	}
	return nil
}

// sameBut reports whether two versions are one file, but for what the first owes.
func sameBut(owing, r *repo.InodeRow) bool {
	if owing.Size != r.Size || !owing.Mtime.Equal(r.Mtime) || len(owing.Parts) != len(r.Parts) {
		return false
	}
	for i, p := range owing.Parts {
		q := r.Parts[i]
		if p.Kind != q.Kind || p.Size != q.Size || !p.Owed() && !sameSlices(p.Blobs, q.Blobs) {
			return false
		}
	}
	return true
}

func sameSlices(a, b []repo.Slice) bool { return slices.Equal(a, b) }

// OpenToRestore implements [tsync.RestoreSource].
func (t *Tree) OpenToRestore(ino cache.Ino, whole bool) (tsync.RestoreFile, error) {
	f, err := t.open(ino, whole)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Version is another for another version of an inode.
func (t *Tree) Version(ino cache.Ino) (string, error) {
	_, since, err := t.v.Inode(ino)
	return fmt.Sprintf("%x-%x", ino, since[:]), notExist(err)
}

// Label reads what a file said of itself then.
func (t *Tree) Label(ctx context.Context, ino cache.Ino) (label.Label, error) {
	row, _, err := t.v.Inode(ino)
	if err != nil {
		return label.Label{}, notExist(err)
	}
	return t.p.Label(ctx, &row)
}

// Picture reads the first picture that a file had in it then; [cache.ErrNotExist] if there
// was none, or only larger ones than most bytes.
func (t *Tree) Picture(ctx context.Context, ino cache.Ino, most int64) ([]byte, error) {
	f, err := t.Open(ctx, ino)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	n := slices.IndexFunc(f.Parts(), func(p cache.Part) bool { return p.Kind == repo.Art && p.Size <= most })
	if n < 0 {
		return nil, fmt.Errorf("a picture: %w", cache.ErrNotExist)
	}
	b, err := f.Part(ctx, n)
	if err != nil {
		return nil, why(err)
	}
	return label.Picture(b), nil
}
