// Package control lets the other commands talk to the process that owns a home:
// HTTP with JSON over a Unix socket in the home.
//
// # What is said
//
// A request is POST /v1/<name> with one JSON value as body. The answer is JSON
// values, one a line, as they come: any number of
//
//	{"progress":…}
//
// and then exactly one of
//
//	{"result":…}
//	{"fault":{"text":"…","hint":"…","exit":1}}
//
// An answer that ends without either means that the owner ended meanwhile. A
// client that goes away cancels what it asked for. Names on the drive and in
// the file system are bytes, not text, and travel as such.
//
// # Who may
//
// The socket has mode 0600 in a folder of mode 0700: whoever may read the home
// may command its owner, which is no more than they could do themselves.
//
// The package knows nothing of what an owner does: that is [Owner], which the
// command line implements over the worker.
package control

import (
	"context"
	"errors"
	"time"
)

// Owner does what clients ask. Its methods are called at once from many
// goroutines. Progress functions are called by one goroutine at a time, and not
// after the method returned.
type Owner interface {
	// Status describes the moment. It never waits for the network.
	Status(ctx context.Context) (Status, error)
	// Wait returns nil when everything is safe.
	Wait(ctx context.Context, r WaitRequest, progress func(Status)) (Status, error)
	// Unmount ends a mount, and soon after the answer the process if it was
	// the last.
	Unmount(ctx context.Context, r UnmountRequest, progress func(Status)) (Status, error)
	// Restore copies from the drive's newest view into a folder.
	Restore(ctx context.Context, r RestoreRequest, progress func(RestoreProgress)) (RestoreProgress, error)
	// List gives the entries of a folder, or one file, of the drive.
	List(ctx context.Context, r ListRequest, entry func(Entry)) error
	// Check examines the repository in the bucket.
	Check(ctx context.Context, r CheckRequest, progress func(CheckProgress)) (CheckReport, error)
	// Log gives the commits of all devices, oldest first.
	Log(ctx context.Context, r LogRequest, commit func(LogCommit)) (LogReport, error)
	// ExportLog writes the log out for others to verify.
	ExportLog(ctx context.Context, r ExportRequest, progress func(LogReport)) (ExportReport, error)
	// Picture tells what a library is made of. It never waits for the network.
	Picture(ctx context.Context, r PictureRequest) (Picture, error)

	Backupper
	Working
	Remembering
	Healthy
	Pruner
	Repairing
	Showing
	Drawing
	Pinning
}

// Fault is an error made ready for people: what happened to what, what to do
// about it, and the exit code of the command.
type Fault struct {
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"`
	Exit int    `json:"exit"`

	Final bool `json:"final,omitempty"` // what it stopped never goes on
}

// Error implements error.
func (f *Fault) Error() string { return f.Text }

var (
	// ErrNoOwner: no process serves this home now.
	ErrNoOwner = errors.New("no process serves this home")
	// ErrEnded: the owner ended before it had answered.
	ErrEnded = errors.New("the process that serves this home ended before it answered")
)

