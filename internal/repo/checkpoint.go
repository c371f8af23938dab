package repo

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/tunesafe/tunesafe/internal/store"
)

// CheckpointBlobs is where the rows of a checkpoint lie: what its [Commit]
// carries beside its heads.
type CheckpointBlobs struct {
	Rows []BlobRef   // the blobs, in order
	Puts []ObjectRow // every object that holds one of them
}

// BuildCheckpoint writes the rows of the whole live state into packs of kind
// checkpoint. rows come sorted: objects by name, inodes by number, names by
// directory and name; they are iterated by another goroutine while known and put
// are called, which has ended when BuildCheckpoint returns. Blobs that known places are not written again: it gives
// the object of a blob from an earlier checkpoint. put uploads a pack and
// returns once the store acknowledged it.
//
// The commit takes over Rows and Puts, whatever other puts it has.
func BuildCheckpoint(ctx context.Context, k *Keys, rows iter.Seq2[Row, error],
	known func(ID) (ObjectRow, bool, error), put func(*Sealed, ObjectRow) error,
) (*CheckpointBlobs, error) {
	b := &checkpointBuilder{k: k, known: known, put: put, placed: map[ID]bool{}, objects: map[string]bool{}}
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.CloseWithError(writeRows(w, rows))
	}()
	defer func() {
		r.Close()
		<-done
	}()
	for blob, err := range Chunks(r, RowsMin, RowsNormal, RowsMax) {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = b.add(blob)
		}
		if err != nil {
			return nil, fmt.Errorf("checkpoint: %w", err)
		}
	}
	if err := b.finish(); err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	return &b.out, nil
}

// writeRows writes rows as JSON lines and holds them to their order.
func writeRows(w io.Writer, rows iter.Seq2[Row, error]) error {
	buffered := bufio.NewWriterSize(w, 1<<20)
	var text []byte
	var last Row
	for row, err := range rows {
		if err != nil {
			return err
		}
		if rowRank(row) == 0 || last != nil && compareRows(last, row) >= 0 {
			return errors.New("rows are not sorted, or of a kind that no checkpoint holds")
		}
		last = row
		text = appendRow(text[:0], row)
		if _, err := buffered.Write(text); err != nil {
			return err
		}
	}
	return buffered.Flush()
}

// compareRows is the order of rows in a checkpoint: objects by name, then those
// condemned, then inodes by number, then names by directory and name.
func compareRows(x, y Row) int {
	if order := cmp.Compare(rowRank(x), rowRank(y)); order != 0 {
		return order
	}
	switch x := x.(type) {
	case ObjectRow:
		return cmp.Compare(x.Name, y.(ObjectRow).Name)
	case CondemnRow:
		y := y.(CondemnRow)
		return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.Device, y.Device))
	case InodeRow:
		return cmp.Compare(x.Inode, y.(InodeRow).Inode)
	case NameRow:
		y := y.(NameRow)
		return cmp.Or(cmp.Compare(x.In, y.In), cmp.Compare(x.Name, y.Name))
	}
	return 0
}

// rowRank orders the types of row; 0 for those that no checkpoint holds.
func rowRank(r Row) int {
	switch r.(type) {
	case ObjectRow:
		return 1
	case CondemnRow:
		return 2
	case InodeRow:
		return 3
	case NameRow:
		return 4
	}
	return 0
}

// fullCheckpoint is how long a pack of rows, packed, may be before it is uploaded: as others are, so that
// it takes no more memory.
const fullCheckpoint = 8 << 20

type checkpointBuilder struct {
	k       *Keys
	known   func(ID) (ObjectRow, bool, error)
	put     func(*Sealed, ObjectRow) error
	pack    *PackBuilder
	placed  map[ID]bool     // blobs in objects of out.Puts, or in pack
	objects map[string]bool // names in out.Puts
	out     CheckpointBlobs
}

