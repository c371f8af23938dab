package kv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/crashpoint"
)

// A journal is a file of records: length (4 bytes, little-endian) and CRC-32C
// (4 bytes) of the payload, then the payload, which is a batch. Zeros follow the
// last record, or the file's end.
//
// The first record begins with a link.
//
// A journal whose records are in bbolt is filled with zeros and becomes the
// spare, which the next one is made of: its room on the disk is never given
// back, so that nobody else can take it.
type journal struct {
	f    *os.File
	dir  string
	seq  uint64
	size atomic.Int64 // bytes appended; added to under DB.mu

	mu     sync.Mutex
	synced int64 // bytes known to be on disk
	gone   bool

	damaged bool // records behind damage could not be replayed: the file is kept
}

const (
	headLen   = 8
	maxRecord = 64 << 20
)

// link names the journal before another one, and how many bytes of records it
// had when the other began: if fewer are found after a power loss, what came
// later must not be replayed over the gap.
type link struct {
	seq  uint64
	size int64
}

// linkBucket is no bucket: it marks the change that is a link.
const linkBucket Bucket = 0x7f

func (l link) op() op {
	v := binary.AppendUvarint(binary.AppendUvarint(nil, l.seq), uint64(l.size))
	return op{bucket: linkBucket, value: v}
}

