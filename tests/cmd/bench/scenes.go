package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/tunesafe/tunesafe/tests/musiclib"
)

// scene is a group of rows that belong to one course of events.
type scene struct {
	name string
	run  func(ctx context.Context, l *lab) error
}

// scenes are the names that -only knows beside those of the works on the drive.
func scenes() []scene {
	return []scene{
		{"backup", func(ctx context.Context, l *lab) error { return l.backups(ctx) }},
		{"drive", func(ctx context.Context, l *lab) error { return l.drives(ctx) }},
		{"line", func(ctx context.Context, l *lab) error { return l.lines(ctx) }},
		{"kinds", func(ctx context.Context, l *lab) error { return l.kinds(ctx) }},
		{"tiny", func(ctx context.Context, l *lab) error { return l.tiny(ctx) }},
		{"scale", func(ctx context.Context, l *lab) error { return l.scale(ctx) }},
	}
}

var programColumns = []string{own, "restic", "kopia", "rclone", "rclone tuned", "s3fs", "geesefs", "juicefs", "s5cmd", rawName, sealedName}

// programs is the main table.
func (l *lab) programs() *section {
	return l.sheet.section("Beside other programs", "Medians. Behind a figure stands how many times Tunesafe's it is; smaller is better. \"raw\" copies whole files by PUT and GET, "+
		"eight at once, and hashes, encrypts and compares nothing: the limit of machine and server. \"sealed\" is raw with what Tunesafe promises of each byte, and nothing else: "+
		"BLAKE2b, ChaCha20-Poly1305, one SHA-256 here and one by the server. Files that are new or changed were left alone for some seconds before a run, as in the night. \"rclone tuned\" is its mount with small pieces, no reading ahead and times of the listing.",
		programColumns, rawName, sealedName)
}

// The slow lines.
const (
	scanRate = 4_000_000
	playRate = 1_000_000
	latency  = 30 * time.Millisecond
)

const retagged = 99 // of them, as the longest album of an artist in the library has

// attempt runs a step of a peer; what fails is told, and the others go on.
func (l *lab) attempt(ctx context.Context, who, what string, f func() error) bool {
	began := time.Now()
	err := f()
	fmt.Fprintf(l.log, "%s %s, %s: %.1f s\n", time.Now().Format("15:04:05"), who, what, time.Since(began).Seconds())
	if err == nil {
		return true
	}
	if ctx.Err() == nil {
		l.sheet.failed = append(l.sheet.failed, fmt.Sprintf("%s, %s: %v", who, what, err))
		fmt.Fprintf(l.log, "%s, %s: %v\n", who, what, err)
	}
	return false
}

// rest leaves the files alone for a while, as they are in the night: Tunesafe waits until
// one that was changed just now is two seconds old.
func (l *lab) rest(ctx context.Context) {
	if l.quick {
		return
	}
	select {
	case <-time.After(2500 * time.Millisecond):
	case <-ctx.Done():
	}
}

