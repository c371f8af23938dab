package repo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"github.com/tunesafe/tunesafe/internal/room"
	"hash/crc32"
	"io"
	"os"
	"slices"
)

// acks is the journal of objects that the store acknowledged and no commit
// places yet. Each record is one write, so it survives the death of the
// program; it is not synced, as losing it to a power failure costs only
// uploading again. A record is its length and CRC-32C (little-endian, 4 bytes
// each), then the object's row and its header of 184 bytes.
type acks struct {
	path  string
	file  *os.File
	rows  map[string]ack
	order []string // names, oldest first
	blobs map[ID]Placement
}

type ack struct {
	row    ObjectRow
	header []byte
}

// acksRoom is how many bytes of disk are kept for records to come.
const acksRoom = 256 << 10

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// openAcks reads the journal up to a torn tail, which it cuts off.
func openAcks(path string) (*acks, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	a := &acks{path: path, file: f, rows: map[string]ack{}, blobs: map[ID]Placement{}}
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	good := a.replay(text)
	if err := f.Truncate(int64(good)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if _, err := f.Seek(int64(good), io.SeekStart); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	room.Ahead(f, int64(good), acksRoom, 0)
	return a, nil
}

// replay takes in whole records and returns where they end.
func (a *acks) replay(text []byte) (good int) {
	for {
		rest := text[good:]
		if len(rest) < 8 {
			return good
		}
		n := int(binary.LittleEndian.Uint32(rest))
		if n < pinnedSize || n > len(rest)-8 || crc32.Checksum(rest[8:8+n], castagnoli) != binary.LittleEndian.Uint32(rest[4:]) {
			return good
		}
		record := rest[8 : 8+n]
		row, err := decodeObject(record[:n-pinnedSize])
		if err != nil {
			return good
		}
		a.remember(row, slices.Clone(record[n-pinnedSize:]))
		good += 8 + n
	}
}

func (a *acks) remember(row ObjectRow, header []byte) {
	if _, ok := a.rows[row.Name]; !ok {
		a.order = append(a.order, row.Name)
	}
	a.rows[row.Name] = ack{row, header}
	eachPlacement(&row, func(id ID, p Placement) error {
		a.blobs[id] = p
		return nil
	})
}

func (k ack) record() []byte {
	record := append(encodeObject(&k.row), k.header...)
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(record)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(record, castagnoli))
	return append(b, record...)
}

// add writes a record and remembers it.
func (a *acks) add(k ack) error {
	end, err := a.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if _, err := a.file.Write(k.record()); err != nil {
		a.file.Truncate(end) // a torn record would end the journal here
		a.file.Seek(end, io.SeekStart)
		return err
	}
	a.remember(k.row, k.header)
	return nil
}

// drop forgets the objects in done and rewrites the journal without them.
func (a *acks) drop(done map[string]bool) error {
	keep := slices.DeleteFunc(slices.Clone(a.order), func(name string) bool { return done[name] })
	if len(keep) == len(a.order) {
		return nil
	}
	old := a.rows
	a.rows, a.order, a.blobs = map[string]ack{}, nil, map[ID]Placement{}
	var text []byte
	for _, name := range keep {
		a.remember(old[name].row, old[name].header)
		text = append(text, old[name].record()...)
	}
	return a.rewrite(text)
}

func (a *acks) rewrite(text []byte) error {
	if len(text) == 0 {
		_, err := a.file.Seek(0, io.SeekStart)
		err = errors.Join(err, a.file.Truncate(0))
		room.Ahead(a.file, 0, acksRoom, 0)
		return err
	}
	f, err := os.OpenFile(a.path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(text); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := os.Rename(a.path+".new", a.path); err != nil {
		return errors.Join(err, f.Close())
	}
	err = a.file.Close()
	a.file = f
	return err
}

func (a *acks) close() error { return a.file.Close() }

// Acked journals that the store acknowledged an object, with its first 184
// bytes. Its blobs are found from now on; the next commit must place it.
func (x *Index) Acked(row ObjectRow, header []byte) error {
	if len(header) != pinnedSize {
		return fmt.Errorf("%s: header of %d bytes", row.Name, len(header))
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.acks.add(ack{row, slices.Clone(header)}); err != nil {
		return fmt.Errorf("journal of acknowledged objects: %w", err)
	}
	return nil
}

// Unplaced gives the acknowledged objects that no commit places yet, oldest
// first. The next commit puts them.
func (x *Index) Unplaced() []ObjectRow {
	x.mu.RLock()
	defer x.mu.RUnlock()
	rows := make([]ObjectRow, 0, len(x.acks.order))
	for _, name := range x.acks.order {
		rows = append(rows, x.acks.rows[name].row)
	}
	return rows
}

// UnplacedBlob tells whether an acknowledged object that no commit places yet has the
// blob.
func (x *Index) UnplacedBlob(id ID) (Placement, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	p, ok := x.acks.blobs[id]
	return p, ok
}
