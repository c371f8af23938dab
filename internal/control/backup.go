package control

import (
	"context"
	"time"
)

// Backupper is the part of [Owner] that feeds places on the drive from folders.
type Backupper interface {
	// Backup compares folders with their places, and returns when what differs is
	// safe, or taken in if the request says so. An answer that breaks off loses
	// nothing: what was taken in goes on being uploaded.
	Backup(ctx context.Context, r BackupRequest, progress func(BackupProgress)) (BackupReport, error)
	// Detach makes an ordinary folder of a place.
	Detach(ctx context.Context, r DetachRequest) error
	// Decide answers the brake.
	Decide(ctx context.Context, r DecideRequest) (DecideReport, error)
}

// BackupRequest asks for a backup of folders.
type BackupRequest struct {
	Dirs [][]byte `json:"dirs"` // absolute; none stands for all places
	As   []byte   `json:"as"`   // the place's name; empty is the folder's
	// Exclude are patterns of what to leave out; nil leaves them as they were.
	Exclude *[]string `json:"exclude"`
	// CrossDevice goes on below mount points; nil leaves it as it was.
	CrossDevice *bool `json:"cross_device"`
	TakeOver    bool  `json:"take_over"` // feed a folder of the drive that is there already
	DryRun      bool  `json:"dry_run"`
	NoWait      bool  `json:"no_wait"`
	// ReadAgain has one such part of the bytes of each folder read again, those that
	// were read the longest ago, to see whether the disk still has what the backup has.
	ReadAgain int `json:"read_again,omitempty"`
}

// BackupProgress tells how a backup goes.
type BackupProgress struct {
	Place   []byte  `json:"place"`
	Phase   string  `json:"phase"`
	Scanned int64   `json:"scanned"`
	New     int64   `json:"new"`
	Changed int64   `json:"changed"`
	Done    int64   `json:"done"` // of what Phase counts
	Of      int64   `json:"of"`
	Upload  *Status `json:"upload,omitempty"` // once everything was scanned
}

// BackupReport is the outcome, in the order of the request.
type BackupReport struct {
	Places   []PlaceReport `json:"places"`
	Uploaded int64         `json:"uploaded"` // bytes of request bodies meanwhile
	Waiting  bool          `json:"waiting"`  // not everything is safe yet
	SafeWord string        `json:"safe_word"`
}

// PlaceReport is the outcome for one place. Counts are of files.
type PlaceReport struct {
	Name  []byte `json:"name"`
	Root  []byte `json:"root"`
	Fault *Fault `json:"fault,omitempty"` // why it could not be backed up at all

	Files      int64 `json:"files"`
	Bytes      int64 `json:"bytes"` // of the new and the changed
	New        int64 `json:"new"`
	Changed    int64 `json:"changed"`
	Attributes int64 `json:"attributes"` // other times or attributes, the same bytes
	Moved      int64 `json:"moved"`
	Gone       int64 `json:"gone"`
	Unchanged  int64 `json:"unchanged"`
	Excluded   int64 `json:"excluded"`

	Skipped  []PathNote `json:"skipped,omitempty"`
	Problems []PathNote `json:"problems,omitempty"`
	Failed   int64      `json:"failed"` // of which Problems has the first
	Busy     [][]byte   `json:"busy,omitempty"`
	Held     []Held     `json:"held,omitempty"`

	ReadAgain *ReadAgain `json:"read_again,omitempty"`

	Libraries []PictureLibrary `json:"libraries,omitempty"` // of iTunes and Music, that lie in it
}

// ReadAgain is what came of reading files of a folder again.
type ReadAgain struct {
	Files    int64 `json:"files"`    // as they were
	Bytes    int64 `json:"bytes"`    // of them
	Suspects int64 `json:"suspects"` // other bytes under the same size and times, or unreadable
}

// After adds what an earlier look at the same place in the same backup did.
func (p PlaceReport) After(was PlaceReport) PlaceReport {
	p.Unchanged = was.Unchanged
	p.Bytes += was.Bytes
	p.New += was.New
	p.Changed += was.Changed
	p.Attributes += was.Attributes
	p.Moved += was.Moved
	p.Gone += was.Gone
	p.ReadAgain = was.ReadAgain
	return p
}

// PathNote says something of a path in the folder.
type PathNote struct {
	Path []byte `json:"path"`
	Text string `json:"text"`
}

// Held is what the brake holds of one kind in a place.
type Held struct {
	Place    []byte    `json:"place"`
	Root     []byte    `json:"root"`
	Kind     string    `json:"kind"`
	Files    int64     `json:"files"`
	Of       int64     `json:"of"`
	Sample   [][]byte  `json:"sample"`
	Since    time.Time `json:"since"`
	Decision string    `json:"decision,omitempty"` // "", "approved" or "rejected"
	Text     string    `json:"text"`               // for people
}

// DetachRequest asks to make an ordinary folder of a place.
type DetachRequest struct {
	Name []byte `json:"name"`
}

// DecideRequest answers the brake.
type DecideRequest struct {
	Name    []byte `json:"name"` // of a place; empty is all
	Approve bool   `json:"approve"`
}

// DecideReport says what was decided on.
type DecideReport struct {
	Held []Held `json:"held"`
}

// PlaceStatus is a place as status tells of it.
type PlaceStatus struct {
	Name    []byte     `json:"name"`
	Root    []byte     `json:"root"`
	LastRun *time.Time `json:"last_run,omitempty"` // a backup got to its end
	Held    []Held     `json:"held,omitempty"`
}
