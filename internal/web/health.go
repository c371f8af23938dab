package web

import (
	"net/http"
	"strconv"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/task"
)

// healthView is what is known of the health of the store.
type healthView struct {
	control.Health
	Read     bool   // something was, ever
	Under    string // the task under way
	Headline string
	Detail   string
	State    string
	SafeWord string
}

func (s *Server) health(w http.ResponseWriter, r *http.Request) error {
	st, err := s.Owner.Status(r.Context())
	if err != nil {
		return err
	}
	v := healthView{SafeWord: st.SafeWord}
	if st.Health != nil {
		v.Health, v.Read = *st.Health, true
	}
	rehearsed := v.Rehearsed
	switch {
	case v.Damaged > 0:
		v.State, v.Headline = "trouble", count(v.Damaged, "object")+" in the store cannot be read."
		v.Detail = "What is damaged is never given out as music. See below which files need it, and what a repair would put back."
	case rehearsed != nil && rehearsed.Whole < rehearsed.Files:
		v.State, v.Headline, v.Detail = "care", "The last rehearsal failed.", "A few files were restored from the store alone, and not all came back."
	case v.LastCheck == nil:
		v.State, v.Headline, v.Detail = "waits", "Nothing was read again yet.", "Reading a part of the store from time to time tells early what rots there."
	default:
		v.State, v.Headline, v.Detail = "safe", "All that was read is good.", "Each object that was fetched from the store had every byte that was written."
	}
	for _, kind := range examining {
		if t := s.taskOf(kind); t != nil {
			if state := t.State(); !state.Over() {
				v.Under = kind
			}
		}
	}
	return s.page(w, r, "health", "Health", v)
}

// shownDamaged is how many damaged files the page names.
const shownDamaged = 100

// filesView is the health of files.
type filesView struct {
	control.HealthReport
	Bad  []control.FileHealth
	More int64
}

// healthFiles looks through the files for those that need what is damaged.
func (s *Server) healthFiles(w http.ResponseWriter, r *http.Request) error {
	var v filesView
	report, err := s.Owner.Health(r.Context(), control.HealthRequest{}, func(f control.FileHealth) {
		if len(v.Bad) < shownDamaged {
			v.Bad = append(v.Bad, f)
		}
	})
	if err != nil {
		return err
	}
	v.HealthReport, v.More = report, report.Damaged-int64(len(v.Bad))
	return s.fragment(w, r, "health", "files", v)
}

// healthPlot draws how much was read when.
func (s *Server) healthPlot(w http.ResponseWriter, r *http.Request) error {
	t, err := s.Owner.Trends(r.Context(), control.TrendsRequest{}, func(control.PastProgress) {})
	if err != nil {
		return err
	}
	v := shareView{Plots: []plot{plotHealth(t)}}
	if n := len(t.Days); n > 0 {
		v.TrendDay = t.Days[n-1]
	}
	return s.fragment(w, r, "health", "shares", v)
}

// shareView is how much of the store was read when.
type shareView struct {
	control.TrendDay
	Plots []plot
}

// All is how many objects these are shares of.
func (v shareView) All() int64 { return v.Recent + v.Older + v.Unread + v.Damaged }

// Share is one in percent.
func (v shareView) Share(n int64) int { return percent(n, v.All()) }

// The shares of the store that one may have read.
const (
	leastPart = 1
	mostPart  = 1000
)

// check reads a part of the store.
func (s *Server) check(w http.ResponseWriter, r *http.Request) error {
	part, err := strconv.Atoi(r.PostFormValue("part"))
	if err != nil {
		part = 30
	}
	part = min(max(part, leastPart), mostPart)
	t, err := s.deeds().Check(control.CheckRequest{Part: &control.CheckPart{Part: part}}, task.Once{})
	return s.begun(w, r, t, err)
}

// The size of a rehearsal from the page.
const (
	rehearsedFiles = 5
	rehearsedBytes = 200 << 20
)

// rehearse restores a few files from the store alone.
func (s *Server) rehearse(w http.ResponseWriter, r *http.Request) error {
	t, err := s.deeds().Rehearse(control.RehearseRequest{Files: rehearsedFiles, Bytes: rehearsedBytes}, task.Once{})
	return s.begun(w, r, t, err)
}

// foreseeRepair finds out what a repair would do, which is shown before it is done.
func (s *Server) foreseeRepair(w http.ResponseWriter, r *http.Request) error {
	t, err := s.deeds().Repair(control.RepairRequest{DryRun: true}, task.Once{})
	return s.begun(w, r, t, err)
}

// repair does it.
func (s *Server) repair(w http.ResponseWriter, r *http.Request) error {
	t, err := s.deeds().Repair(control.RepairRequest{}, task.Once{})
	return s.begun(w, r, t, err)
}

// verify proves the log against the store.
func (s *Server) verify(w http.ResponseWriter, r *http.Request) error {
	t, err := s.deeds().Check(control.CheckRequest{}, task.Once{})
	return s.begun(w, r, t, err)
}