// Status is what `tunesafe status --json` prints.
type Status struct {
	PID        int     `json:"pid"` // of the owner; 0 if there is none
	Version    string  `json:"version"`
	Home       string  `json:"home"`
	Repository string  `json:"repository"`
	Device     string  `json:"device"`
	Store      string  `json:"store"`
	SafeWord   string  `json:"safe_word"` // "safe", or "copied on this computer"
	Mounts     []Mount `json:"mounts"`

	SafeFiles       int64 `json:"safe_files"`
	SafeBytes       int64 `json:"safe_bytes"`
	WaitingFiles    int64 `json:"waiting_files"`
	WaitingBytes    int64 `json:"waiting_bytes"`
	WaitingRows     int64 `json:"waiting_rows"`     // names and attributes that no commit holds yet
	OpenFiles       int64 `json:"open_files"`       // of the waiting, open for writing now
	UploadedBytes   int64 `json:"uploaded_bytes"`   // request bodies since init
	UploadedObjects int64 `json:"uploaded_objects"` // requests with a body since init

	DiskFull  bool   `json:"disk_full"`            // the disk of the home has no room: nothing new is accepted
	DiskError *Fault `json:"disk_error,omitempty"` // it fails or is read-only: no change is accepted

	LabourSince *time.Time `json:"labour_safe_since,omitempty"` // names, tags, art, libraries and playlists; none: some wait
	AudioBytes  int64      `json:"audio_bytes"`                 // what goes behind them, as far as it is known
	AudioSafe   int64      `json:"audio_safe_bytes"`            // of them, in the store

	Rate        float64       `json:"rate"`          // bytes a second while something is sent, over hours
	LeftSeconds float64       `json:"left_seconds"`  // of uploading, estimated; 0 if unknown
	HoursPerDay float64       `json:"hours_per_day"` // in which uploads go on
	DaysLeft    float64       `json:"days_left"`     // estimated, with the hours in which nothing is sent; 0 if unknown
	Phase       string        `json:"phase"`
	Errors      []StatusError `json:"errors"`
	Trouble     *Fault        `json:"trouble,omitempty"` // what keeps uploads from going on, until it is over
	Refused     bool          `json:"refused,omitempty"` // that will not pass by itself
	LastCommit  *time.Time    `json:"last_commit,omitempty"`
	Places      []PlaceStatus `json:"places,omitempty"`
	Agent       *AgentStatus  `json:"agent,omitempty"`
	Needs       []Fault       `json:"needs_person"`         // what will not pass by itself
	Page        string        `json:"page,omitempty"`       // the address of the page in the browser, while it is served
	PageFault   *Fault        `json:"page_fault,omitempty"` // why it is not, though it should be
	Unsaved     bool          `json:"recovery_key_unsaved"` // nobody said yet that a copy is kept elsewhere
	Kept        *Kept         `json:"kept,omitempty"`       // none: nothing is kept here for good
	Lock        *Lock         `json:"lock,omitempty"`       // none: the store locks nothing
	Health      *Health       `json:"health,omitempty"`     // none: nothing was read yet to see whether it is whole
}

// Safe tells whether nothing waits.
func (s Status) Safe() bool { return s.WaitingFiles == 0 && s.WaitingRows == 0 }

// Mount is one place where the drive is shown.
type Mount struct {
	Dir      string `json:"dir"`
	ReadOnly bool   `json:"read_only,omitempty"`
}

// StatusError is something that went wrong lately.
type StatusError struct {
	Time time.Time `json:"time"`
	Text string    `json:"text"`
}

// WaitRequest asks to return when everything is safe.
type WaitRequest struct {
	Timeout time.Duration `json:"timeout"` // 0 is none
}

// UnmountRequest asks to end the mount at Dir.
type UnmountRequest struct {
	Dir  []byte `json:"dir"`  // absolute
	Wait bool   `json:"wait"` // until everything is safe, first
}

// RestoreRequest asks for a copy.
type RestoreRequest struct {
	Paths [][]byte `json:"paths"` // on the drive, from its top
	Dest  []byte   `json:"dest"`  // absolute

	At *time.Time `json:"at,omitempty"` // as it was then; nil: as it is
}

// RestoreProgress counts what was restored so far.
type RestoreProgress struct {
	Files      int64 `json:"files"`
	Bytes      int64 `json:"bytes"`
	TotalFiles int64 `json:"total_files"`
	TotalBytes int64 `json:"total_bytes"`

	Gaps []PastGap `json:"gaps,omitempty"` // by which what was restored of the past may lack something
}

// ListRequest asks for names.
type ListRequest struct {
	Path []byte `json:"path"` // on the drive, from its top
}

// Entry is one name on the drive.
type Entry struct {
	Name   []byte    `json:"name"`
	Mode   uint32    `json:"mode"` // as st_mode
	UID    uint32    `json:"uid"`
	GID    uint32    `json:"gid"`
	Size   int64     `json:"size"`
	Mtime  time.Time `json:"mtime"`
	State  string    `json:"state,omitempty"`  // files only
	Target []byte    `json:"target,omitempty"` // symbolic links only
}
