package sync

import (
	"math"
	gosync "sync"
	"time"
)

// This file is what the worker knows of its own progress: since when the labour is
// safe, and how fast the bucket takes bytes over hours.

// noteLabour keeps, durably, since when all labour is safe. It is called when a
// pass begins and after every commit: labour that waits ends the time, and its
// commit begins a new one.
func (w *Worker) noteLabour() error {
	waits, err := w.cache.LabourWaits()
	if err != nil {
		return err
	}
	since, err := w.labourSince()
	if err != nil || waits == since.IsZero() {
		return err
	}
	var row []byte
	if !waits {
		if row, err = w.o.Now().UTC().Truncate(time.Second).MarshalText(); err != nil {
			return err
		}
	}
	return w.cache.SetMeta("labour", row)
}

// labourSince is what noteLabour kept; zero if labour waited then.
func (w *Worker) labourSince() (t time.Time, err error) {
	b, err := w.cache.Meta("labour")
	if err != nil || len(b) == 0 || t.UnmarshalText(b) != nil {
		return time.Time{}, err
	}
	return t, nil
}

// pace measures what the bucket takes while something is sent, whatever the pauses
// between: an estimate of days must not be that of the last minute. What lies half
// an hour of sending back counts half.
type pace struct {
	mu      gosync.Mutex
	bytes   float64
	seconds float64   // in which at least one upload was under way
	until   time.Time // it is counted so far
}

const paceHalf = 30 * time.Minute

// note takes in an upload that ended now. One that failed counts not at all: how
// long a network is away says nothing of its speed.
func (p *pace) note(n int, began, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if began.Before(p.until) {
		began = p.until // others were under way beside it
	}
	busy := max(now.Sub(began), 0)
	if now.After(p.until) {
		p.until = now
	}
	old := math.Exp2(-float64(busy) / float64(paceHalf))
	p.bytes = p.bytes*old + float64(n)
	p.seconds = p.seconds*old + busy.Seconds()
}

// rate is bytes a second, 0 if it is not known.
func (p *pace) rate() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seconds <= 0 {
		return 0
	}
	return p.bytes / p.seconds
}

func (p *pace) get() (bytes, seconds float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bytes, p.seconds
}
