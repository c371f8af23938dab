// Package feed compares a folder of this machine with its place on the drive and
// brings the place up to date: the backup of a folder. It writes nothing to the
// folder and uploads nothing: what is new waits in the cache afterwards, and the
// worker carries it to the bucket, reading it from the folder.
//
// # A run
//
//  1. The folder and the place are walked together, a directory at a time. What
//     is equal, by one lstat, is forgotten at once: only differences are kept. Where
//     nothing is gone, new directories are gone into when they are applied.
//  2. Names that are gone are matched with names that are new by device and inode
//     number, so that a rename, also of a whole directory, stays one.
//  3. Files whose content may differ are surveyed: their tags are compared with
//     the recipe of the place, and where those are equal the rest too. A file that
//     was only touched is found out here.
//  4. The brake looks at all of it (brake.go). What it holds is left as it is in
//     the place; the rest is applied.
//
// # What it never does
//
// It takes nothing for gone that it could not look at: a directory that cannot be
// read, a name that lstat fails on, what a mount point hides. It does not run on
// a folder that is missing. It applies nothing if the folder is not the same one
// at the end of the walk as at its beginning.
package feed

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/repo"
)

// Options say what a run works with; the first three are needed.
type Options struct {
	Cache *cache.Cache
	Keys  *repo.Keys // names the blobs that files are compared by
	Place string     // the place's name at the top of the drive; see Attach

	Avoid  []string      // absolute paths that must not be touched: the home, mounted drives
	Limits Limits        // of the brake; the zero value is [DefaultLimits]
	Settle time.Duration // a file changed so lately is looked at again; default 2 s
	DryRun bool          // find out, and change nothing
	Plan   *cache.Place  // of a dry run: what Plan gave, in place of Place

	// Progress is told how the run goes, a few times a second at most.
	Progress func(Progress)
	Log      *slog.Logger

	// After is called once all was applied, before the run ends: for what is made
	// from the folder and lies beside its files. Entries of the place that have no
	// origin are generated: no run takes them for gone.
	After func(ctx context.Context) error
}

// Progress counts what was done so far.
type Progress struct {
	Phase    string // one of the Phase constants
	Scanned  int64  // names looked at
	New      int64  // files
	Changed  int64  // files whose content may differ
	Surveyed int64  // of them
	Applied  int64  // differences brought to the place
	ToApply  int64
}

// What a run is doing.
const (
	PhaseScan   = "scanning"
	PhaseSurvey = "comparing"
	PhaseApply  = "taking in"
	PhaseSettle = "waiting for files that change"
)

// Report is the outcome of a run. Counts are of names that are no directories,
// but for Dirs.
type Report struct {
	Place string
	Root  string

	Files, Dirs int64 // of the folder, as far as it is backed up
	New         int64
	NewBytes    int64 // of the new and the changed
	Changed     int64 // other content
	Attributes  int64 // other attributes or times, the same bytes
	Moved       int64 // names, or whole directories, found under another one
	Gone        int64
	Unchanged   int64
	Generated   int64 // entries of the place that no file of the folder corresponds to

	Excluded int64     // names left out by patterns
	Skipped  []Skipped // what else was left out; at most keptProblems
	Problems []Problem // what could not be read and stays in the place as it was
	Failed   int64     // how many problems there were; Problems has the first
	Busy     []string  // changed while they were read, each time
	Held     []Held    // what the brake holds
}

// Skipped is a name that is not backed up, and why.
type Skipped struct {
	Path string
	Why  string
}

// Problem is a name that could not be read.
type Problem struct {
	Path string
	Err  error
}

// Whole tells whether everything of the folder that should be is in the place.
func (r *Report) Whole() bool { return r.Failed == 0 && len(r.Busy) == 0 && len(r.Held) == 0 }

// keptProblems is how many of a kind a report names.
const keptProblems = 100

// The mistakes of this package. [folder.ErrNoFolder] is one more.
var (
	ErrNoPlace   = errors.New("no such place on the drive")
	ErrMoved     = errors.New("is another folder than when the backup began")
	ErrNameTaken = errors.New("the drive has something else of this name")
	ErrOtherName = errors.New("is backed up under another name")
	ErrNoName    = errors.New("gives the place no name")
)

// Limits are how much of a kind a run applies unasked.
type Limits struct {
	GoneFiles  int     // more than so many files gone
	GoneShare  float64 // and more than this share of the place's
	Emptied    int     // so many files that lost their tags
	Rotten     int     // so many files with other sound under the same tags
	Unreadable int     // so many tracks that no longer are any, as after encryption
}

// DefaultLimits are what the brake allows unless told otherwise.
var DefaultLimits = Limits{GoneFiles: 50, GoneShare: 0.1, Emptied: 100, Rotten: 20, Unreadable: 20}
