package control

import (
	"context"
	"time"
)

// Working is the part of [Owner] that is about when it works by itself.
type Working interface {
	// Work changes that.
	Work(ctx context.Context, r WorkRequest) (AgentStatus, error)
	// Mount shows the drive, where the owner is an agent.
	Mount(ctx context.Context, r MountRequest) error
}

// What a [WorkRequest] asks for.
const (
	DoPause  = "pause"
	DoResume = "resume"
	DoRunNow = "run-now"
)

// WorkRequest asks to pause, to go on, or to work now whatever the hour.
type WorkRequest struct {
	Do    string        `json:"do"`
	For   time.Duration `json:"for,omitempty"`   // of a pause; 0 is until resumed
	Names [][]byte      `json:"names,omitempty"` // of places for run-now; none is all
}

// MountRequest asks for the drive at Dir.
type MountRequest struct {
	Dir        []byte `json:"dir"` // absolute
	ReadOnly   bool   `json:"read_only,omitempty"`
	AllowOther bool   `json:"allow_other,omitempty"`
	Snapshots  bool   `json:"show_snapshots,omitempty"` // list the folder of them
}

// AgentStatus tells when the owner works by itself.
type AgentStatus struct {
	Runs    bool       `json:"runs"`              // an agent owns the home, and not a mount alone
	Windows []string   `json:"windows,omitempty"` // none: always
	Working bool       `json:"working"`
	Why     string     `json:"why,omitempty"`  // it does not
	Next    *time.Time `json:"next,omitempty"` // when the clock changes that

	Paused      bool       `json:"paused"`
	PausedUntil *time.Time `json:"paused_until,omitempty"`
	RunNow      bool       `json:"run_now,omitempty"`

	Scanning  bool       `json:"scanning,omitempty"`
	LastScan  *time.Time `json:"last_scan,omitempty"`
	LastFault string     `json:"last_fault,omitempty"` // what went wrong in it
	NextScan  *time.Time `json:"next_scan,omitempty"`
	Duty      string     `json:"duty,omitempty"`    // what it does beside backups just now
	Watched   int        `json:"watched,omitempty"` // folders
	Blind     bool       `json:"blind,omitempty"`   // the system lets not all be watched

	Limit float64 `json:"limit,omitempty"`     // bytes a second that are sent at most now; 0 is none
	Gives bool    `json:"gives_way,omitempty"` // it is lower than was set, as the line is needed
}

// Work implements [Owner].
func (c *Client) Work(ctx context.Context, r WorkRequest) (AgentStatus, error) {
	return call[AgentStatus](ctx, c, "work", r, func(nothing) {})
}

// Mount implements [Owner].
func (c *Client) Mount(ctx context.Context, r MountRequest) error {
	_, err := call[nothing](ctx, c, "mount", r, func(nothing) {})
	return err
}

func (s *Server) work(ctx context.Context, r WorkRequest, _ func(nothing)) (AgentStatus, error) {
	return s.owner.Work(ctx, r)
}

func (s *Server) mount(ctx context.Context, r MountRequest, _ func(nothing)) (nothing, error) {
	return nothing{}, s.owner.Mount(ctx, r)
}
