package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tunesafe/tunesafe/tests/musiclib"
)

// look has a player look at a peer's store from a computer that comes new to it.
func (l *lab) look(ctx context.Context, p *peer, src string, lib *library) {
	for _, v := range p.views {
		l.attempt(ctx, v.name, "scan", func() error { return l.scan(ctx, p, v, src, lib) })
		if !l.quick {
			l.attempt(ctx, v.name, "slow scan", func() error { return l.slowScan(ctx, p, v, src, lib) })
		}
		l.attempt(ctx, v.name, "play", func() error { return l.play(ctx, p, v, src, lib) })
		if ctx.Err() != nil {
			return
		}
	}
}

// readTags mounts and reads the tags of all tracks, and tells how many it came to.
func (l *lab) readTags(ctx context.Context, p *peer, v variant, src string, lib *library, limit time.Duration) (n int, c cost, err error) {
	l.server.proxy.Reset()
	began := time.Now()
	m, err := l.open(ctx, p, v, src)
	if err != nil {
		return 0, c, err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	var read map[string]any
	job := map[string]any{"root": m.root, "files": lib.paths()}
	if limit > 0 {
		job["seconds"] = limit.Seconds()
	}
	err = tags(ctx, "scan", job, &read)
	c.wall = time.Since(began).Seconds()
	c.memory, c.own = m.memory()
	return len(read), c, err
}

func (l *lab) scan(ctx context.Context, p *peer, v variant, src string, lib *library) error {
	if err := p.forget(ctx); err != nil {
		return err
	}
	_, c, err := l.readTags(ctx, p, v, src, lib, 0)
	c.Stats = l.server.proxy.Stats()
	t := l.programs()
	t.row("cold scan of all tags, wall with mounting", "s", 2, remarks["scan"]).add(v.name, c.wall)
	t.row("cold scan, MB down", "", 1, remarks["scan down"]).add(v.name, float64(c.Down)/1e6)
	t.row("cold scan, requests", "", 0, "").add(v.name, float64(c.Requests))
	t.row("cold scan, memory at most", "MB", 0, remarks["scan memory"]).add(v.name, c.memory)
	l.spend("cold mount and scan", v.name, c)
	if p.name == own {
		r := t.row("cold scan, requests for objects of sound", "", 0, "none is asked for")
		r.alone = true
		r.add(own, float64(audioRequests(l)))
	}
	return err
}

// audioRequests counts the requests for sound of Tunesafe's store.
func audioRequests(l *lab) int64 {
	var n int64
	for _, e := range l.server.proxy.Log() {
		if strings.Contains(e.Key, "/audio/") {
			n++
		}
	}
	return n
}

func (l *lab) slowScan(ctx context.Context, p *peer, v variant, src string, lib *library) error {
	if err := p.forget(ctx); err != nil {
		return err
	}
	const limit = 20 * time.Second
	l.server.line(scanRate, latency)
	n, c, err := l.readTags(ctx, p, v, src, lib, limit)
	down := l.server.proxy.Stats().Down
	l.server.line(0, 0)
	r := l.programs().row("cold scan at 4 MB/s and 30 ms, wall with mounting", "s", 1, "")
	if n < len(lib.Tracks) {
		r.words[v.name] = fmt.Sprintf("%d of %d in %.0f", n, len(lib.Tracks), limit.Seconds())
		return err
	}
	if v.name == own {
		r.note = fmt.Sprintf("%.1f s are the line's, for what came down", float64(down)/scanRate)
	}
	r.add(v.name, c.wall)
	return err
}

// play reads as a player does: the beginning, then a jump to the middle; then another track whole.
func (l *lab) play(ctx context.Context, p *peer, v variant, src string, lib *library) error {
	if err := p.forget(ctx); err != nil {
		return err
	}
	m, err := l.open(ctx, p, v, src)
	if err != nil {
		return err
	}
	defer func() { _ = m.close() }()
	one, other := lib.longTracks()
	for _, t := range []musiclib.Track{one, other} {
		if _, err := os.ReadDir(filepath.Dir(filepath.Join(m.root, t.Path))); err != nil {
			return err
		}
	}
	l.server.line(playRate, latency)
	defer l.server.line(0, 0)
	l.server.proxy.Reset()
	began := time.Now()
	f, err := os.Open(filepath.Join(m.root, one.Path))
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, 64<<10)
	if _, err := f.ReadAt(buf, 0); err != nil {
		return err
	}
	start := time.Since(began)
	began = time.Now()
	if _, err := f.ReadAt(buf, one.Size/2); err != nil {
		return err
	}
	seek := time.Since(began)
	f.Close()
	l.rest(ctx)
	t := l.programs()
	t.row("play, cold, at 1 MB/s and 30 ms: first 64 KiB", "s", 2, remarks["play"]).add(v.name, start.Seconds())
	t.row("… seek to the middle, 64 KiB", "s", 2, remarks["seek"]).add(v.name, seek.Seconds())
	t.row("… MB down, 2.5 s after the player left", "", 1, "").add(v.name, float64(l.server.proxy.Stats().Down)/1e6)
	return nil
}
