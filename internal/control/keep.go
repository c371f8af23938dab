package control

import (
	"context"
	"time"
)

// Pinning is the part of [Owner] that has files stay on this machine.
type Pinning interface {
	// Pin has what paths of the drive stand for stay here, or ends that, and tells
	// what is pinned then. Nothing is changed if a path cannot be.
	Pin(ctx context.Context, r PinRequest) (PinReport, error)
}

// What a [PinRequest] does.
const (
	DoPin   = "pin"
	DoUnpin = "unpin"
	DoList  = "list"
)

// PinRequest asks for pins.
type PinRequest struct {
	Do    string   `json:"do"`
	Paths [][]byte `json:"paths,omitempty"` // folders, files, playlists
}

// PinReport tells of what was named, or of all pins.
type PinReport struct {
	Pins []Pin `json:"pins"`
	Room int64 `json:"room"` // bytes on this disk for more
	// Serves tells that a process runs that fetches what is missing.
	Serves bool `json:"serves"`
}

// Pin is one pin. Sizes are bytes.
type Pin struct {
	Path      []byte `json:"path"`
	Files     int64  `json:"files"`
	Here      int64  `json:"files_here"` // whole
	Bytes     int64  `json:"bytes"`
	BytesHere int64  `json:"bytes_here"`
	Gone      bool   `json:"gone,omitempty"` // not on the drive any more
}

// Kept is what is kept on this machine, asked for or not.
type Kept struct {
	Files     int64 `json:"files"` // pinned
	Here      int64 `json:"files_here"`
	Bytes     int64 `json:"bytes"`
	BytesHere int64 `json:"bytes_here"`

	Instant    time.Duration `json:"instant"` // of every track, in nanoseconds; 0: nothing
	Heads      int64         `json:"instant_tracks"`
	Tracks     int64         `json:"instant_of"`
	HeadBytes  int64         `json:"instant_bytes"`
	HeadsEnded bool          `json:"instant_full,omitempty"` // half of the cache is used for them

	Trouble string `json:"trouble,omitempty"` // why what is missing is not fetched now
}

// Pin implements [Owner].
func (c *Client) Pin(ctx context.Context, r PinRequest) (PinReport, error) {
	return call[PinReport](ctx, c, "pin", r, (func(nothing))(nil))
}

func (s *Server) pin(ctx context.Context, r PinRequest, _ func(nothing)) (PinReport, error) {
	return s.owner.Pin(ctx, r)
}
