package history

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tunesafe/tunesafe/internal/repo"
)

// Rev is a place in the order in which commits apply, FORMAT.md §5: time, then
// device, then number. Its bytes sort in that order. The zero Rev lies before
// all commits.
type Rev [24]byte

// RevOf is the place of a commit.
func RevOf(c *repo.Commit) (r Rev) {
	putTime(&r, c.Time.UnixMilli())
	device, _ := hex.DecodeString(c.Device) // its form was checked with the name of the commit
	copy(r[8:16], device)
	binary.BigEndian.PutUint64(r[16:], c.Seq)
	return r
}

// After is the last place of the millisecond of t: what lies at or before it is not
// after t.
func After(t time.Time) (r Rev) {
	for i := range r {
		r[i] = 0xff
	}
	putTime(&r, t.UnixMilli())
	return r
}

// Newest is behind every commit.
var Newest = func() (r Rev) {
	for i := range r {
		r[i] = 0xff
	}
	return r
}()

// putTime makes times before 1970 sort first.
func putTime(r *Rev, ms int64) { binary.BigEndian.PutUint64(r[:8], uint64(ms)^1<<63) }

// Time is the time of the commit, to the millisecond.
func (r Rev) Time() time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(r[:8]) ^ 1<<63)).UTC()
}

// Device is the id of the device that made the commit.
func (r Rev) Device() string { return hex.EncodeToString(r[8:16]) }

// Seq is the commit's number in its device's chain.
func (r Rev) Seq() uint64 { return binary.BigEndian.Uint64(r[16:]) }

// IsZero reports whether r is no commit's.
func (r Rev) IsZero() bool { return r == Rev{} }

// Before is the place just before r.
func (r Rev) Before() Rev {
	for i := len(r) - 1; i >= 0; i-- {
		r[i]--
		if r[i] != 0xff {
			break
		}
	}
	return r
}

// Compare orders revs as their commits apply.
func (r Rev) Compare(s Rev) int { return bytes.Compare(r[:], s[:]) }

// String is for logs.
func (r Rev) String() string {
	return fmt.Sprintf("%s %s:%d", r.Time().Format("2006-01-02T15:04:05.000Z"), r.Device(), r.Seq())
}

func sortedRevs(set map[Rev]bool) []Rev {
	return slices.SortedFunc(maps.Keys(set), Rev.Compare)
}
