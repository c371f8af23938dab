package sync

import (
	"errors"
	"time"
)

// Status is what the worker knows of how safe the drive is. Sizes are bytes.
type Status struct {
	Phase           string        `json:"phase"`
	SafeFiles       int           `json:"safe_files"`
	SafeBytes       int64         `json:"safe_bytes"`
	WaitingFiles    int           `json:"waiting_files"`
	WaitingBytes    int64         `json:"waiting_bytes"`
	OpenFiles       int           `json:"open_files"`            // of the waiting, in use now
	WaitingRows     int           `json:"waiting_rows"`          // names and attributes
	UploadedBytes   int64         `json:"uploaded_bytes"`        // request bodies since init
	UploadedObjects int64         `json:"uploaded_objects"`      // requests that had one
	DiskFull        bool          `json:"disk_full"`             // nothing new is accepted
	DiskError       error         `json:"-"`                     // why no change is accepted; nil if they are, or the disk is full
	DiskFinal       bool          `json:"-"`                     // and none will be until the drive is mounted anew
	LabourSince     time.Time     `json:"labour_since,omitzero"` // all names, tags, art and libraries are safe; zero: some wait
	SoundBytes      int64         `json:"sound_bytes"`           // what goes behind names and tags, as far as it is known
	SoundSafe       int64         `json:"sound_safe"`            // of them
	Rate            float64       `json:"rate"`                  // bytes a second while something is sent, over hours; 0 if not known
	Left            time.Duration `json:"left"`                  // of uploading, nanoseconds; 0 if not known
	HoursPerDay     float64       `json:"hours_per_day"`         // in which uploads go on
	LastCommit      time.Time     `json:"last_commit,omitzero"`
	Errors          []StatusError `json:"errors,omitempty"`
	Trouble         error         `json:"-"` // what keeps the worker from going on
}

// StatusError is something that went wrong, newest last.
type StatusError struct {
	Time time.Time `json:"time"`
	Text string    `json:"text"`
}

const keptErrors = 20

// Safe reports whether nothing waits.
func (s Status) Safe() bool { return s.WaitingFiles == 0 && s.WaitingRows == 0 }

// Status tells what is safe and what waits.
func (w *Worker) Status() Status {
	var s Status
	if q, err := w.cache.Waiting(); err != nil {
		w.report(err)
	} else {
		s.WaitingFiles, s.WaitingBytes, s.OpenFiles, s.WaitingRows = q.Files, q.Bytes, q.Open, q.Rows
		s.SafeFiles, s.SafeBytes = q.Total-q.Files, max(0, q.Size-q.Bytes)
		s.SoundBytes, s.SoundSafe = q.Sound, q.Sound-q.Owed
	}
	s.LabourSince = w.labour()
	s.HoursPerDay = w.o.HoursPerDay()
	s.DiskFull = w.cache.Full()
	s.DiskFinal, s.DiskError = w.cache.Denied()
	w.mu.Lock()
	defer w.mu.Unlock()
	s.Phase = w.phase
	s.UploadedBytes, s.UploadedObjects = w.up.Bytes, w.up.Objects
	s.LastCommit = w.last
	s.Errors = append(s.Errors, w.errors...)
	s.Trouble = w.trouble
	if s.Rate = w.pace.rate(); s.Rate > 0 {
		s.Left = time.Duration(float64(s.WaitingBytes) / s.Rate * float64(time.Second))
	}
	return s
}

// Uploaded is how many bytes of request bodies were sent since init. It counts nothing else
// for it, as Status does.
func (w *Worker) Uploaded() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.up.Bytes
}

// labour is since when all of it is safe; zero if some waits.
func (w *Worker) labour() time.Time {
	waits, err := w.cache.LabourWaits()
	since, err2 := w.labourSince()
	if err := errors.Join(err, err2); err != nil {
		w.report(err)
	}
	if waits {
		return time.Time{}
	}
	return since
}

// report keeps an error for people to see. One that repeats is kept once.
func (w *Worker) report(err error) {
	if hint := w.o.Hint(err); hint != "" {
		w.log.Error(err.Error(), "hint", hint)
	} else {
		w.log.Error(err.Error())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	e := StatusError{Time: time.Now(), Text: err.Error()}
	if n := len(w.errors); n > 0 && w.errors[n-1].Text == e.Text {
		w.errors[n-1] = e
		return
	}
	w.errors = append(w.errors, e)
	if len(w.errors) > keptErrors {
		w.errors = w.errors[1:]
	}
}
