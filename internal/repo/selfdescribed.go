package repo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"github.com/tunesafe/tunesafe/internal/store"
)

// GetObject reads an object whole, as it lies in the bucket.
func GetObject(ctx context.Context, st store.Store, name string) ([]byte, error) {
	return getAll(ctx, st, name, maxSealed)
}

// EachBlob gives the blobs of an object to fn without its row in the log, as far as the
// object tells them itself (FORMAT.md §4): a pack all of them, with their kind. An audio object says
// nothing of where its blobs end; of these sizes are tried, one blob after the other, and
// fn says whether it was one that is looked for.
func (k *Keys) EachBlob(name string, body []byte, sizes []int64, fn func(kind string, p []byte) (bool, error)) error {
	plain, err := k.OpenObject(name, body)
	if err != nil {
		return err
	}
	if bytes.HasPrefix([]byte(name), []byte("audio/")) {
		return eachSound(plain, sizes, fn)
	}
	row, err := packIndex(name, body, plain)
	if err != nil {
		return err
	}
	for _, f := range row.Frames {
		unpacked, err := unpackFrame(plain[:f.Packed], f.Size())
		if err != nil {
			return fmt.Errorf("%s: %w: %w", name, ErrCorrupt, err)
		}
		plain = plain[f.Packed:]
		for _, b := range f.Blobs {
			if k.BlobID(unpacked[:b.Size]) != b.ID {
				return fmt.Errorf("%s: %w: blob %s is not what lies there", name, ErrCorrupt, b.ID)
			}
			if _, err := fn(row.KindOf(f), unpacked[:b.Size]); err != nil {
				return err
			}
			unpacked = unpacked[b.Size:]
		}
	}
	return nil
}

func eachSound(plain []byte, sizes []int64, fn func(kind string, p []byte) (bool, error)) error {
	for {
		found := false
		for _, n := range sizes {
			if n <= 0 || n > int64(len(plain)) {
				continue
			}
			ok, err := fn(Audio, plain[:n])
			if err != nil {
				return err
			}
			if ok {
				plain, found = plain[n:], true
				break
			}
		}
		if !found {
			return nil
		}
	}
}

// packIndex reads the last frame of a pack, its own index, as the row that a commit had.
func packIndex(name string, body, plain []byte) (row ObjectRow, err error) {
	at, end := 0, 0
	for end < len(plain) {
		n, err := frameLength(plain[end:])
		if err != nil {
			return row, fmt.Errorf("%s: %w: %w", name, ErrCorrupt, err)
		}
		at, end = end, end+n
	}
	text, err := uncommit().DecodeAll(plain[at:], nil)
	if err != nil {
		return row, fmt.Errorf("%s: %w: %w", name, ErrCorrupt, err)
	}
	head := sha256.Sum256(body[:pinnedSize])
	line := fmt.Appendf(nil, `{"put":%q,"size":%d,"head":%q,`, name, len(body), b64.EncodeToString(head[:]))
	line = append(line, bytes.TrimPrefix(text, []byte("{"))...)
	is, err := parseRow(line)
	if err != nil {
		return row, fmt.Errorf("%s: %w: %w", name, ErrCorrupt, err)
	}
	row, ok := is.(ObjectRow)
	sum := int64(0)
	for _, f := range row.Frames {
		sum += f.Packed
	}
	if !ok || sum != int64(at) {
		return row, fmt.Errorf("%s: %w: its index is of another pack", name, ErrCorrupt)
	}
	return row, nil
}

// frameLength is how long the zstd frame at the beginning of p is (RFC 8878 §3.1.1).
func frameLength(p []byte) (int, error) {
	var h zstd.Header
	if err := h.Decode(p); err != nil {
		return 0, err
	}
	at := h.HeaderSize
	for last := false; !last; {
		if at+3 > len(p) {
			return 0, errShortFrame
		}
		block := int(p[at]) | int(p[at+1])<<8 | int(p[at+2])<<16
		last = block&1 == 1
		n := block >> 3
		if block>>1&3 == 1 { // one byte, again and again
			n = 1
		}
		at += 3 + n
	}
	if h.HasCheckSum {
		at += 4
	}
	if at > len(p) {
		return 0, errShortFrame
	}
	return at, nil
}
