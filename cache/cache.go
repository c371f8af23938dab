// Package cache is what this machine knows and holds of the drive: the
// namespace (names, attributes, recipes) and the contents that are here.
//
// It is the local truth. Everything a program does on the drive ends here and
// is answered from here; the bucket is fed from it by package sync, which sees
// it as a queue of things that wait. It knows no object store: its one way out
// is [Fetcher], which sync implements.
//
// # What is kept where
//
// The namespace is rows in [kv.DB], a bbolt database behind an append-only
// journal. Each inode with bytes here has one sparse content file in file
// order below content/. "Dirty" is a mark on the inode, never a copy.
//
//	inode   ino -> Inode           attributes, generation, row version
//	name    parent+name -> ino     what lookup and readdir see
//	recipe  ino -> Recipe          parts and runs as last cut
//	have    ino -> extents         which bytes of the content file are true
//	uncut   ino                    contents changed since the recipe
//	owed    ino                    recipes with parts not yet uploaded
//	prow    ino                    inode rows waiting for a commit
//	pname   parent+name            name rows waiting for a commit
//	orphan  ino                    inodes without a name, still in use
//	place   ino -> Place           top folders that a folder of a machine feeds
//	source  ino -> sourceRow       in a place fed from here: where it lies outside, what lstat told
//	label   ino                    what the file says of itself, as whoever cut it put it
//	meta    text                   schema, next inode number, contents to remove, what sync keeps
//
// # Invariants
//
//  1. A file whose content is whole is exactly its content file: size and
//     times come from fstat while it is dirty.
//  2. Dirty is journalled before the first write is answered; a range record
//     follows an fsync of its data: see durable.go.
//  3. Gen counts openings for writing and truncations. A cut is accepted only
//     for the generation it began with, so an accepted cut is untorn.
//  4. A row leaves prow or pname only when a commit that holds it was
//     acknowledged and it has not changed since.
//  5. A content file is removed only when it is clean, committed, owes nothing,
//     is not open, and no mapping of it is left (a read lease is granted); and
//     after the rows that spoke of it are gone from the disk.
//  6. A file whose source lies outside has a content file only with bytes of its
//     recipe, fetched from the bucket; it goes with the next generation. A cut or
//     an upload of it counts only if the file outside was, before and after, what
//     its source says: see place.go and source.go.
//
// Lock order: Cache.mu (namespace), then file.mu (one content), then Cache.fmu
// (which files are open, what is to be synced), then kv.
package cache

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/tunesafe/tunesafe/internal/kv"
)

// Ino numbers an inode; the same number names it in the repository.
type Ino = uint64

// Root is the inode of the drive's top directory.
const Root Ino = 1

// Reserved is a name in Root that nothing gets: package fs shows the drive there as it
// was. A home from before may have something there.
const Reserved = ".snapshots"

// Fetcher brings bytes that are not here. Package sync implements it.
type Fetcher interface {
	// Open streams length bytes of the part from offset. What it yields has
	// been verified; damage or an unreachable store is an error at the first
	// byte it concerns. The caller closes the reader. ctx tells whether
	// somebody waits for it: see [Unhurried].
	Open(ctx context.Context, p Part, offset, length int64) (io.ReadCloser, error)

	// Runs returns all runs of a recipe whose later ones are in the blob More.
	Runs(ctx context.Context, r *Recipe) ([]Run, error)
}

// The errors of this package. A caller may also meet the *fs.PathError of a
// local system call that failed, with its errno inside.
var (
	ErrNotExist    = errors.New("no such file or directory")
	ErrExist       = errors.New("file exists")
	ErrNotDir      = errors.New("not a directory")
	ErrIsDir       = errors.New("is a directory")
	ErrNotEmpty    = errors.New("directory not empty")
	ErrNameTooLong = errors.New("name too long")
	ErrInvalid     = errors.New("invalid argument")
	ErrNoXattr     = errors.New("no such extended attribute")
	ErrXattrSize   = errors.New("extended attribute too large")
	ErrXattrSpace  = errors.New("no room for more extended attributes")
	ErrPermission  = errors.New("operation not permitted")
	ErrReadOnly    = errors.New("read-only")
	ErrTooManyLink = errors.New("too many links")
	ErrUnavailable = errors.New("not here and not reachable") // a missing byte could not be fetched
	ErrOwed        = errors.New("not yet uploaded by the device that has it")
	ErrFull        = errors.New("no room on the disk")
	ErrBusy        = errors.New("in use")  // Snapshot: open for writing or mapped
	ErrChanged     = errors.New("changed") // SetRecipe: written meanwhile
	ErrLocked      = errors.New("in use by another process")
	ErrNewerHome   = errors.New("written by a newer version of the program")
)

// ErrDamaged: the local database cannot be opened. Nothing was changed.
var ErrDamaged = kv.ErrDamaged

// Attr is what stat tells of an inode.
type Attr struct {
	Ino                 Ino
	Mode                uint32 // as st_mode: type and permission bits
	Nlink, UID, GID     uint32
	Rdev                uint32
	Size, Blocks        int64 // bytes; units of 512 bytes
	Atime, Mtime, Ctime time.Time
}

// Owner is who makes a new inode.
type Owner struct{ UID, GID uint32 }

// Change lists the attributes to set; nil fields stay.
type Change struct {
	Mode         *uint32 // permission bits with setuid, setgid, sticky
	UID, GID     *uint32
	Size         *int64
	Atime, Mtime *time.Time
}

// DirEntry is one name of a directory.
type DirEntry struct {
	Name string
	Ino  Ino
	Mode uint32 // type bits of st_mode only
}

// Space is what statfs tells, in blocks of BlockSize bytes.
type Space struct {
	BlockSize           uint32
	Blocks, Free, Avail uint64
	Files, FilesFree    uint64
}

// States of a file, as the attribute user.tunesafe.state gives them. The last
// is worded by package sync's knowledge of the store: see [Cache.SetSafeWord].
const (
	StateLocal     = "local"
	StateUploading = "uploading"
	StateTagsSafe  = "tags safe"
	StateSafe      = "safe"
)

// RenameFlags are those of renameat2(2).
type RenameFlags struct {
	NoReplace, Exchange bool

	also func(*change) error // a feed's part of it
}

// OpenFlags say how a file is opened; at least one of Read and Write. Ordinary
// forbids passthrough, if the file is not open with it already. Quiet tells that
// nobody listens to what is read: see [Unhurried].
type OpenFlags struct{ Read, Write, Append, Truncate, Ordinary, Quiet bool }
