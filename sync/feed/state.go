package feed

import (
	"errors"
	"time"

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
	Library   Kind = "library"   // a library file is cut off or cannot be read
)

// Held is what the brake holds of one kind.
type Held struct {
	Kind   Kind      `json:"kind"`
	Files  int64     `json:"files"`
	Of     int64     `json:"of"`     // files of the place
	Sample []string  `json:"sample"` // paths in the folder, some
	Since  time.Time `json:"since"`
	// Decision is what was decided about these files; "" while somebody has to.
	Decision Decision `json:"decision,omitempty"`
}

// Decision is what a person says of what is held.
type Decision string

// The decisions.
const (
	Approved Decision = "approved" // the next run applies it
	Rejected Decision = "rejected" // the place stays as it is, and nobody is asked again
)

// State tells what the brake holds in a place since its last run.
func State(c *cache.Cache, place string) ([]Held, error) { return nil, errors.ErrUnsupported }

// Decide answers the brake of a place and returns what the answer is about. What
// is approved is applied by the next run.
func Decide(c *cache.Cache, place string, d Decision) ([]Held, error) {
	return nil, errors.ErrUnsupported
}
