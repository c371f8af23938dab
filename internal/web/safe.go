package web

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tunesafe/tunesafe/internal/control"
)

// safeView answers the one question in one look.
type safeView struct {
	control.Status
	State    string // safe, labour, waits, empty, care, trouble: what the picture shows
	Headline string
	Detail   string
	Percent  int    // of the audio that is in the store
	Left     string // until all is; empty if nobody knows
	Night    string // what was done last
	Window   string // when it works by itself
	Steers   bool   // somebody works whom one can tell to
	Under    bool   // sound is on its way
}

func (s *Server) safe(w http.ResponseWriter, r *http.Request) error {
	st, err := s.Owner.Status(r.Context())
	if err != nil {
		return err
	}
	return s.page(w, r, "safe", "Safe?", safeOf(st, time.Now()))
}

// safeOf words a status.
func safeOf(st control.Status, now time.Time) safeView {
	if st.Agent == nil {
		st.Agent = &control.AgentStatus{}
	}
	v := safeView{Status: st, Under: st.AudioSafe < st.AudioBytes, Percent: percent(st.AudioSafe, st.AudioBytes), Left: leftText(st), Night: nightText(st, now), Window: windowText(*st.Agent), Steers: st.PID != 0}
	files := count(st.SafeFiles, "file")
	switch {
	case st.DiskFull || st.DiskError != nil || st.Trouble != nil && st.Refused:
		v.State, v.Headline, v.Detail = "trouble", "Your backup needs you.", "What was safe stays safe. What is new waits on this computer."
	case st.SafeFiles+st.WaitingFiles == 0:
		v.State, v.Headline, v.Detail = "empty", "Nothing is here yet.", "Copy music on to the drive, or name a folder to back up. It is uploaded by itself."
	case st.Safe() && st.SafeWord != "safe":
		v.State, v.Headline, v.Detail = "waits", "Everything is copied on this computer.", files+" in a store on the same machine: a copy, and not yet a backup."
	case st.Safe():
		v.State, v.Headline, v.Detail = "safe", "Everything is safe.", fmt.Sprintf("%s, %s, encrypted in your bucket.", files, size(st.SafeBytes))
	case st.LabourSince != nil:
		v.State, v.Headline, v.Detail = "labour", "Your work is safe.", "All names, tags, art and playlists are in the store. The sound is on its way."
	default:
		v.State, v.Headline, v.Detail = "waits", "On its way.", "Names, tags and art go first, then the sound."
	}
	if len(st.Needs) > 0 && v.State != "trouble" {
		v.State, v.Headline = "care", strings.TrimSuffix(v.Headline, ".")+", and something needs you."
	}
	return v
}

// Asks are the places in which the brake holds something, and waits for an answer.
func (v safeView) Asks() (all []control.PlaceStatus) {
	for _, p := range v.Places {
		if slices.ContainsFunc(p.Held, func(h control.Held) bool { return h.Decision == "" }) {
			all = append(all, p)
		}
	}
	return all
}

// decide answers the brake.
func (s *Server) decide(w http.ResponseWriter, r *http.Request) error {
	_, err := s.Owner.Decide(r.Context(), control.DecideRequest{Name: []byte(r.PostFormValue("place")), Approve: r.PostFormValue("do") == "approve"})
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

func percent(part, of int64) int {
	if of <= 0 {
		return 100
	}
	return int(100 * float64(min(part, of)) / float64(of))
}

// leftText estimates when all is safe.
func leftText(s control.Status) string {
	switch left := time.Duration(s.LeftSeconds * float64(time.Second)); {
	case left <= 0 || s.Safe():
		return ""
	case s.HoursPerDay < 24 && s.DaysLeft > 1:
		return "about " + count(int64(math.Ceil(s.DaysLeft)), "night")
	case s.DaysLeft > 2:
		return "about " + count(int64(math.Ceil(s.DaysLeft)), "day")
	case left >= time.Hour:
		return fmt.Sprintf("about %d h %d min", int(left.Hours()), int(left.Minutes())%60)
	case left >= time.Minute:
		return "about " + count(int64(left.Minutes()), "minute")
	}
	return "less than a minute"
}

// nightText tells of what was done last.
func nightText(s control.Status, now time.Time) string {
	a := s.Agent
	switch {
	case a.Scanning:
		return "scanning the folders now"
	case a.LastScan != nil && a.LastFault != "":
		return ago(*a.LastScan, now) + ": " + a.LastFault
	case a.LastScan != nil:
		return "all folders scanned " + ago(*a.LastScan, now)
	case s.LastCommit != nil:
		return ago(*s.LastCommit, now)
	}
	return "none yet"
}

// windowText tells when it works by itself.
func windowText(a control.AgentStatus) string {
	switch {
	case a.Paused && a.PausedUntil != nil:
		return "paused until " + clock(*a.PausedUntil)
	case a.Paused:
		return "paused until you resume"
	case a.RunNow:
		return "now, until everything is safe"
	case a.Working && a.Next != nil && len(a.Windows) > 0:
		return "now, until " + clock(*a.Next)
	case a.Next != nil && !a.Working:
		return "next at " + clock(*a.Next)
	case a.Why != "" && !a.Working:
		return a.Why
	}
	return "at all hours"
}

// work pauses, resumes, or begins at once.
func (s *Server) work(w http.ResponseWriter, r *http.Request) error {
	q := control.WorkRequest{Do: r.PostFormValue("do")}
	if d, err := time.ParseDuration(r.PostFormValue("for")); err == nil && d > 0 {
		q.For = d
	}
	if _, err := s.Owner.Work(r.Context(), q); err != nil {
		return err
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

// Speed is in whole bytes a second.
func (v safeView) Speed() int64 { return int64(v.Rate) }
