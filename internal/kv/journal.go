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

	"golang.org/x/sys/unix"
)

// A journal is a file of records: length (4 bytes, little-endian) and CRC-32C
// (4 bytes) of the payload, then the payload, which is a batch.
type journal struct {
	f    *os.File
	dir  string
	seq  uint64
	size int64 // bytes appended; guarded by DB.mu

	mu     sync.Mutex
	synced int64 // bytes known to be on disk
	gone   bool
}

const (
	headLen     = 8
	maxRecord   = 64 << 20
	preallocate = 8 << 20 // room kept for the journal on a full disk, bytes
)

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

// newJournal makes an empty journal whose name is already on disk.
func newJournal(dir string, seq uint64) (*journal, error) {
	f, err := os.OpenFile(journalPath(dir, seq), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	// A filesystem without fallocate only loses the reserve.
	_ = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, preallocate)
	if err := syncDir(dir); err != nil {
		f.Close()
		return nil, err
	}
	return &journal{f: f, dir: dir, seq: seq}, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// append writes one framed record; what a failed write left is cut off again.
func (j *journal) append(rec []byte) error {
	n, err := j.f.WriteAt(rec, j.size)
	if err == nil {
		j.size += int64(n)
		return nil
	}
	if terr := j.f.Truncate(j.size); terr != nil {
		err = errors.Join(err, terr)
	}
	return err
}

// sync puts everything appended before the call on disk. Callers that wait for
// each other share one fdatasync.
func (j *journal) sync() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	st, err := j.f.Stat()
	if j.gone || (err == nil && st.Size() == j.synced) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := unix.Fdatasync(int(j.f.Fd())); err != nil {
		return &os.PathError{Op: "fdatasync", Path: j.f.Name(), Err: err}
	}
	j.synced = st.Size()
	return nil
}

// remove deletes the journal; its records are in bbolt.
func (j *journal) remove() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.gone = true
	return errors.Join(j.f.Close(), os.Remove(j.f.Name()))
}

// replay hands the batches of a journal to fn, up to the first torn one.
func replay(path string, fn func([]op)) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, headLen)
	for {
		if _, err := io.ReadFull(f, head); err != nil {
			return torn(err)
		}
		n := binary.LittleEndian.Uint32(head)
		if n == 0 || n > maxRecord {
			return nil
		}
		rec := make([]byte, n)
		if _, err := io.ReadFull(f, rec); err != nil {
			return torn(err)
		}
		ops, ok := decode(rec)
		if crc32.Checksum(rec, castagnoli) != binary.LittleEndian.Uint32(head[4:]) || !ok {
			return nil
		}
		fn(ops)
	}
}

// torn is nil for the end of a journal, clean or torn, and err for a failure to read.
func torn(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
