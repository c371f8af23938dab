package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/health"
	tsync "github.com/tunesafe/tunesafe/sync"
)

var healthCommand = &command{
	name:    "health",
	args:    "[PATH]",
	summary: "when each file was last read in the store, and found good or not",
	text: `Tells of the files at and below PATH on the drive, or of all, whether what they are
made of in the store was read again since it was written, when, and what was found.
tunesafe check --read-part, which an agent runs a little of each night, does the
reading. Nothing is fetched for this.

With --json one object a file is printed, with the readings of each object that holds
a part of it, oldest first, and the counts at the end; so it can be drawn how the health of
a file goes over years.`,
	bind: bindHealth,
}

func bindHealth(f *pflag.FlagSet) action {
	asJSON := f.Bool("json", false, "print one JSON object a file, and the counts at the end")
	return func(ctx context.Context, e *env, args []string) error {
		if err := want(args, 0, 1, ""); err != nil {
			return err
		}
		r := control.HealthRequest{Each: *asJSON}
		if len(args) == 1 {
			r.Path = []byte(args[0])
		}
		return withOwner(ctx, e, func(o control.Owner) error {
			out := json.NewEncoder(e.stdout)
			var failed error
			report, err := o.Health(ctx, r, func(f control.FileHealth) {
				if *asJSON {
					failed = errors.Join(failed, out.Encode(healthLine{string(f.Path), f}))
				} else {
					fmt.Fprintf(e.stdout, "%s: %s\n", f.State, shown(f.Path, !isTerminal(e.stdout)))
				}
			})
			switch {
			case err != nil || failed != nil:
				return errors.Join(err, failed)
			case *asJSON:
				return out.Encode(report)
			}
			fmt.Fprintln(e.stdout, healthText(report))
			return nil
		})
	}
}

// healthLine is a file in JSON, its name as text.
type healthLine struct {
	Path string `json:"path"`
	control.FileHealth
}

func healthText(r control.HealthReport) string {
	text := count(r.Files, "file") + ": " + number(r.Good) + " read and found good"
	if r.Oldest != nil {
		text += " since " + r.Oldest.Local().Format(time.DateTime)
	}
	for _, n := range []struct {
		count int64
		what  string
	}{{r.Unread, "not all read yet"}, {r.Waiting, "not in the store yet"}, {r.Damaged, "damaged"}} {
		if n.count > 0 {
			text += fmt.Sprintf(", %s %s", number(n.count), n.what)
		}
	}
	return text
}

// The states of a file's health beside what a reading finds.
const (
	healthUnread  = "unread"
	healthWaiting = "waiting"
)

// Health implements [control.Owner].
func (o *owner) Health(ctx context.Context, r control.HealthRequest, file func(control.FileHealth)) (report control.HealthReport, err error) {
	if err := o.learn(ctx, false); err != nil {
		return report, err
	}
	db, err := o.healthDB()
	if err != nil {
		return report, err
	}
	name := o.onDrive(string(r.Path))
	a, err := find(o.cache, name)
	if err != nil {
		return report, err
	}
	tell := func(path string, ino cache.Ino) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := o.healthOf(db, ino, r.Each)
		if err != nil {
			return err
		}
		h.Path = []byte(path)
		report.Add(h)
		if r.Each || h.State == health.Damaged.String() || h.State == health.Missing.String() {
			file(h)
		}
		return nil
	}
	if a.Mode&modeType == modeFile {
		return report, tell(name[1:], a.Ino)
	}
	return report, eachFile(o.cache, name[1:], a.Ino, tell)
}

// healthOf looks up the health of a file; each asks for all its readings.
func (d *drive) healthOf(db *health.DB, ino cache.Ino, each bool) (h control.FileHealth, err error) {
	objects, whole, err := objectsOf(d, ino)
	if err != nil {
		return h, err
	}
	h.State = health.Good.String()
	if !whole {
		h.State = healthWaiting
	}
	for _, name := range objects {
		record, err := db.Of(name)
		if err != nil {
			return h, err
		}
		last, read := record.Last()
		switch {
		case read && last.Result != health.Good:
			h.State = last.Result.String()
		case !read && h.State == health.Good.String():
			h.State = healthUnread
		}
		if read && (h.Read == nil || last.Time.Before(*h.Read)) {
			h.Read = &last.Time
		}
		if each {
			h.Objects = append(h.Objects, objectHealth(name, record))
		}
	}
	if h.State == healthUnread || h.State == healthWaiting {
		h.Read = nil
	}
	return h, nil
}

