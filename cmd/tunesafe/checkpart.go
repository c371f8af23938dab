package main

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/health"
	"github.com/tunesafe/tunesafe/internal/price"
)

// parsePart reads "1/30", of --read-part.
func parsePart(text string) (int, error) {
	n, err := strconv.Atoi(strings.TrimPrefix(strings.ReplaceAll(text, " ", ""), "1/"))
	if err != nil || !strings.HasPrefix(text, "1/") || n < 1 || n > 10_000 {
		return 0, misuse("%q is no part; write it as 1/30", text)
	}
	return n, nil
}

var money = regexp.MustCompile(`^([0-9]*\.?[0-9]+) ?([A-Z]{3})$`)

// parseBudget reads "500MB" or "0.05USD", of --read-budget.
func parseBudget(text string, p *control.CheckPart) error {
	if m := money.FindStringSubmatch(text); m != nil {
		p.Currency = m[2]
		var err error
		if p.Money, err = strconv.ParseFloat(m[1], 64); err == nil && p.Money > 0 {
			return nil
		}
	} else if n, err := humanize.ParseBytes(text); err == nil && n > 0 && n < 1<<62 {
		p.Bytes = int64(n)
		return nil
	}
	return misuse("%q is no budget; write it as 500MB or 0.05USD", text)
}

// share is what a part asks for, with the prices of this home.
func (d *drive) share(p control.CheckPart) (health.Share, error) {
	s := health.Share{Part: p.Part, Bytes: p.Bytes, Money: p.Money}
	if p.Money == 0 {
		return s, nil
	}
	list, _, err := price.Table(d.home.PricesFile())
	if err != nil {
		return s, err
	}
	class, ok := price.DearestRead(list, d.config.Store.Endpoint, p.Currency)
	if !ok {
		return s, misuse("no price in %s is known; tunesafe estimate --prices prints the table", p.Currency)
	}
	s.Cost = class.Read
	return s, nil
}

// healthDB opens what is remembered of the readings of objects; it is closed with
// the drive.
func (d *drive) healthDB() (*health.DB, error) { return d.health.get(health.Open, d.home.HealthFile()) }

func (d *drive) closeHealth() error {
	if err := d.keepFetched(); err != nil {
		d.log.Warn("what was fetched is not recorded as read", "err", err)
	}
	return d.health.close()
}

// checkPart reads what was read the longest ago, and puts it into a report.
func checkPart(ctx context.Context, d *drive, p control.CheckPart, parallel int, progress func(control.CheckProgress), report *control.CheckReport) error {
	share, err := d.share(p)
	if err != nil {
		return err
	}
	db, err := d.healthDB()
	if err == nil {
		err = d.keepFetched()
	}
	if err != nil {
		return err
	}
	r, err := health.Options{
		Store: d.counted, Keys: d.keys, Index: d.index, DB: db, Share: share, Parallel: parallel,
		Progress: func(p health.Progress) {
			progress(control.CheckProgress{Objects: p.Objects, TotalObjects: p.OfObjects, Bytes: p.Bytes, TotalBytes: p.OfBytes})
		},
	}.Run(ctx)
	report.Read, report.ReadBytes, report.Never = r.Read, r.ReadBytes, r.Never
	if !r.Oldest.IsZero() {
		report.Oldest = &r.Oldest
	}
	if report.Objects == 0 {
		report.Objects, report.Bytes = r.Objects, r.Bytes
	}
	names, nerr := d.filesIn(r.Bad)
	for _, b := range r.Bad {
		if slices.ContainsFunc(report.Findings, func(f control.Finding) bool { return f.Object == b.Object && !f.Harmless }) {
			continue
		}
		f := control.Finding{Kind: string(b.Kind), Object: b.Object, Text: oneLine(b.Problem), FileCount: int64(len(names[b.Object]))}
		for _, name := range names[b.Object][:min(len(names[b.Object]), shownFiles)] {
			f.Files = append(f.Files, "/"+name)
		}
		report.Findings = append(report.Findings, f)
	}
	return errors.Join(err, nerr)
}

// filesIn tells which files of the drive lie, in part, in the objects.
func (d *drive) filesIn(bad []health.Bad) (map[string][]string, error) {
	names := map[string][]string{}
	if len(bad) == 0 {
		return names, nil
	}
	for _, b := range bad {
		names[b.Object] = nil
	}
	err := eachFile(d.cache, "", cache.Root, func(path string, ino cache.Ino) error {
		objects, _, err := objectsOf(d, ino)
		for _, o := range objects {
			if _, ok := names[o]; ok {
				names[o] = append(names[o], path)
			}
		}
		return err
	})
	return names, err
}

// noteReadings gives what `check --read` tells of each object it read, and what is
// called in the end.
func (d *drive) noteReadings(read bool) (verified func(object string, err error), done func(whole bool) error, err error) {
	if !read {
		return nil, func(bool) error { return nil }, nil
	}
	db, err := d.healthDB()
	if err != nil {
		return nil, nil, err
	}
	run := health.Run{Kind: health.Check, Began: time.Now()}
	var pending []health.Found
	var failed error
	flush := func() {
		failed = errors.Join(failed, db.Add(pending...))
		pending = nil
	}
	verified = func(object string, err error) {
		f := health.Found{Object: object, Reading: health.Reading{Time: time.Now(), Result: health.ResultOf(err)}, Err: err}
		run.Objects++
		if err != nil {
			run.Bad++
		}
		if pending = append(pending, f); len(pending) >= 64 {
			flush()
		}
	}
	return verified, func(whole bool) error {
		flush()
		run.Ended, run.Whole = time.Now(), whole
		return errors.Join(failed, db.Ran(run))
	}, nil
}
