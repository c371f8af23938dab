package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tunesafe/tunesafe/tests/musiclib"
	"github.com/tunesafe/tunesafe/tests/s3proxy"
)

const (
	scaleNight    = 100       // tracks retagged in a night
	scalePatience = time.Hour // of one run over the largest library
	listPath      = "-lR"
)

// scale measures how time, memory and requests grow with the number of tracks.
func (l *lab) scale(ctx context.Context) error {
	file := filepath.Join(l.dir, growthFile)
	if l.to != "" {
		file = filepath.Join(filepath.Dir(l.to), growthFile)
	}
	g, err := readGrowth(file, l.sizes)
	if err != nil {
		return err
	}
	for _, n := range l.sizes {
		if err := l.scaleOf(ctx, n, g); err != nil {
			return fmt.Errorf("%d tracks: %w", n, err)
		}
	}
	fmt.Fprint(l.out, g.markdown())
	return nil
}

// scaled is a library in whose size everything is measured.
type scaled struct {
	l       *lab
	g       *growth
	tracks  int
	p       *peer
	library string
	some    []string // tracks to be retagged, from all over it
}

func (l *lab) scaleOf(ctx context.Context, tracks int, g *growth) (err error) {
	top := filepath.Join(l.dir, "libraries", fmt.Sprintf("scale-%d", tracks))
	s := &scaled{l: l, g: g, tracks: tracks, library: filepath.Join(top, libraryName)}
	defer func() { err = errors.Join(err, os.RemoveAll(top)) }()
	n := 0
	err = musiclib.Small(ctx, s.library, tracks, func(t musiclib.Track) {
		if n++; n%max(1, tracks/(2*scaleNight)) == 0 {
			s.some = append(s.some, t.Path)
		}
	})
	if err != nil {
		return err
	}
	if s.p, err = l.enter(ctx, makers()[0], fmt.Sprintf("scale-%d", tracks)); err != nil {
		return err
	}
	s.p.patience = scalePatience
	defer func() { err = errors.Join(err, l.leave(s.p)) }()
	settleDisk()
	for _, step := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"first backup", s.first},
		{"unchanged run", s.unchanged},
		{"night", s.night},
		{"checkpoint", s.checkpoint},
		{"cold drive", s.cold},
		{"search", s.search},
		{"prune --dry-run", s.prune},
	} {
		began := time.Now()
		if err := step.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		g.runs[tracks] = fmt.Sprintf("%s, %s", time.Now().Format("2006-01-02 15:04"), machine())
		if err := l.saveGrowth(g); err != nil {
			return err
		}
		fmt.Fprintf(l.log, "%s %d tracks, %s: %.1f s\n", time.Now().Format("15:04:05"), tracks, step.name, time.Since(began).Seconds())
	}
	return nil
}

// note adds what a run cost to the rows of its work.
func (s *scaled) note(work string, c cost) {
	add := func(what, unit string, digits int, v float64) { s.g.row(work+", "+what, unit, digits).add(s.tracks, v) }
	add("wall", "s", 2, c.wall)
	add("CPU", "s", 2, c.cpu)
	add("memory at most", "MB", 0, c.memory)
	add("… of it its own", "MB", 0, c.own)
	add("requests", "", 0, float64(c.Requests))
	if c.Requests > 0 {
		add("up", "MB", 2, float64(c.Up)/1e6)
		add("down", "MB", 2, float64(c.Down)/1e6)
	}
}

// backup runs one, and notes it.
func (s *scaled) backup(ctx context.Context, work string) (cost, error) {
	c, err := s.l.measure(ctx, s.p, s.p.backup(s.library))
	if err == nil {
		s.note(work, c)
	}
	return c, err
}

func (s *scaled) first(ctx context.Context) error {
	c, err := s.backup(ctx, firstBackup)
	s.g.row(firstBackup+", checkpoints made", "", 0).add(s.tracks, float64(len(checkpointsIn(c.log))))
	return err
}

func (s *scaled) unchanged(ctx context.Context) error {
	_, err := s.backup(ctx, unchangedRun)
	return err
}

func (s *scaled) night(ctx context.Context) error {
	if err := s.retag(ctx, "Sibelius", min(scaleNight, len(s.some)-1)); err != nil {
		return err
	}
	_, err := s.backup(ctx, retaggedNight)
	return err
}

// retag gives so many tracks another artist, an hour ago: who backs up what was just written
// waits until it is two seconds old.
func (s *scaled) retag(ctx context.Context, artist string, tracks int) error {
	edited, err := edit(ctx, s.library, s.some, "", artist, tracks)
	if err != nil {
		return err
	}
	then := time.Now().Add(-time.Hour)
	for _, name := range edited {
		if err := os.Chtimes(filepath.Join(s.library, name), then, then); err != nil {
			return err
		}
	}
	s.some = s.some[len(edited):]
	return nil
}

