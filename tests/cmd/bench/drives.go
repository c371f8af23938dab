package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/tunesafe/tunesafe/tests/musiclib"
	"github.com/tunesafe/tunesafe/tests/s3proxy"
)

// writeBack is longer than any peer leaves a written file alone before it sends it.
const writeBack = 7 * time.Second

// drives has each program that is a drive take the library in, and has it
// retagged there from another computer.
func (l *lab) drives(ctx context.Context) error {
	lib, err := l.library(ctx, "main", l.main)
	if err != nil {
		return err
	}
	return l.inTurn(ctx, lib, l.driveRound, func(m maker) bool { return m.make(l, "", "", "").drive != nil })
}

// inTurn has each program that takes part do a round of a scene.
func (l *lab) inTurn(ctx context.Context, lib *library, round func(context.Context, maker, *library) error, takesPart func(maker) bool) error {
	for _, m := range l.here {
		if !takesPart(m) {
			continue
		}
		if err := round(ctx, m, lib); err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
	}
	return nil
}

func (l *lab) driveRound(ctx context.Context, m maker, lib *library) (err error) {
	p, err := l.enter(ctx, m, "drive")
	if err != nil {
		l.attempt(ctx, m.name, "prepare", func() error { return err })
		return nil
	}
	defer func() { err = errors.Join(err, l.leave(p)) }()
	ok := l.attempt(ctx, m.name, "copy onto the drive", func() error { return l.copyOn(ctx, p, lib) }) &&
		l.attempt(ctx, m.name, "cold retag", func() error { return l.coldRetag(ctx, p, lib) })
	if ok && p.backup == nil { // the others are looked at in what they backed up
		l.look(ctx, p, filepath.Join(p.dir, libraryName), lib)
	}
	return ctx.Err()
}

// safe waits until all that was written is in the store.
func (l *lab) safe(ctx context.Context, p *peer) (time.Time, error) {
	if p.synced != nil {
		return time.Time{}, p.each(ctx, [][]string{p.synced()})
	}
	return l.server.settle(ctx, writeBack)
}

func (l *lab) copyOn(ctx context.Context, p *peer, lib *library) (err error) {
	if err := p.forget(ctx); err != nil {
		return err
	}
	m, err := l.open(ctx, p, *p.drive, lib.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	settleDisk()
	var back time.Duration
	c, err := m.during(func() (time.Time, error) {
		began := time.Now()
		if err := command(ctx, "cp", "-r", lib.dir+"/.", m.root); err != nil {
			return time.Time{}, err
		}
		back = time.Since(began)
		return l.safe(ctx, p)
	})
	if err != nil {
		return err
	}
	l.programs().row("library copied onto the drive, until cp is back", "s", 2, "").add(p.name, back.Seconds())
	l.usual("library copied onto the drive until it is safe", p.name, c)
	return nil
}

func (l *lab) coldRetag(ctx context.Context, p *peer, lib *library) (err error) {
	if err := p.forget(ctx); err != nil {
		return err
	}
	m, err := l.open(ctx, p, *p.drive, lib.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	var edited []string
	c, err := m.during(func() (over time.Time, err error) {
		edited, err = edit(ctx, m.root, lib.paths(), musiclib.FirstArtist, "Sibelius", min(retagged, len(lib.Tracks)/2))
		if err != nil {
			return over, err
		}
		return l.safe(ctx, p)
	})
	if err != nil {
		return err
	}
	work := fmt.Sprintf("%d tracks retagged on a cold drive", len(edited))
	t := l.programs()
	t.row(work+", MB up", "", 2, remarks["cold retag up"]).add(p.name, float64(c.Up)/1e6)
	t.row(work+", MB down", "", 1, remarks["cold retag down"]).add(p.name, float64(c.Down)/1e6)
	l.usual(work+" until safe", p.name, c)
	return nil
}

// lines has a first backup and a restore go over a slow line: all else must hide
// behind it.
func (l *lab) lines(ctx context.Context) error {
	o := l.main
	o.Seed, o.Albums, o.TotalBytes, o.Plain = 3, 4, l.lineBytes, true
	lib, err := l.library(ctx, "line", o)
	if err != nil {
		return err
	}
	return l.inTurn(ctx, lib, l.lineRound, func(m maker) bool { return m.name == own || m.name == "rclone" })
}

func (l *lab) lineRound(ctx context.Context, m maker, lib *library) (err error) {
	p, err := l.enter(ctx, m, "line")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.leave(p)) }()
	src := filepath.Join(p.dir, libraryName)
	if err := copyTree(ctx, lib.dir, src); err != nil {
		return err
	}
	l.rest(ctx)
	settleDisk()
	defer l.server.line(0, 0)
	t := l.programs()
	over := func(what string, c cost, bytes int64, idle s3proxy.Line) {
		needs := float64(bytes) / float64(l.lineRate)
		work := fmt.Sprintf("%s of %d MB at %d MB/s, ", what, lib.Bytes/1e6, l.lineRate/1e6)
		t.row(work+"over what its bytes need", "%", 1, remarks[what+" line"]).add(p.name, 100*(c.wall/needs-1))
		t.row(work+"the line idle before, between and after them", "s", 2, remarks["idle"]).words[p.name] = idleWords(idle)
	}
	if !l.attempt(ctx, m.name, "first backup over a line", func() error {
		l.server.line(l.lineRate, 0)
		c, err := l.measure(ctx, p, p.backup(src))
		if err == nil {
			over("first backup", c, c.Up, c.LineUp)
		}
		return err
	}) {
		return ctx.Err()
	}
	l.attempt(ctx, m.name, "restore over a line", func() error {
		l.server.line(0, 0)
		if err := p.forget(ctx); err != nil {
			return err
		}
		dest := filepath.Join(p.dir, "restored")
		args, err := p.restore(ctx, dest)
		if err != nil {
			return err
		}
		l.server.line(l.lineRate, 0)
		c, err := l.measure(ctx, p, args)
		if err == nil {
			over("whole restore", c, c.Down, c.LineDown)
		}
		return err
	})
	return ctx.Err()
}

// idleWords says when a line carried nothing, in seconds.
func idleWords(i s3proxy.Line) string {
	return fmt.Sprintf("%.2f / %.2f / %.2f", i.Before, i.Between, i.After)
}