// backups has each program back a folder up, again and again.
func (l *lab) backups(ctx context.Context) error {
	lib, err := l.library(ctx, "main", l.main)
	if err != nil {
		return err
	}
	if err := lib.weigh(); err != nil {
		return err
	}
	o := l.main
	o.Seed, o.Albums, o.TotalBytes, o.Plain = o.Seed+1, 1, o.TotalBytes/int64(o.Albums), true
	news, err := l.library(ctx, "new", o)
	if err != nil {
		return err
	}
	cast := slices.DeleteFunc(slices.Clone(l.here), func(m maker) bool { return m.make(l, "", "", "").backup == nil })
	for round := range l.rounds {
		for i := range cast {
			m := cast[(i+round)%len(cast)]
			if err := l.backupRound(ctx, m, round, lib, news); err != nil {
				return err
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	return nil
}

func (l *lab) backupRound(ctx context.Context, m maker, round int, lib, news *library) (err error) {
	p, err := l.enter(ctx, m, fmt.Sprintf("backup-%d", round))
	if err != nil {
		l.attempt(ctx, m.name, "prepare", func() error { return err })
		return nil
	}
	defer func() { err = errors.Join(err, l.leave(p)) }()
	src := filepath.Join(p.dir, libraryName)
	if err := copyTree(ctx, lib.dir, src); err != nil {
		return err
	}
	l.rest(ctx)
	settleDisk()
	steps := []struct {
		name string
		run  func() error
	}{
		{"first backup", func() error { return l.first(ctx, p, src, lib) }},
		{"unchanged", func() error { return l.unchanged(ctx, p, src) }},
		{"retag", func() error { return l.changed(ctx, p, src, lib) }},
		{"night", func() error { return l.night(ctx, p, src, lib, news) }},
		{"restore", func() error { return l.restored(ctx, p, src, round == 0) }},
	}
	for _, s := range steps {
		if !l.attempt(ctx, m.name, s.name, s.run) {
			return ctx.Err()
		}
	}
	if round == 0 {
		l.look(ctx, p, src, lib)
	}
	return ctx.Err()
}

// usual adds the rows that every work has.
func (l *lab) usual(work, column string, c cost) {
	t := l.programs()
	t.row(work+", wall", "s", 2, remark(work+", wall")).add(column, c.wall)
	t.row(work+", CPU", "s", 2, remark(work+", CPU")).add(column, c.cpu)
	t.row(work+", memory at most", "MB", 0, remark(work+", memory")).add(column, c.memory)
	t.row(work+", requests", "", 0, remark(work+", requests")).add(column, float64(c.Requests))
	l.spend(work, column, c)
}

// spend keeps what a work took of Tunesafe, for the budget.
func (l *lab) spend(work, column string, c cost) {
	if column == own {
		l.spent[work] = c
	}
}

func (l *lab) first(ctx context.Context, p *peer, src string, lib *library) error {
	c, err := l.measure(ctx, p, p.backup(src))
	if err != nil {
		return err
	}
	l.usual("first backup", p.name, c)
	stored, err := l.server.stored(ctx, p.bucket)
	l.programs().row("stored beyond the sound and each picture once", "%", 2, remarks["stored"]).add(p.name, 100*float64(stored-lib.sound-lib.pictures)/float64(lib.sound))
	return err
}

func (l *lab) unchanged(ctx context.Context, p *peer, src string) error {
	c, err := l.measure(ctx, p, p.backup(src))
	if err != nil {
		return err
	}
	l.usual("unchanged run", p.name, c)
	l.programs().row("unchanged run, PUTs", "", 0, "").add(p.name, c.puts())
	return nil
}

func (l *lab) changed(ctx context.Context, p *peer, src string, lib *library) error {
	edited, err := edit(ctx, src, lib.paths(), musiclib.FirstArtist, "Sibelius", min(retagged, len(lib.Tracks)/2))
	if err != nil {
		return err
	}
	l.rest(ctx)
	c, err := l.measure(ctx, p, p.backup(src))
	if err != nil {
		return err
	}
	work := fmt.Sprintf("%d tracks retagged", len(edited))
	t := l.programs()
	t.row(work+", bytes up a track", "", 0, remarks["retag bytes"]).add(p.name, float64(c.Up)/float64(len(edited)))
	t.row(work+", PUTs", "", 0, "").add(p.name, c.puts())
	l.usual(work, p.name, c)
	return nil
}

// night is an ordinary one: an artist corrected on some tracks, and an album new.
func (l *lab) night(ctx context.Context, p *peer, src string, lib, news *library) error {
	const corrected, added = 20, 5
	edited, err := edit(ctx, src, lib.paths(), "Sibelius", "Sibelius, J.", min(corrected, len(lib.Tracks)/4))
	if err != nil {
		return err
	}
	if err := addAlbum(news.dir, src, added); err != nil {
		return err
	}
	l.rest(ctx)
	c, err := l.measure(ctx, p, p.backup(src))
	if err != nil {
		return err
	}
	work := fmt.Sprintf("a night: %d corrected, %d new", len(edited), added)
	t := l.programs()
	t.row(work+", PUTs", "", 0, remarks["night puts"]).add(p.name, c.puts())
	t.row(work+", LISTs", "", 0, remarks["night lists"]).add(p.name, c.lists())
	t.row(work+", bytes up", "MB", 2, "").add(p.name, float64(c.Up)/1e6)
	t.row(work+", wall", "s", 2, "").add(p.name, c.wall)
	l.spend(work, p.name, c)
	return nil
}

// restored takes the library back to a computer that comes new to the store.
func (l *lab) restored(ctx context.Context, p *peer, src string, compare bool) (err error) {
	if err := p.forget(ctx); err != nil {
		return err
	}
	dest := filepath.Join(p.dir, "restored")
	if err := os.MkdirAll(dest, 0o755); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dest)) }()
	args, err := p.restore(ctx, dest)
	if err != nil {
		return err
	}
	settleDisk()
	c, err := l.measure(ctx, p, args)
	if err != nil {
		return err
	}
	l.usual("whole restore", p.name, c)
	if !compare {
		return nil
	}
	if p.tree != nil {
		dest = p.tree(dest)
	}
	return restoredWhole(ctx, src, dest)
}

// tiny is about many files rather than many bytes.
func (l *lab) tiny(ctx context.Context) error {
	lib, err := l.library(ctx, "tiny", l.small)
	if err != nil {
		return err
	}
	return l.inTurn(ctx, lib, l.tinyRound, func(m maker) bool { return slices.Contains([]string{own, "restic", "kopia", "rclone"}, m.name) })
}

func (l *lab) tinyRound(ctx context.Context, m maker, lib *library) (err error) {
	p, err := l.enter(ctx, m, "tiny")
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
	work := figure(float64(len(lib.Tracks)), 0) + " tiny tracks, "
	for _, name := range []string{"first backup", "unchanged run"} {
		ok := l.attempt(ctx, m.name, work+name, func() error {
			c, err := l.measure(ctx, p, p.backup(src))
			if err == nil {
				l.usual(work+name, p.name, c)
			}
			return err
		})
		if !ok {
			return ctx.Err()
		}
	}
	l.attempt(ctx, m.name, work+"listing", func() error {
		if err := p.forget(ctx); err != nil {
			return err
		}
		began := time.Now()
		l.server.proxy.Reset()
		mnt, err := l.open(ctx, p, p.views[0], src)
		if err != nil {
			return err
		}
		defer mnt.close()
		if err := discard(ctx, "ls", "-lR", mnt.root); err != nil {
			return err
		}
		t := l.programs()
		t.row(work+"mounted and ls -lR, cold", "s", 2, "").add(p.name, time.Since(began).Seconds())
		t.row(work+"mounted and ls -lR, requests", "", 0, "").add(p.name, float64(l.server.proxy.Stats().Requests))
		return nil
	})
	return ctx.Err()
}
