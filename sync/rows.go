package sync

import (
	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/repo"
)

// typeNames are the inode types of FORMAT.md §5.
var typeNames = map[uint32]string{
	unix.S_IFREG: "file", unix.S_IFDIR: "dir", unix.S_IFLNK: "symlink", unix.S_IFIFO: "fifo",
	unix.S_IFSOCK: "socket", unix.S_IFCHR: "char", unix.S_IFBLK: "block",
}

var typeBits = func() map[string]uint32 {
	m := map[string]uint32{}
	for bits, n := range typeNames {
		m[n] = bits
	}
	return m
}()

// toRepo makes the row of a commit.
func toRepo(r cache.Row) repo.InodeRow {
	if r.Gone {
		return repo.InodeRow{Inode: r.Ino, Gone: true}
	}
	row := repo.InodeRow{Inode: r.Ino, Type: typeNames[r.Mode&unix.S_IFMT], Mode: r.Mode & 0o7777, UID: r.UID, GID: r.GID,
		Mtime: r.Mtime, Rdev: r.Rdev, Xattrs: r.Xattrs, Target: r.Target, In: r.Parent, Name: r.Name,
		TakenOpen: r.TakenOpen, Base: r.Base, Succeeds: r.Succeeds, Fed: r.Fed}
	if r.Recipe == nil {
		return row
	}
	row.Size = r.Recipe.Size
	for _, p := range r.Recipe.Parts {
		q := repo.Part{Kind: p.Kind, Size: p.Size}
		if !p.Owed {
			for _, b := range p.Blobs {
				q.Blobs = append(q.Blobs, repo.Slice{ID: b.ID, Size: b.Size, Off: b.Off})
			}
		}
		row.Parts = append(row.Parts, q)
	}
	runs := r.Recipe.Runs
	if m := r.Recipe.More; m != nil {
		row.More = &repo.BlobRef{ID: m.ID, Size: m.Size}
		if at := firstSound(r.Recipe); at >= 0 {
			runs = runs[:at]
		}
	}
	row.Runs = repoRuns(runs)
	return row
}

func repoRuns(runs []cache.Run) []repo.Run {
	out := make([]repo.Run, len(runs))
	for i, r := range runs {
		out[i] = repo.Run{Part: r.Part, Length: r.Length}
	}
	return out
}

func cacheRuns(runs []repo.Run) []cache.Run {
	out := make([]cache.Run, len(runs))
	for i, r := range runs {
		out[i] = cache.Run{Part: r.Part, Length: r.Length}
	}
	return out
}

// FromRepo makes a row for the cache.
func FromRepo(r repo.InodeRow) cache.Row {
	row := cache.Row{Ino: r.Inode, Mode: typeBits[r.Type] | r.Mode, UID: r.UID, GID: r.GID, Rdev: r.Rdev, Mtime: r.Mtime,
		Xattrs: r.Xattrs, Target: r.Target, Parent: r.In, Name: r.Name, TakenOpen: r.TakenOpen, Base: r.Base,
		Succeeds: r.Succeeds, Fed: r.Fed, Gone: r.Gone}
	if r.Gone || r.Type != "file" {
		return row
	}
	rec := &cache.Recipe{Size: r.Size}
	for _, p := range r.Parts {
		q := cache.Part{Kind: p.Kind, Size: p.Size}
		for _, b := range p.Blobs {
			q.Blobs = append(q.Blobs, cache.Blob{ID: b.ID, Size: b.Size, Off: b.Off})
		}
		rec.Parts = append(rec.Parts, q)
	}
	rec.Runs = cacheRuns(r.Runs)
	if r.More != nil {
		rec.More = &cache.Blob{ID: r.More.ID, Size: r.More.Size}
	}
	row.Recipe = rec
	return row
}

// TypeBits are those of st_mode for a type as FORMAT.md §5 names it.
func TypeBits(name string) uint32 { return typeBits[name] }
