package control

import (
	"context"
	"time"
)

// LogRequest asks what was done in the bucket.
type LogRequest struct {
	Since   time.Time `json:"since,omitzero"`
	Device  string    `json:"device,omitempty"`  // a name, or the beginning of an id
	Objects bool      `json:"objects,omitempty"` // with each object
	Names   []string  `json:"names,omitempty"`   // only commits about these: objects, or files as /PATH
}

// LogCommit is one commit. What it put, condemned and deleted is summed up by kind and by
// reason; Objects has each, if asked for, or those that were.
type LogCommit struct {
	Time    time.Time   `json:"time"`
	Device  string      `json:"device"`
	Name    string      `json:"name"` // of the device, for people
	Seq     uint64      `json:"commit"`
	Kind    string      `json:"kind"`   // changes or checkpoint
	Object  string      `json:"object"` // the commit's own
	Size    int64       `json:"size"`   // of that
	Put     []LogSum    `json:"put"`
	Condemn []LogSum    `json:"condemned"`
	Delete  []LogSum    `json:"deleted"`
	Files   int64       `json:"files"` // inodes that it changed
	Gone    int64       `json:"gone"`  // inodes that lost their last name
	Names   int64       `json:"names"` // names that it changed
	Objects []LogObject `json:"objects,omitempty"`
}

// LogSum sums up objects of one kind, or condemned for one reason.
type LogSum struct {
	What    string `json:"what"`
	Objects int64  `json:"objects"`
	Bytes   int64  `json:"bytes"`
}

// LogObject is one object that a commit put or condemned.
type LogObject struct {
	Did    string `json:"did"` // put, condemn or delete
	Object string `json:"object"`
	Size   int64  `json:"size"`
	What   string `json:"what"` // its kind, or why it was condemned
}

// LogReport counts what was read.
type LogReport struct {
	Commits int64 `json:"commits"` // given
}

// ExportRequest asks for the log in a file, and a signed note beside it.
type ExportRequest struct {
	File []byte `json:"file"` // absolute
}

// ExportReport is what was written.
type ExportReport struct {
	Commits  int64  `json:"commits"`
	Lines    int64  `json:"lines"`
	Root     string `json:"root"`     // the root key's public half
	Verifier string `json:"verifier"` // the signing device's key, as note verifiers take it
}

// LogPage gives as many commits as a page has, oldest first, and of what time the next
// page is, which is zero if there is none. Of one time all are on one page, so that the
// next begins where this ends; the log is read no further than that.
func LogPage(ctx context.Context, o Owner, r LogRequest, most int) (list []LogCommit, next time.Time, err error) {
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	_, err = o.Log(reading, r, func(c LogCommit) {
		switch {
		case len(list) < most || c.Time.Equal(list[len(list)-1].Time):
			list = append(list, c)
		case next.IsZero():
			next = c.Time
			cancel()
		}
	})
	if err != nil && !next.IsZero() && ctx.Err() == nil {
		err = nil // it was ended here
	}
	return list, next, err
}
