package feed

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/folder"
	tsync "github.com/tunesafe/tunesafe/sync"
)

// A disk may lose bits of a file that nobody wrote to: size, times and inode tell
// nothing then, and no run sees it. So files are read again now and then, those first
// that were read the longest ago, and compared with what the bucket has. One that
// differs is a suspect: the next [Run] reads it once more, and the brake holds it
// ([Rot]), so that the good version stays in the place until somebody decides.

// Reading remembers when files were read.
type Reading interface {
	// FileRead tells when; the zero time if never.
	FileRead(ino uint64) (time.Time, error)
	// FilesRead notes it.
	FilesRead(at time.Time, inos ...uint64) error
}

// Reread says what came of reading files again.
type Reread struct {
	Files, Bytes int64 // read, and the same
	Suspects     int64 // that differ, or could not be read
	Unknown      int64 // of which the recipe here does not tell all
}

// rereadFile is a file that may be read again.
type rereadFile struct {
	path string
	ino  cache.Ino
	o    cache.Origin
	last time.Time
}

// readBatch is after how many files it is noted that they were read.
const readBatch = 64

// ReadAgain reads one part-th of the bytes of a place in its folder. A file counts as
// read when it is first seen by this: it was read for the backup. When ctx ends,
// what was read until then is remembered.
func ReadAgain(ctx context.Context, o Options, reading Reading, part int) (r Reread, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	p, err := Find(o.Cache, o.Place)
	if err != nil {
		return r, err
	}
	rec, err := loadRecord(o.Cache, p.Dir)
	if err != nil {
		return r, err
	}
	root, err := folder.Open(p.Root, folder.Options{Exclude: p.Exclude, Avoid: o.Avoid, CrossDevice: rec.CrossDevice})
	if err != nil {
		return r, err
	}
	defer root.Close()
	list, err := oldestRead(o.Cache, p.Dir, reading, part)
	if err != nil {
		return r, err
	}
	a := &rereader{o: o, root: root, reading: reading, rep: &r}
	for _, f := range list {
		if err = ctx.Err(); err == nil {
			err = a.one(f)
		}
		if err != nil {
			break
		}
	}
	err = errors.Join(err, a.flush())
	if len(a.suspects) == 0 {
		return r, err
	}
	rec.Suspects = append(rec.Suspects, a.suspects...)
	slices.Sort(rec.Suspects)
	rec.Suspects = slices.Compact(rec.Suspects)
	return r, errors.Join(err, rec.store(o.Cache, p.Dir))
}

// oldestRead gives the files whose turn it is, the longest unread first.
func oldestRead(c *cache.Cache, dir cache.Ino, reading Reading, part int) ([]rereadFile, error) {
	var list []rereadFile
	var fresh []uint64
	var all int64
	now := time.Now()
	err := c.EachFed(dir, func(path string, e cache.FedEntry) error {
		if e.Made || typeOf(e.Mode) != unix.S_IFREG || e.Origin.Size == 0 {
			return nil
		}
		last, err := reading.FileRead(e.Ino)
		if last.IsZero() {
			last = now
			fresh = append(fresh, e.Ino)
		}
		all += e.Origin.Size
		list = append(list, rereadFile{strings.TrimPrefix(path, "/"), e.Ino, e.Origin, last})
		return err
	})
	if err == nil && len(fresh) > 0 {
		err = reading.FilesRead(now, fresh...)
	}
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(x, y rereadFile) int { return cmp.Or(x.last.Compare(y.last), cmp.Compare(x.ino, y.ino)) })
	var sum int64
	for i, f := range list {
		if i > 0 && sum*int64(part) >= all {
			return list[:i], nil
		}
		sum += f.o.Size
	}
	return list, nil
}

type rereader struct {
	o        Options
	root     *folder.Root
	reading  Reading
	rep      *Reread
	suspects inoSet
	read     []uint64
}

// one reads a file, unless it is another by now, or the bucket has not got it: the
// next run sees to that.
func (a *rereader) one(f rereadFile) error {
	recipe, cut, err := a.o.Cache.RecipeOf(f.ino)
	if errors.Is(err, cache.ErrNotExist) || err == nil && (!cut || recipe.Owes()) {
		return nil
	}
	if err != nil {
		return err
	}
	intact, known, err := a.compare(f, recipe)
	switch {
	case errors.Is(err, errWritten), errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return nil
	case err != nil:
		a.o.Log.Error("a file cannot be read any more", "path", f.path, "err", err)
		a.suspect(f)
	case intact:
		a.rep.Files++
		a.rep.Bytes += f.o.Size
	case known:
		a.o.Log.Error("a file has other bytes than the backup, and its size and times are as they were", "path", f.path)
		a.suspect(f)
	}
	if !known {
		a.rep.Unknown++
	}
	if a.read = append(a.read, f.ino); len(a.read) >= readBatch {
		return a.flush()
	}
	return nil
}

func (a *rereader) suspect(f rereadFile) {
	a.rep.Suspects++
	a.suspects = append(a.suspects, f.ino)
}

func (a *rereader) flush() error {
	if len(a.read) == 0 {
		return nil
	}
	err := a.reading.FilesRead(time.Now(), a.read...)
	a.read = a.read[:0]
	return err
}

// compare reads the file from the disk, and not from what the kernel remembers of
// it. errWritten: it is not what it was, or did not hold still.
func (a *rereader) compare(f rereadFile, recipe *cache.Recipe) (intact, known bool, err error) {
	dir := path.Dir(f.path)
	if dir == "." {
		dir = ""
	}
	d, err := a.root.Dir(dir, nil)
	if err != nil {
		return false, true, err
	}
	defer d.Close()
	file, err := d.Open(path.Base(f.path))
	if err != nil {
		return false, true, err
	}
	defer file.Close()
	if st, err := folder.FileStat(file); err != nil || !sameTimes(f.o, st) {
		return false, true, errors.Join(err, errWritten)
	}
	forget(file)
	intact, known, err = tsync.Intact(a.o.Keys, file, recipe)
	forget(file)
	if err != nil {
		return false, true, err
	}
	if st, err := folder.FileStat(file); err != nil || !sameTimes(f.o, st) {
		return false, true, errors.Join(err, errWritten)
	}
	return intact, known, nil
}
