package fs

import (
	"context"
	"time"

	"github.com/tunesafe/tunesafe/cache"
)

// SnapshotsDir is the name in the root of the drive below which the drive is
// shown as it was.
const SnapshotsDir = cache.Reserved

// SnapshotName is how a snapshot is named by its moment, in UTC, for
// [time.Time.Format]. Of several moments in one second the last counts.
const SnapshotName = "2006-01-02T150405Z"

// Past is the drive as it was. Its methods may be called at once.
type Past interface {
	// Moments lists the moments of which the state is known, oldest first.
	Moments(ctx context.Context) ([]time.Time, error)

	// At returns the newest moment that is not after t; cache.ErrNotExist if
	// there is none. It costs the same however many there are, and however
	// large the drive was.
	At(ctx context.Context, t time.Time) (Tree, error)
}

// Tree is the drive at one moment. It does not change within its edition; its methods may be called at
// once, and each costs what it is asked about. Inodes have the numbers that they
// had, the root is cache.Root; Attr.Nlink is the number of names then. What is not
// there is cache.ErrNotExist.
type Tree interface {
	Moment() time.Time

	// Edition is another number once more is known of the moment, as when a commit of
	// another device came late. Nothing that was told before need hold then.
	Edition() uint64

	Attr(ino cache.Ino) (cache.Attr, error)
	Lookup(dir cache.Ino, name string) (cache.Attr, error)
	List(dir cache.Ino) ([]cache.DirEntry, error)
	Readlink(ino cache.Ino) (string, error)
	Xattrs(ino cache.Ino) (map[string][]byte, error)
	Open(ctx context.Context, ino cache.Ino) (TreeFile, error)
}

// TreeFile is an open file of a [Tree]. Its methods may be called at once, but
// for Close, which is the last.
type TreeFile interface {
	// ReadAt is that of [io.ReaderAt]. Bytes that are nowhere any more are an
	// error, never zeros.
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)

	// Lseek finds data and holes (SEEK_DATA, SEEK_HOLE); ENXIO behind the end.
	Lseek(off int64, whence uint32) (int64, error)

	// Sound reports whether the file holds sound, which may have to be fetched:
	// the kernel must not read ahead in it.
	Sound() bool

	Close() error
}
