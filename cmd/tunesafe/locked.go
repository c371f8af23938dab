package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/home"
	"github.com/tunesafe/tunesafe/internal/renew"
	"github.com/tunesafe/tunesafe/internal/store/s3"
)

// lockText says what a lock means to who asked for it.
func lockText(s home.Store) string {
	days := count(int64(s.LockDays), "day")
	if s.LockMode == s3.Governance {
		return fmt.Sprintf("what is written is locked for %s, and renewed; who has the right s3:BypassGovernanceRetention can remove it all the same", days)
	}
	return fmt.Sprintf("what is written is locked for %s, and renewed: until then nobody can remove it, you neither", days)
}

// lockedDB opens what is remembered of the dates; it is closed with the drive.
func (d *drive) lockedDB() (*renew.DB, error) { return d.locked.get(renew.Open, d.home.LockedFile()) }

// lockedUntil is what a prune asks; nil where nothing is known.
func (d *drive) lockedUntil() func(object string) time.Time {
	if _, err := os.Stat(d.home.LockedFile()); err != nil {
		return nil
	}
	db, err := d.lockedDB()
	if err != nil {
		return nil // then each is tried
	}
	return func(object string) time.Time {
		until, _ := db.Until(object) // likewise
		return until
	}
}

// keepLocked renews the lock of what is needed, once a night.
func (o *owner) keepLocked(ctx context.Context) error {
	if o.config.Store.LockDays == 0 {
		return nil
	}
	db, err := o.lockedDB()
	if err != nil {
		return err
	}
	last, ok, err := db.Last()
	if err != nil || ok && o.now().Sub(last.Ended).Abs() < nightly-time.Hour {
		return err
	}
	s, err := renew.Options{Store: o.counted, Index: o.index, DB: db, For: o.config.Store.Lock().For, Now: o.now}.Sweep(ctx)
	if err != nil {
		return fmt.Errorf("renewing the lock: %w", err)
	}
	o.log.Info("what is needed is kept locked", "objects", s.Objects, "asked", s.Asked, "renewed", s.Renewed, "until", s.Until)
	return nil
}

// lockStatus is what the status says of the lock; nil if there is none.
func (d *drive) lockStatus() *control.Lock {
	s := d.config.Store
	if s.LockDays == 0 {
		return nil
	}
	l := &control.Lock{Days: s.LockDays, Mode: s.LockMode}
	since := d.config.Created
	if _, err := os.Stat(d.home.LockedFile()); err == nil {
		if db, err := d.lockedDB(); err == nil {
			if last, ok, err := db.Last(); err == nil && ok {
				l.Renewed, l.Until, since = &last.Ended, &last.Until, last.Ended
			}
		}
	}
	l.Late = d.now().Sub(since) > s.Lock().For/4
	return l
}

func lockedText(l control.Lock) string {
	text := fmt.Sprintf("for %s (%s)", count(int64(l.Days), "day"), l.Mode)
	if l.Until != nil && !l.Until.IsZero() {
		text += "; all that is needed at least until " + l.Until.Local().Format(time.DateOnly)
	}
	return text
}

func lateLockText(l control.Lock) string {
	text := "the lock of the store's objects runs out: it was never renewed"
	if l.Renewed != nil {
		text = "the lock of the store's objects runs out: it was renewed last on " + l.Renewed.Local().Format(time.DateOnly)
	}
	if l.Until != nil && !l.Until.IsZero() {
		text += ", and some can be removed from " + l.Until.Local().Format(time.DateOnly) + " on"
	}
	return text
}

const lateLockHint = "leave the agent or the drive running for a night, or give tunesafe backup; tunesafe logs says what went wrong"
