package cache

import (
	"encoding/binary"
	"fmt"
	"maps"
	"time"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/kv"
)

// stamp is a time as stat has it; any year fits.
type stamp struct {
	_ struct{} `cbor:",toarray"`
	S int64
	N int64
}

func stampOf(t time.Time) stamp     { return stamp{S: t.Unix(), N: int64(t.Nanosecond())} }
func (s stamp) time() time.Time     { return time.Unix(s.S, s.N) }
func stampTS(t unix.Timespec) stamp { return stamp{S: t.Sec, N: t.Nsec} }

// later returns the later of two times.
func later(a, b stamp) stamp {
	if b.S > a.S || b.S == a.S && b.N > a.N {
		return b
	}
	return a
}

// inode is the row of one inode.
type inode struct {
	Mode      uint32            `cbor:"1,keyasint"`
	Nlink     uint32            `cbor:"2,keyasint"`
	UID       uint32            `cbor:"3,keyasint,omitempty"`
	GID       uint32            `cbor:"4,keyasint,omitempty"`
	Rdev      uint32            `cbor:"5,keyasint,omitempty"`
	Size      int64             `cbor:"6,keyasint,omitempty"`
	Atime     stamp             `cbor:"7,keyasint"`
	Mtime     stamp             `cbor:"8,keyasint"`
	Ctime     stamp             `cbor:"9,keyasint"`
	Parent    Ino               `cbor:"10,keyasint,omitempty"` // directories
	Name      string            `cbor:"11,keyasint,omitempty"` // directories
	Target    string            `cbor:"12,keyasint,omitempty"` // symbolic links
	Xattrs    map[string][]byte `cbor:"13,keyasint,omitempty"`
	Gen       uint64            `cbor:"14,keyasint,omitempty"` // generation of the content
	Cut       uint64            `cbor:"15,keyasint,omitempty"` // generation the recipe is of
	Ver       uint64            `cbor:"16,keyasint,omitempty"` // version of this row
	CVer      uint64            `cbor:"17,keyasint,omitempty"` // version last committed; 0: never
	Base      string            `cbor:"18,keyasint,omitempty"` // commit that holds CVer
	Succeeds  Ino               `cbor:"19,keyasint,omitempty"`
	TakenOpen bool              `cbor:"20,keyasint,omitempty"`
	Room      int64             `cbor:"21,keyasint,omitempty"` // of a whole content: see blocks
	Sound     *int64            `cbor:"22,keyasint,omitempty"` // bytes that go behind names and tags, as last cut; nil: not known
	Fed       string            `cbor:"23,keyasint,omitempty"` // the device that feeds this top folder of a place
}

// brief is what is asked of many rows at once; it is decoded in a fraction of the
// time.
type brief struct {
	Mode  uint32 `cbor:"1,keyasint"`
	Nlink uint32 `cbor:"2,keyasint"`
	Size  int64  `cbor:"6,keyasint,omitempty"`
	Sound *int64 `cbor:"22,keyasint,omitempty"`
}

// sound is how much of a file goes behind names and tags. Where it is not known
// all counts: of most files nearly all is.
func (n *brief) sound() int64 {
	if n.Sound == nil {
		return n.Size
	}
	return *n.Sound
}

func briefOf(row []byte) (n brief, err error) {
	err = decode(row, &n)
	return n, err
}

func (n *inode) isDir() bool     { return n.Mode&unix.S_IFMT == unix.S_IFDIR }
func (n *inode) isFile() bool    { return n.Mode&unix.S_IFMT == unix.S_IFREG }
func (n *inode) dirty() bool     { return n.isFile() && n.Gen != n.Cut }
func (n *inode) committed() bool { return n.CVer != 0 }

// blocks is st_blocks, in units of 512 bytes. Of a file whose bytes are all here
// it is what the content file takes, so that du tells the truth of holes and cp
// finds them; Room is by how much that differs from a file without any. A file of
// which bytes are missing is told as one without holes: cp and tar take less to
// mean that the rest is zeros.
func (n *inode) blocks() int64 {
	if !n.isFile() {
		return (n.Size + 511) / 512
	}
	return max(0, fullBlocks(n.Size)+n.Room)
}

