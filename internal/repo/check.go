package repo

import (
	"context"
	"errors"

	"github.com/tunesafe/tunesafe/internal/store"
)

// CheckOptions say how far [Check] goes.
type CheckOptions struct {
	Read     bool                                      // read and verify every object
	Progress func(objects, of int64, bytes, all int64) // called now and then; may be nil
}

// Finding is something that Check found.
type Finding struct {
	Object   string // its name in the bucket; empty if none
	Problem  string
	Harmless bool // nothing is lost by it
}

// Summary is what Check went through.
type Summary struct {
	Commits, Devices int
	Objects          int64
	Bytes            int64
	Files            int64
	Owed             int64 // parts that are not in the bucket yet
	OwedBytes        int64
	Unreferenced     int64
	Read             int64 // objects read whole
}

// Check compares the bucket with what the log says.
func Check(ctx context.Context, st store.Store, k *Keys, x *Index, opts CheckOptions) ([]Finding, Summary, error) {
	return nil, Summary{}, errors.ErrUnsupported
}