func objectHealth(name string, r health.Record) control.ObjectHealth {
	o := control.ObjectHealth{Object: name, Seen: r.Seen, Readings: []control.HealthReading{}}
	for _, n := range r.Readings {
		o.Readings = append(o.Readings, control.HealthReading{Time: n.Time, Result: n.Result.String()})
	}
	return o
}

func objectsOf(d *drive, ino cache.Ino) ([]string, bool, error) {
	return tsync.ObjectsOf(d.cache, d.index, ino)
}

// eachFile calls fn for the regular files below a directory, with their paths from
// the top of the drive.
func eachFile(c *cache.Cache, dir string, ino cache.Ino, fn func(path string, ino cache.Ino) error) error {
	list, err := c.ReadDir(ino)
	if err != nil {
		return err
	}
	for _, e := range list {
		a, err := c.Attr(e.Ino)
		if errors.Is(err, cache.ErrNotExist) {
			continue // removed meanwhile
		}
		if err == nil {
			switch a.Mode & modeType {
			case modeFile:
				err = fn(path.Join(dir, e.Name), e.Ino)
			case modeDir:
				err = eachFile(c, path.Join(dir, e.Name), e.Ino, fn)
			}
		}
		if err != nil && !errors.Is(err, cache.ErrNotExist) {
			return err
		}
	}
	return nil
}

// shownDamaged is how many damaged objects the status names.
const shownDamaged = 3

// healthStatus is what the status says of it; nil if nothing was read yet.
func (d *drive) healthStatus() *control.Health {
	if _, err := os.Stat(d.home.HealthFile()); err != nil {
		return nil // nothing was read yet
	}
	db, err := d.healthDB()
	if err != nil {
		return nil
	}
	run, ok, err := db.LastRun(health.Check)
	rehearsal, rehearsed, rerr := db.LastRun(health.Rehearsal)
	bad, berr := db.Bad()
	if err := errors.Join(err, rerr, berr); err != nil {
		d.log.Error("health", "err", err)
		return nil
	}
	if !ok && !rehearsed && len(bad) == 0 {
		return nil
	}
	h := &control.Health{Damaged: int64(len(bad)), Checked: run.Objects}
	if ok {
		h.LastCheck = &run.Ended
	}
	if rehearsed {
		h.Rehearsed = rehearsalOf(rehearsal)
	}
	for _, b := range bad[:min(len(bad), shownDamaged)] {
		h.Sample = append(h.Sample, b.Object+": "+b.Problem)
	}
	return h
}

// damagedText says how much of the bucket is known to be damaged.
func damagedText(h control.Health) string {
	if h.Damaged == 1 {
		return "1 object in the store is damaged or missing: " + h.Sample[0]
	}
	return fmt.Sprintf("%s in the store are damaged or missing, such as %s", count(h.Damaged, "object"), h.Sample[0])
}

// damagedHint is what to do about it.
const damagedHint = "tunesafe health names the files that need them; tunesafe repair puts back what this computer still has"

// checkedText tells when a part of the store was read last.
func checkedText(h *control.Health, now time.Time) string {
	if h == nil || h.LastCheck == nil {
		return ""
	}
	return fmt.Sprintf("%s, %s", humanize.RelTime(*h.LastCheck, now, "ago", "from now"), count(h.Checked, "object"))
}

func rehearsalOf(r health.Run) *control.Rehearsal {
	out := &control.Rehearsal{Time: r.Ended, Files: r.Files, Whole: r.Files - r.Bad, Like: r.Like, Bytes: r.Bytes}
	if r.Text != "" {
		out.Problems = []string{r.Text}
	}
	return out
}
