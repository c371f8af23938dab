package sync

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/repo"
)

// Of each large file the home keeps a hash of every block of the version last
// cut, the file's sums: they tell at the next cut which blocks changed, though
// the bytes of before are gone. They belong to the blobs that were made of that
// version, and are ignored beside any others. Lost ones cost one cut by content.
//
// A file of sums is a magic, the name of the blobs, a checksum of all that
// follows, and then, as often as need be, the number of blocks that are all
// zeros and the number of those behind them that are not, with a sum of each.
const (
	sumsMagic  = "tssums1\n"
	sumsHeader = len(sumsMagic) + 16 + 16
	sumSize    = 8
	sumsOfRun  = 4096 // sums written at once
)

// sumOf is the sum of a block; 0 if it is all zeros. It is keyed: nobody can make
// a block that passes for another.
func (w *Worker) sumOf(block []byte) uint64 {
	if isZero(block) {
		return 0
	}
	id := w.o.Keys.BlobID(block)
	return max(1, binary.BigEndian.Uint64(id[:]))
}

// nameOfBlobs names what a part is made of.
func (w *Worker) nameOfBlobs(blobs []cache.Blob) repo.ID {
	h := w.o.Keys.NewHash()
	var b [32]byte
	for _, blob := range blobs {
		copy(b[:], blob.ID[:])
		binary.BigEndian.PutUint64(b[16:], uint64(blob.Size))
		binary.BigEndian.PutUint64(b[24:], uint64(blob.Off))
		h.Write(b[:])
	}
	return h.Sum()
}

func (w *Worker) sumsPath(ino cache.Ino) string {
	return filepath.Join(w.o.Dir, "sums", fmt.Sprintf("%016x", ino))
}

// sweepSums removes the sums of files that are gone, and what a crash left.
func (w *Worker) sweepSums() {
	dir := filepath.Join(w.o.Dir, "sums")
	list, _ := os.ReadDir(dir)
	for _, e := range list {
		ino, err := strconv.ParseUint(e.Name(), 16, 64)
		if err == nil {
			_, _, err = w.cache.RecipeOf(ino)
		} else {
			err = cache.ErrNotExist // beside its place
		}
		if errors.Is(err, cache.ErrNotExist) {
			os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// sums is a file of sums being written. It is of use, not of need: what fails is
// told by keep, and no one else.
type sums struct {
	w    *Worker
	path string
	f    *os.File
	out  *bufio.Writer
	hash *repo.BlobHash
	zero uint64 // blocks, not yet written
	run  []byte // sums behind them
	err  error
}

// newSums begins the sums of a file, beside those that are there.
func (w *Worker) newSums(ino cache.Ino) *sums {
	s := &sums{w: w, path: w.sumsPath(ino), hash: w.o.Keys.NewHash()}
	if s.err = os.MkdirAll(filepath.Dir(s.path), 0o700); s.err != nil {
		return s
	}
	if s.f, s.err = os.OpenFile(s.path+".new", os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600); s.err != nil {
		return s
	}
	s.out = bufio.NewWriterSize(io.MultiWriter(s.f, s.hash), 64<<10)
	_, s.err = s.f.Seek(int64(sumsHeader), io.SeekStart)
	return s
}

func (s *sums) add(sum uint64) {
	if sum == 0 {
		s.addZeros(1)
		return
	}
	s.run = binary.BigEndian.AppendUint64(s.run, sum)
	if len(s.run) == sumsOfRun*sumSize {
		s.flush()
	}
}

func (s *sums) addZeros(blocks int64) {
	if len(s.run) > 0 {
		s.flush()
	}
	s.zero += uint64(blocks)
}

func (s *sums) flush() {
	if s.err != nil || s.zero == 0 && len(s.run) == 0 {
		return
	}
	b := binary.AppendUvarint(nil, s.zero)
	b = binary.AppendUvarint(b, uint64(len(s.run)/sumSize))
	_, err := s.out.Write(append(b, s.run...))
	s.err = err
	s.zero, s.run = 0, s.run[:0]
}

// drop forgets the sums.
func (s *sums) drop() {
	if s.f != nil {
		s.f.Close()
		os.Remove(s.f.Name())
		s.f = nil
	}
}

// keep puts the sums in their place, as those of the blobs. They are on the disk
// before: sums that are half of another version would pass over changes.
func (s *sums) keep(blobs []cache.Blob) {
	defer s.drop()
	s.flush()
	if s.err == nil {
		s.err = s.out.Flush()
	}
	if s.err == nil {
		name, sum := s.w.nameOfBlobs(blobs), s.hash.Sum()
		_, s.err = s.f.WriteAt(append(append([]byte(sumsMagic), name[:]...), sum[:]...), 0)
	}
	if s.err == nil {
		s.err = s.f.Sync()
	}
	if s.err == nil {
		s.err = os.Rename(s.f.Name(), s.path)
	}
	if s.err != nil {
		s.w.log.Warn("the sums of a large file are not kept; its next change costs more", "err", s.err)
	}
}

// oldSums reads sums in order.
type oldSums struct {
	f         *os.File
	in        *bufio.Reader
	zero, run uint64 // what is left of them
}

// openSums opens the sums of a file if they are of these blobs; nil if not.
func (w *Worker) openSums(ino cache.Ino, blobs []cache.Blob) *oldSums {
	f, err := os.Open(w.sumsPath(ino))
	if err != nil {
		return nil
	}
	s := &oldSums{f: f, in: bufio.NewReaderSize(f, 64<<10)}
	header := make([]byte, sumsHeader)
	name, h := w.nameOfBlobs(blobs), w.o.Keys.NewHash()
	_, err = io.ReadFull(f, header)
	if err == nil && bytes.Equal(header[:len(sumsMagic)+16], append([]byte(sumsMagic), name[:]...)) {
		_, err = io.Copy(h, f)
	} else {
		err = errors.Join(err, cache.ErrChanged)
	}
	if sum := h.Sum(); err != nil || !bytes.Equal(header[len(sumsMagic)+16:], sum[:]) {
		f.Close()
		return nil
	}
	if _, err := f.Seek(int64(sumsHeader), io.SeekStart); err != nil {
		f.Close()
		return nil
	}
	return s
}

func (s *oldSums) close() { s.f.Close() }

// load reads the next stretch once the last is used up; false at the end.
func (s *oldSums) load() bool {
	for s.zero == 0 && s.run == 0 {
		var err error
		if s.zero, err = binary.ReadUvarint(s.in); err == nil {
			s.run, err = binary.ReadUvarint(s.in)
		}
		if err != nil {
			return false
		}
	}
	return true
}

// next gives the sum of the next block; false behind the end.
func (s *oldSums) next() (uint64, bool) {
	if !s.load() {
		return 0, false
	}
	if s.zero > 0 {
		s.zero--
		return 0, true
	}
	var b [sumSize]byte
	if _, err := io.ReadFull(s.in, b[:]); err != nil {
		return 0, false
	}
	s.run--
	return binary.BigEndian.Uint64(b[:]), true
}

// skip passes over blocks.
func (s *oldSums) skip(blocks int64) {
	for n := uint64(blocks); n > 0 && s.load(); {
		k := min(n, s.zero)
		if s.zero -= k; k == 0 {
			k = min(n, s.run, sumsOfRun)
			s.run -= k
			if _, err := s.in.Discard(int(k * sumSize)); err != nil {
				return
			}
		}
		n -= k
	}
}