// fullBlocks is what a file of size bytes takes on most disks, in units of 512.
func fullBlocks(size int64) int64 { return (size + 4095) / 4096 * 8 }

// sized takes size, times and room of a content from its stat. Its ctime counts
// only with another size or mtime: ours alone moves it when we set its mtime.
func (n *inode) sized(st *unix.Stat_t) {
	if st.Size != n.Size || stampTS(st.Mtim) != n.Mtime {
		n.Ctime = later(n.Ctime, stampTS(st.Ctim))
	}
	n.Size, n.Mtime, n.Room = st.Size, stampTS(st.Mtim), st.Blocks-fullBlocks(st.Size)
}

// changed notes a change of the content. It makes another version of the row, as
// its time has to reach the bucket though the same recipe may come of it.
func (n *inode) changed(size int64, now stamp) {
	n.Size, n.Mtime, n.Ctime = size, now, now
	n.Ver++
}

func (n *inode) attr(ino Ino) Attr {
	return Attr{Ino: ino, Mode: n.Mode, Nlink: n.Nlink, UID: n.UID, GID: n.GID, Rdev: n.Rdev, Size: n.Size,
		Blocks: n.blocks(), Atime: n.Atime.time(), Mtime: n.Mtime.time(), Ctime: n.Ctime.time()}
}

// have says which bytes of a content file are true.
type have struct {
	_       struct{} `cbor:",toarray"`
	Whole   bool
	Here    extents // present in the content file, if not whole
	Written extents // of these, written since the last cut
	Limit   int64   // the recipe's bytes count only below this offset
}

// name is the row of a name: the inode, and whether the bucket knows it.
type name struct {
	ino       Ino
	committed bool
}

// The buckets, in the order the database knows them by.
const (
	bInode kv.Bucket = iota
	bName
	bRecipe
	bHave
	bUncut
	bOwed
	bPRow
	bPName
	bOrphan
	bMeta
	bPlace
	bSource
	bLabel
)

var bucketNames = []string{"inode", "name", "recipe", "have", "uncut", "owed", "prow", "pname", "orphan", "meta", "place", "source", "label"}

// strict in what we write; names are bytes, so text need not be UTF-8.
var decMode, _ = cbor.DecOptions{UTF8: cbor.UTF8DecodeInvalid, MaxArrayElements: 16 << 20}.DecMode()

func inoKey(ino Ino) []byte { return binary.BigEndian.AppendUint64(nil, ino) }

func nameKey(parent Ino, n string) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(n)), parent), n...)
}

func keyIno(k []byte) Ino { return binary.BigEndian.Uint64(k) }

func (n name) encode() []byte {
	b := inoKey(n.ino)
	if n.committed {
		return append(b, 1)
	}
	return b
}

func decodeName(v []byte) name { return name{ino: keyIno(v), committed: len(v) > 8 && v[8] == 1} }

func encode(v any) []byte {
	b, err := cbor.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("cache: row cannot be encoded: %v", err)) // the types are ours
	}
	return b
}

// row reads one row into v; ok is false if there is none.
func (c *Cache) row(b kv.Bucket, key []byte, v any) (ok bool, err error) {
	p, ok, err := c.db.Get(b, key)
	if err != nil || !ok {
		return false, err
	}
	if err := decode(p, v); err != nil {
		return false, fmt.Errorf("local database: row %s/%x: %w", bucketNames[b], key, err)
	}
	return true, nil
}

func (c *Cache) inode(ino Ino) (*inode, error) {
	n := new(inode)
	ok, err := c.row(bInode, inoKey(ino), n)
	if err == nil && !ok {
		err = ErrNotExist
	}
	return n, err
}

func (c *Cache) recipe(ino Ino) (*Recipe, error) {
	r := new(Recipe)
	_, err := c.row(bRecipe, inoKey(ino), r)
	return r, err
}

func (c *Cache) name(parent Ino, n string) (name, bool, error) {
	v, ok, err := c.db.Get(bName, nameKey(parent, n))
	if err != nil || !ok {
		return name{}, false, err
	}
	return decodeName(v), true, nil
}

func (n *inode) clone() *inode {
	m := *n
	m.Xattrs = maps.Clone(n.Xattrs)
	return &m
}
