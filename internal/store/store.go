// Package store is the bucket as Tunesafe sees it: a flat set of named,
// immutable objects, each written whole and read in ranges.
//
// Every layer above speaks only [Store]. The implementations are
// [github.com/tunesafe/tunesafe/internal/store/s3] for anything that speaks S3
// and [github.com/tunesafe/tunesafe/internal/store/mem] for tests; both pass
// [github.com/tunesafe/tunesafe/internal/store/storetest]. Cross-cutting
// behaviour (counting) is a decorator over the same interface; how fast bytes
// go is for the connections ([github.com/tunesafe/tunesafe/internal/line]). What only
// some buckets can is an interface of its own ([Versioned]), found by [AbleTo].
package store

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"time"
)

// Info describes one object.
type Info struct {
	Key  string    // the whole key below the store's prefix, slash-separated
	Size int64     // bytes
	Time time.Time // last change by the store's clock; zero if it does not tell

	// MD5 is what a listing says of the bytes; nil if it does not tell. No more than Time
	// is it believed to show what the bytes are.
	MD5 []byte
}

// Store holds objects under slash-separated keys.
//
// All methods are safe to call at once from many goroutines, honour the
// context, and retry passing faults themselves (with backoff, inside the
// context's deadline), so that an error returned is worth acting on. Keys are
// plain: lower-case letters, digits, '.', '-', '_' and '/', never empty
// elements, at most 200 bytes.
//
// Errors are wrapped around the sentinels of this package: [ErrNotExist],
// [ErrNoBucket], [ErrDenied], [ErrUnavailable], [ErrClock], [ErrDamaged], [ErrFull],
// [ErrArchived], [ErrClass], [ErrLocked], [ErrKept].
// ErrNotExist is returned only on the store's clear word that the object is
// not there; a failed look-up is never reported as ErrNotExist.
type Store interface {
	// Put writes the whole object atomically: a reader sees all of it or none.
	// When Put returns nil the object is durable, and any Get, Stat or List
	// that begins afterwards sees it. Writing the same bytes again is
	// harmless. After an error the object may or may not be there. body is
	// not kept and must not change until Put returns. The bytes are
	// checksummed on the way. What a key says of the bytes ([SumOf]) a
	// store may take for its checksum, and other bytes are then refused.
	Put(ctx context.Context, key string, body []byte) error

	// Get reads length bytes from offset; a length below 0 means to the end.
	// A range that begins at or past the end is [ErrRange]; one that runs past
	// it is cut short. The caller closes the reader. Bytes stream: the first
	// arrive before the last were sent. A read error after Get returned is
	// not retried, as the caller has consumed part of the range; a body that
	// ends early is io.ErrUnexpectedEOF, never a clean EOF.
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error)

	// List yields the objects whose key starts with prefix, in bytewise order
	// of key, beginning behind the key after ("" for all). It pages by itself
	// and ends at the first error.
	List(ctx context.Context, prefix, after string) iter.Seq2[Info, error]

	// Stat describes one object without reading it.
	Stat(ctx context.Context, key string) (Info, error)

	// Delete removes the object durably, and for good: see [Versioned]. An absent
	// object is no error.
	Delete(ctx context.Context, key string) error
}

var (
	// ErrNotExist: the store says that this object is not there.
	ErrNotExist = fs.ErrNotExist
	// ErrNoBucket: the bucket itself does not exist.
	ErrNoBucket = errors.New("no such bucket")
	// ErrDenied: the credentials are wrong, expired, or lack the right.
	ErrDenied = errors.New("access denied")
	// ErrUnavailable: the store could not be reached or answered with passing
	// faults until the retries ended. Nothing is known of the object.
	ErrUnavailable = errors.New("store unavailable")
	// ErrClock: the store refused the request's time; this machine's clock is off.
	ErrClock = errors.New("clock differs from the store's")
	// ErrRange: the range begins at or past the object's end.
	ErrRange = errors.New("range beyond the object")
	// ErrFull: the store has no room or a quota is reached.
	ErrFull = errors.New("store is full")
	// ErrArchived: the object is there and cannot be read before it was restored
	// from an archive. No retry changes that.
	ErrArchived = errors.New("the object is archived")
	// ErrDamaged: the bytes are not those that the name tells of, or that the store
	// was given, by the checksum it keeps.
	ErrDamaged = errors.New("the object is damaged")
	// ErrClass: the store has no such storage class.
	ErrClass = errors.New("the store refuses this storage class")
)
