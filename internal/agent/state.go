package agent

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"time"

	"github.com/tunesafe/tunesafe/internal/home"
)

// ErrPaused: what was asked for would work in a pause.
var ErrPaused = errors.New("paused")

// State is what outlives the process.
type State struct {
	Paused   bool      `json:"paused,omitempty"`
	Until    time.Time `json:"until,omitzero"`    // of the pause; zero: until it is ended
	Scanned  time.Time `json:"scanned,omitzero"`  // all places
	Progress time.Time `json:"progress,omitzero"` // something was committed, or all was found safe
	LastRun  Run       `json:"last_run,omitzero"`
	// Told is since when people know of what needs them.
	Told map[string]time.Time `json:"told,omitempty"`
	// Duties is how each ended last.
	Duties map[string]Run `json:"duties,omitempty"`
}

// Run is how a scan or a duty ended.
type Run struct {
	Ended time.Time `json:"ended,omitzero"`
	Text  string    `json:"text,omitempty"` // what went wrong
}

func (s State) clone() State {
	s.Told = maps.Clone(s.Told)
	return s
}

func (s *State) pause(now time.Time, d time.Duration) {
	s.Paused, s.Until = true, time.Time{}
	if d > 0 {
		s.Until = now.Add(d)
	}
}

func (s *State) resume() { s.Paused, s.Until = false, time.Time{} }

// expire ends a pause whose time is over.
func (s *State) expire(now time.Time) bool {
	if !s.Paused || s.Until.IsZero() || now.Before(s.Until) {
		return false
	}
	s.resume()
	return true
}

// progressKept is how exactly the time of progress is kept, to spare the disk.
const progressKept = time.Hour

// progress notes that there was some. What is safe counts only as long as the
// folders are looked at.
func (s *State) progress(l Look, now time.Time) (worthSaving bool) {
	last := s.Progress
	if last.IsZero() {
		s.Progress = now // an agent that is new is not overdue
	}
	if l.LastCommit.After(s.Progress) {
		s.Progress = l.LastCommit
	}
	if l.Safe && s.Scanned.After(s.Progress) {
		s.Progress = s.Scanned
	}
	return s.Progress.Sub(last) > progressKept
}

// fresh notes what needs a person, and returns what was not there before; nil if
// nothing changed.
func (s *State) fresh(needs []Need, now time.Time) (fresh []Need) {
	told := map[string]time.Time{}
	changed := len(needs) != len(s.Told)
	for _, n := range needs {
		since, known := s.Told[n.Key]
		if !known {
			since, changed = now, true
			fresh = append(fresh, n)
		}
		told[n.Key] = since
	}
	if !changed {
		return nil
	}
	s.Told = told
	if fresh == nil {
		fresh = []Need{}
	}
	return fresh
}

// StateFile is where the state is kept.
type StateFile string

// Load reads the state; zero if none was kept.
func (f StateFile) Load() (s State, err error) {
	b, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	if json.Unmarshal(b, &s) != nil {
		return State{}, nil // damaged: nobody is paused, and people may be told again
	}
	return s, nil
}

// Save writes the state.
func (f StateFile) Save(s State) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return home.WriteFile(string(f), append(b, '\n'))
}

// Pause writes a pause for an agent that does not run; Resume ends one.
func (f StateFile) Pause(now time.Time, d time.Duration) error {
	return f.change(func(s *State) { s.pause(now, d) })
}

// Resume ends a pause.
func (f StateFile) Resume() error { return f.change((*State).resume) }

func (f StateFile) change(do func(*State)) error {
	s, err := f.Load()
	if err != nil {
		return err
	}
	do(&s)
	return f.Save(s)
}