// checkpoint has the home make one after every commit, and retags a track: what comes
// behind that commit is the checkpoint.
func (s *scaled) checkpoint(ctx context.Context) error {
	config := filepath.Join(s.p.dir, "home", "config.toml")
	text, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	text = regexp.MustCompile(`(?m)^checkpoint_commits = .*$`).ReplaceAll(text, []byte("checkpoint_commits = 1"))
	if err := os.WriteFile(config, text, 0o600); err != nil {
		return err
	}
	if err := s.retag(ctx, "Rautavaara", 1); err != nil {
		return err
	}
	c, err := s.l.measure(ctx, s.p, s.p.backup(s.library))
	if err != nil {
		return err
	}
	made := checkpointsIn(c.log)
	if len(made) != 1 {
		return fmt.Errorf("%d checkpoints were made", len(made))
	}
	const work = checkpointMade
	s.g.row(work+", wall", "s", 2).add(s.tracks, made[0].wall)
	s.g.row(work+", memory at most", "MB", 0).add(s.tracks, c.memory)
	s.g.row(work+", … of it its own", "MB", 0).add(s.tracks, c.own)
	s.g.row(work+", requests", "", 0).add(s.tracks, float64(made[0].requests))
	s.g.row(work+", up", "MB", 2).add(s.tracks, float64(made[0].up)/1e6)
	return nil
}

// madeCheckpoint is what the line saw of one.
type madeCheckpoint struct {
	wall     float64 // seconds, from the commit before it on
	requests int
	up       int64
}

// checkpointsIn finds them in the log of a run: each is packs, its commit, and the hint that
// leads to it.
func checkpointsIn(log []s3proxy.Entry) (made []madeCheckpoint) {
	var commits []int // where they are in the log
	for i, e := range log {
		if e.Op != "PutObject" {
			continue
		}
		switch {
		case strings.Contains(e.Key, "/log/"), strings.HasPrefix(e.Key, "log/"):
			commits = append(commits, i)
		case strings.Contains(e.Key, "checkpoints/") && len(commits) > 1:
			at := commits[len(commits)-2]
			c := madeCheckpoint{wall: e.Start.Add(e.Took).Sub(log[at].Start.Add(log[at].Took)).Seconds(), requests: i - at}
			for _, x := range log[at+1 : i+1] {
				c.up += x.Up
			}
			made = append(made, c)
		}
	}
	return made
}

func (s *scaled) prune(ctx context.Context) error {
	c, err := s.l.measure(ctx, s.p, []string{s.l.program, "prune", "--dry-run"})
	if err == nil {
		s.note("prune --dry-run", c)
	}
	return err
}

// cold mounts the store on a computer that comes new to it, and lists all.
func (s *scaled) cold(ctx context.Context) (err error) {
	if err := s.p.forget(ctx); err != nil {
		return err
	}
	settleDisk()
	s.l.server.proxy.Reset()
	began := time.Now()
	m, err := s.l.open(ctx, s.p, s.p.views[0], s.library)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	c := cost{wall: time.Since(began).Seconds(), Stats: s.l.server.proxy.Stats()}
	used, err := cpuOf(m.cmd.Process.Pid)
	if err != nil {
		return err
	}
	c.cpu = used.Seconds()
	if c.memory, c.own, err = memories(m.cmd.Process.Pid); err != nil {
		return err
	}
	s.note(coldOpen, c)
	for _, work := range []string{listedCold, listedWarm} {
		c, err := m.during(func() (time.Time, error) { return time.Time{}, discard(ctx, "ls", listPath, m.root) })
		if err != nil {
			return err
		}
		s.note(work, c)
	}
	return nil
}

// The works, as rows and lines of the plot are called.
const (
	firstBackup    = "first backup"
	unchangedRun   = "unchanged run"
	retaggedNight  = "100 tracks retagged"
	checkpointMade = "checkpoint made"
	coldOpen       = "mounted by a new computer"
	listedCold     = "ls -lR, cold"
	listedWarm     = "ls -lR again"
	firstSearch    = "first search"
	nextSearch     = "a search"
)

// parseSizes reads "1000,10000".
func parseSizes(text string) (sizes []int, err error) {
	for _, s := range strings.Split(text, ",") {
		var n int
		if _, err := fmt.Sscanf(s, "%d", &n); err != nil || n < 10 {
			return nil, fmt.Errorf("-scale %s: no numbers of tracks", text)
		}
		sizes = append(sizes, n)
	}
	slices.Sort(sizes)
	return slices.Compact(sizes), nil
}