func (b *checkpointBuilder) add(blob []byte) error {
	id := b.k.BlobID(blob)
	b.out.Rows = append(b.out.Rows, BlobRef{id, int64(len(blob))})
	if b.placed[id] {
		return nil
	}
	b.placed[id] = true
	row, ok, err := b.known(id)
	if err != nil {
		return err
	}
	if ok {
		b.addObject(row)
		return nil
	}
	if b.pack != nil && b.pack.packed.size >= fullCheckpoint {
		if err := b.finish(); err != nil {
			return err
		}
	}
	if b.pack == nil {
		b.pack = NewPack(b.k, Checkpoint)
	}
	b.pack.Add(id, blob)
	return nil
}

func (b *checkpointBuilder) addObject(row ObjectRow) {
	if !b.objects[row.Name] {
		b.objects[row.Name] = true
		b.out.Puts = append(b.out.Puts, row)
	}
}

// finish uploads the pack being filled.
func (b *checkpointBuilder) finish() error {
	if b.pack == nil {
		return nil
	}
	s, row, err := b.pack.Finish()
	if err != nil {
		return err
	}
	b.pack = nil
	if err := b.put(s, row); err != nil {
		return err
	}
	b.addObject(row)
	return nil
}

// LatestCheckpoint finds the newest checkpoint commit that is there and
// verifies; nil if none. It follows hints, which anybody who can write the
// bucket can make, so it believes the commit alone.
func LatestCheckpoint(ctx context.Context, st store.Store, k *Keys, certs map[string]Certificate) (*Commit, error) {
	hints, err := Hints(ctx, st)
	if err != nil {
		return nil, err
	}
	for len(hints) > 0 {
		name := hints[len(hints)-1].Commit
		hints = hints[:len(hints)-1]
		c, err := getCommit(ctx, st, k, certs, name)
		switch {
		case err == nil && c.Kind == CheckpointCommit && c.Heads != nil:
			return c, nil
		case err == nil, errors.Is(err, ErrCorrupt), errors.Is(err, ErrMissing), errors.Is(err, ErrSignature), errors.Is(err, ErrRetired):
			continue // a hint that leads nowhere
		default:
			return nil, err
		}
	}
	return nil, nil
}

// ReadCheckpoint gives the rows of the checkpoint c to fn, in their order. The
// index of r must have taken in c ([Index.Apply]), which places the blobs.
func ReadCheckpoint(ctx context.Context, r *Reader, c *Commit, fn func(Row) error) error {
	blobs := &blobsReader{ctx: ctx, r: r, refs: c.Rows}
	lines := bufio.NewReaderSize(blobs, 1<<16)
	for n := 1; ; n++ {
		text, err := readLine(lines)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: row %d: %w", c.Name, n, err)
		}
		row, err := parseRow(text)
		if err != nil {
			return fmt.Errorf("%s: row %d: %w: %w", c.Name, n, ErrCorrupt, err)
		}
		if err := fn(row); err != nil {
			return err
		}
	}
}

// readLine reads a line without its end, at most MaxCommit long.
func readLine(r *bufio.Reader) ([]byte, error) {
	var long []byte
	for {
		text, err := r.ReadSlice('\n')
		if len(long)+len(text) > MaxCommit {
			return nil, fmt.Errorf("%w: more than %d bytes", ErrCorrupt, MaxCommit)
		}
		switch {
		case err == nil && long == nil:
			return bytes.TrimSuffix(text, []byte("\n")), nil
		case err == nil:
			return bytes.TrimSuffix(append(long, text...), []byte("\n")), nil
		case err == bufio.ErrBufferFull:
			long = append(long, text...)
		case err == io.EOF && len(long)+len(text) > 0:
			return nil, fmt.Errorf("%w: cut short", ErrCorrupt)
		default:
			return nil, err
		}
	}
}

func parseRow(text []byte) (Row, error) {
	l, err := parseLine(text)
	defer l.release()
	if err != nil {
		return nil, err
	}
	return l.row()
}

// blobsReader reads blobs as one stream, each verified before any of it is seen.
type blobsReader struct {
	ctx  context.Context
	r    *Reader
	refs []BlobRef
	rest []byte
}

func (b *blobsReader) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		if len(b.refs) == 0 {
			return 0, io.EOF
		}
		blob, err := b.r.Blob(b.ctx, b.refs[0].ID)
		if err != nil {
			return 0, err
		}
		b.rest, b.refs = blob, b.refs[1:]
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}