// asLink reads a link; ok is false for any other change.
func (o op) asLink() (l link, ok bool) {
	if o.bucket != linkBucket {
		return l, false
	}
	seq, n := binary.Uvarint(o.value)
	size, _ := binary.Uvarint(o.value[max(n, 0):])
	return link{seq, int64(size)}, true
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func journalPath(dir string, seq uint64) string {
	return filepath.Join(dir, fmt.Sprintf("journal-%016d", seq))
}

// journals lists the journals in dir, oldest first.
func journals(dir string) ([]uint64, error) {
	names, err := filepath.Glob(filepath.Join(dir, "journal-*"))
	if err != nil {
		return nil, err
	}
	var seqs []uint64
	for _, n := range names {
		s, err := strconv.ParseUint(strings.TrimPrefix(filepath.Base(n), "journal-"), 10, 64)
		if err == nil {
			seqs = append(seqs, s)
		}
	}
	slices.Sort(seqs)
	return seqs, nil
}

func sparePath(dir string) string { return filepath.Join(dir, "spare-journal") }

// newJournal makes an empty journal whose name is already on disk, with room
// for so many bytes. It prefers the spare, which needs nothing of a full disk.
// An error of syncDir is a failed sync, and wraps errSync.
func newJournal(dir string, seq uint64, bytes int64) (*journal, error) {
	name := journalPath(dir, seq)
	err := os.Rename(sparePath(dir), name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	// One of this number may be left, empty, by a call that failed below.
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	// A filesystem without fallocate, or a full one, only loses the reserve.
	_ = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, bytes)
	if err := syncDir(dir); err != nil {
		f.Close()
		return nil, fmt.Errorf("%w: %w", errSync, err)
	}
	return &journal{f: f, dir: dir, seq: seq}, nil
}

// makeSpare makes the first spare. Without one the next journal asks the disk.
func makeSpare(dir string, bytes int64) {
	f, err := os.OpenFile(sparePath(dir), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	_ = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, bytes)
}

// openJournal opens one that was replayed.
func openJournal(dir string, seq uint64) (*journal, error) {
	f, err := os.OpenFile(journalPath(dir, seq), os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	j := &journal{f: f, dir: dir, seq: seq}
	j.size.Store(st.Size())
	return j, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// append writes one framed record; of what a failed write left nothing can be
// taken for a record, and the next one overwrites it.
func (j *journal) append(rec []byte) error {
	at := j.size.Load()
	n, err := j.f.WriteAt(rec, at)
	if err == nil {
		j.size.Store(at + int64(n))
		return nil
	}
	if n > 0 {
		_, zerr := j.f.WriteAt(make([]byte, n), at)
		err = errors.Join(err, zerr)
	}
	return err
}

// sync puts everything appended before the call on disk. Callers that wait for
// each other share one fdatasync.
func (j *journal) sync() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	size := j.size.Load()
	if j.gone || size == j.synced {
		return nil
	}
	if err := unix.Fdatasync(int(j.f.Fd())); err != nil {
		return &os.PathError{Op: "fdatasync", Path: j.f.Name(), Err: err}
	}
	j.synced = size
	return nil
}

// retire makes the spare of a journal whose records are in bbolt, or removes it
// if there is one, or that fails. The zeros are on disk before it is used again:
// an old record behind a new one would be replayed.
func (j *journal) retire(bytes int64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.gone = true
	if j.damaged {
		name := filepath.Join(j.dir, fmt.Sprintf("damaged-journal-%d-%d", j.seq, time.Now().Unix()))
		return errors.Join(j.f.Close(), os.Rename(j.f.Name(), name))
	}
	_, err := os.Stat(sparePath(j.dir))
	if err != nil && j.zero(bytes) == nil {
		crashpoint.At("journal.zeroed")
		if os.Rename(j.f.Name(), sparePath(j.dir)) == nil {
			return j.f.Close()
		}
	}
	return errors.Join(j.f.Close(), os.Remove(j.f.Name()))
}

// zero overwrites all records, and cuts off what is beyond the room. The last
// step is a sync.
func (j *journal) zero(bytes int64) error {
	size := j.size.Load()
	if size > bytes {
		size = bytes
		if err := j.f.Truncate(size); err != nil {
			return err
		}
	}
	fd := int(j.f.Fd())
	if unix.Fallocate(fd, unix.FALLOC_FL_ZERO_RANGE|unix.FALLOC_FL_KEEP_SIZE, 0, max(size, 1)) != nil {
		zeros := make([]byte, 64<<10)
		for at := int64(0); at < size; at += int64(len(zeros)) {
			if _, err := j.f.WriteAt(zeros[:min(int64(len(zeros)), size-at)], at); err != nil {
				return err
			}
		}
	}
	return unix.Fdatasync(fd)
}

// replay hands the batches of a journal to fn, up to the first torn one; whole
// is how many bytes they had. If the journal's link is not one to follow it hands
// over nothing.
func replay(path string, fn func([]op), follow func(link) bool) (follows bool, whole int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return false, 0, err
	}
	defer f.Close()
	for {
		ops, n, err := readRecord(f)
		if err != nil || n == 0 {
			return true, whole, err
		}
		if l, ok := ops[0].asLink(); ok {
			if !follow(l) {
				return false, 0, nil
			}
			ops = ops[1:]
		}
		fn(ops)
		whole += n
	}
}

// goesOn tells whether a whole record follows somewhere behind the place where
// the replay of a journal ended. A power loss leaves none; damage does.
func goesOn(path string, end int64) bool {
	p, err := os.ReadFile(path)
	if err != nil || end > int64(len(p)) {
		return false
	}
	for p = p[end:]; len(p) > headLen; p = p[1:] {
		n := binary.LittleEndian.Uint32(p)
		if n == 0 || n > 1<<20 || int64(n) > int64(len(p)-headLen) {
			continue
		}
		if crc32.Checksum(p[headLen:headLen+n], castagnoli) == binary.LittleEndian.Uint32(p[4:]) {
			return true
		}
	}
	return false
}

// readRecord reads the next record and its length with the head, which is 0 at
// the end of a journal, clean or torn.
func readRecord(f *os.File) (ops []op, length int64, err error) {
	head := make([]byte, headLen)
	if _, err := io.ReadFull(f, head); err != nil {
		return nil, 0, torn(err)
	}
	n := binary.LittleEndian.Uint32(head)
	if n == 0 || n > maxRecord {
		return nil, 0, nil
	}
	rec := make([]byte, n)
	if _, err := io.ReadFull(f, rec); err != nil {
		return nil, 0, torn(err)
	}
	ops, ok := decode(rec)
	if crc32.Checksum(rec, castagnoli) != binary.LittleEndian.Uint32(head[4:]) || !ok {
		return nil, 0, nil
	}
	return ops, headLen + int64(n), nil
}

// torn is nil for the end of a journal, clean or torn, and err for a failure to read.
func torn(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
