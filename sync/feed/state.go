package feed

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/tunesafe/tunesafe/cache"
)

// Kind says what looks like a disaster.
type Kind string

// What the brake holds.
const (
	Gone      Kind = "gone"      // many files are not in the folder any more
	Emptied   Kind = "emptied"   // many tracks lost title, artist and album
	Rotten    Kind = "rotten"    // the sound of many tracks changed and their tags did not
	Encrypted Kind = "encrypted" // many tracks are no tracks any more
	Rot       Kind = "rot"       // a file has other sound, or other bytes, and its tags, size and times are as they were
	Library   Kind = "library"   // a library file is cut off or cannot be read
)

// Held is what the brake holds of one kind.
type Held struct {
	Kind   Kind
	Files  int64
	Of     int64    // files of the place
	Sample []string // paths in the folder, some
	Since  time.Time
	// Decision is what was decided about these files; "" while somebody has to.
	Decision Decision
}

// Decision is what a person says of what is held.
type Decision string

// The decisions.
const (
	Approved Decision = "approved" // the next run applies it
	Rejected Decision = "rejected" // the place stays as it is, and nobody is asked again
)

// hold is how what is held is remembered.
type hold struct {
	Inos     inoSet    `cbor:"1,keyasint"`
	Of       int64     `cbor:"2,keyasint"`
	Sample   []string  `cbor:"3,keyasint,omitempty"`
	Since    time.Time `cbor:"4,keyasint"`
	Decision Decision  `cbor:"5,keyasint,omitempty"`
}

func (h *hold) set() map[cache.Ino]bool {
	m := make(map[cache.Ino]bool, len(h.Inos))
	for _, ino := range h.Inos {
		m[ino] = true
	}
	return m
}

// inoSet is kept as the differences of its sorted members: two or three bytes a
// file.
type inoSet []cache.Ino

// MarshalBinary implements encoding.BinaryMarshaler, which cbor goes by.
func (s inoSet) MarshalBinary() ([]byte, error) {
	var b []byte
	last := cache.Ino(0)
	for _, ino := range s {
		b = binary.AppendUvarint(b, ino-last)
		last = ino
	}
	return b, nil
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (s *inoSet) UnmarshalBinary(b []byte) error {
	last := cache.Ino(0)
	for len(b) > 0 {
		d, n := binary.Uvarint(b)
		if n <= 0 {
			return fmt.Errorf("feed: set of inodes is cut off")
		}
		last += d
		*s, b = append(*s, last), b[n:]
	}
	return nil
}

// record is what is remembered of a place between runs.
type record struct {
	Held        map[Kind]*hold     `cbor:"1,keyasint,omitempty"`
	Whole       map[cache.Ino]bool `cbor:"2,keyasint,omitempty"` // see libraries
	CrossDevice bool               `cbor:"3,keyasint,omitempty"`
	Last        time.Time          `cbor:"4,keyasint"`           // a run got to its end
	Suspects    inoSet             `cbor:"5,keyasint,omitempty"` // see ReadAgain
}

var (
	encMode, _ = cbor.EncOptions{Time: cbor.TimeRFC3339Nano}.EncMode()
	decMode, _ = cbor.DecOptions{UTF8: cbor.UTF8DecodeInvalid}.DecMode()
)

func recordKey(dir cache.Ino) string { return fmt.Sprintf("feed/%x", dir) }

func loadRecord(c *cache.Cache, dir cache.Ino) (*record, error) {
	r := &record{Held: map[Kind]*hold{}}
	b, err := c.Meta(recordKey(dir))
	if err != nil || len(b) == 0 {
		return r, err
	}
	if err := decMode.Unmarshal(b, r); err != nil {
		return r, fmt.Errorf("local database: %s: %w", recordKey(dir), err)
	}
	return r, nil
}

func (r *record) store(c *cache.Cache, dir cache.Ino) error {
	b, err := encMode.Marshal(r)
	if err != nil {
		return err
	}
	return c.SetMeta(recordKey(dir), b)
}

// held lists what is held for people, the most urgent first.
func (r *record) held() (list []Held) {
	for _, kind := range []Kind{Library, Encrypted, Rot, Rotten, Emptied, Gone} {
		if h := r.Held[kind]; h != nil {
			list = append(list, Held{Kind: kind, Files: int64(len(h.Inos)), Of: h.Of, Sample: h.Sample, Since: h.Since, Decision: h.Decision})
		}
	}
	return list
}

// State tells what the brake holds in a place since its last run, and when a run
// last got to its end.
func State(c *cache.Cache, p cache.Place) (held []Held, last time.Time, err error) {
	r, err := loadRecord(c, p.Dir)
	return r.held(), r.Last, err
}

// Decide answers the brake of a place and returns what the answer is about. What
// is approved is applied by the next run.
func Decide(c *cache.Cache, p cache.Place, d Decision) ([]Held, error) {
	r, err := loadRecord(c, p.Dir)
	if err != nil || len(r.Held) == 0 {
		return nil, err
	}
	for _, h := range r.Held {
		h.Decision = d
	}
	return r.held(), r.store(c, p.Dir)
}

// Find returns a place of this machine by its name; [ErrNoPlace] if there is none.
func Find(c *cache.Cache, name string) (cache.Place, error) {
	all, err := c.Places()
	i := slices.IndexFunc(all, func(p cache.Place) bool { return p.Name == name })
	if err != nil || i < 0 {
		if err == nil {
			err = fmt.Errorf("%s: %w", name, ErrNoPlace)
		}
		return cache.Place{}, err
	}
	return all[i], nil
}
