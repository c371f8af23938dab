package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"
)

// Version is one state of a key in a bucket that keeps those that were overwritten
// or deleted.
type Version struct {
	Info
	ID     string
	Latest bool // it is what Get gives; of one that is Gone, why Get gives nothing
	Gone   bool // a delete marker: it has no bytes
}

// VersionStat is what a store tells of a version without reading it.
type VersionStat struct {
	Size        int64
	Sum         *[sha256.Size]byte // of its bytes, as the store took it when they came; nil: it tells none
	LockedUntil time.Time          // it cannot be removed before; zero: it can
}

// Versioned is an ability of a [Store]: to reach what was overwritten or deleted. The
// bucket may keep nothing of that: then each object is its only version.
//
// [Store.Delete] removes all versions of an object, or tells by [ErrLocked] or
// [ErrKept] that it did not.
type Versioned interface {
	// Versions yields, for each key that starts with prefix, in bytewise order, its
	// versions, the newest first. It pages by itself and ends at the first error.
	Versions(ctx context.Context, prefix string) iter.Seq2[[]Version, error]

	// GetVersion reads all of a version that is not Gone.
	GetVersion(ctx context.Context, key, id string) (io.ReadCloser, error)

	// StatVersion describes a version that is not Gone.
	StatVersion(ctx context.Context, key, id string) (VersionStat, error)

	// RemoveVersion removes one for good. Where it was the newest, the one before is
	// what Get gives from then on: so is undone what is Gone. An absent one is no error.
	RemoveVersion(ctx context.Context, key, id string) error

	// Hide deletes an object so that nothing but its older versions is left of it.
	Hide(ctx context.Context, key string) error

	// LockVersion has the bucket refuse to remove a version before until, in the way
	// the store was opened with. It never shortens: a date that is later stays.
	LockVersion(ctx context.Context, key, id string, until time.Time) error
}

// ErrLocked: the object, or a version of it, may not be removed yet. It is left as it
// is. A [LockedError] says until when.
var ErrLocked = errors.New("the object is locked")

// ErrKept: the object was deleted, and the bucket keeps a version of it that the
// credentials may not remove.
var ErrKept = errors.New("the bucket keeps an older version")

// ErrNoLock: the bucket does not lock objects.
var ErrNoLock = errors.New("the bucket does not lock objects")

// LockedError is [ErrLocked] with a date.
type LockedError struct {
	Until time.Time // zero: until somebody takes the lock away
}

// Error implements error.
func (e *LockedError) Error() string {
	if e.Until.IsZero() {
		return "the object is locked"
	}
	return fmt.Sprintf("the object is locked until %s", e.Until.UTC().Format(time.RFC3339))
}

// Is makes it an [ErrLocked].
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// AbleTo finds an ability, such as [Versioned], of a store or of what it decorates.
func AbleTo[T any](s Store) (able T, ok bool) {
	for {
		if able, ok = s.(T); ok {
			return able, true
		}
		over, is := s.(interface{ Unwrap() Store })
		if !is {
			return able, false
		}
		s = over.Unwrap()
	}
}
