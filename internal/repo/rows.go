package repo

import "time"

// Kinds of blob and part, as FORMAT.md §4 and §5 name them.
const (
	Tags       = "tags"
	Art        = "art"
	IndexPart  = "index"
	Seals      = "seals"
	Probe      = "probe"
	Audio      = "audio"
	Data       = "data"
	Checkpoint = "checkpoint" // rows of a checkpoint; never a part of a file
)

// Mixed is the kind of a pack whose frames are of several. It is no kind of blob, and in
// the bucket the kinds themselves stand for it.
const Mixed = "mixed"

// BlobRef names a blob and its length in bytes.
type BlobRef struct {
	ID   ID
	Size int64
}

// Slice is Size bytes of the blob ID from offset Off; without an ID they are
// zeros, which lie nowhere.
type Slice struct {
	ID        ID
	Size, Off int64
}

// IsZeros reports whether the slice is of no blob.
func (s Slice) IsZeros() bool { return s.ID == ID{} }

// Part is all bytes of one meaning in one file: those of its slices in order.
// Blobs is empty when the part is owed: its length is known, but it is not in the
// bucket yet.
type Part struct {
	Kind  string
	Size  int64
	Blobs []Slice
}

// Owed reports whether the part's bytes are not in the bucket yet.
func (p Part) Owed() bool { return len(p.Blobs) == 0 && p.Size > 0 }

// Run is the next Length bytes of part Part (an index into InodeRow.Parts).
type Run struct {
	Part   int
	Length int64
}

// InodeRow is the final state of one inode, FORMAT.md §5.
type InodeRow struct {
	Inode     uint64
	Type      string // file, dir, symlink, fifo, socket, char, block
	Mode      uint32 // permission bits with setuid, setgid and sticky
	UID, GID  uint32
	Mtime     time.Time
	Rdev      uint32
	Xattrs    map[string][]byte
	Target    string // symlinks; any bytes
	In        uint64 // directories: the parent; 0 for the root
	Name      string // directories: the name in it; any bytes
	Size      int64
	Parts     []Part
	Runs      []Run
	More      *BlobRef // continues Runs
	TakenOpen bool
	Base      string // "<device>:<seq>"
	Succeeds  uint64
	Fed       string // directories of the root: the device whose folder feeds it
	Gone      bool
}

// NameRow places an inode that is no directory, or says that a name is gone (Inode 0).
type NameRow struct {
	In    uint64
	Name  string // any bytes
	Inode uint64
}
