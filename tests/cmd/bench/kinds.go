package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tunesafe/tunesafe/tests/musiclib"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// alac is the one container that musiclib has no maker for: it is encoded from FLAC.
const alac = "alac"

// kinds tells what a retag costs in each container, in bulk.
func (l *lab) kinds(ctx context.Context) (err error) {
	names := l.kindNames
	m := l.here[slices.IndexFunc(l.here, func(m maker) bool { return m.name == own })]
	p, err := l.enter(ctx, m, "kinds")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.leave(p)) }()
	src := filepath.Join(p.dir, libraryName)
	for _, name := range names {
		if err := l.makeKind(ctx, name, filepath.Join(src, name)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if _, err := l.measure(ctx, p, p.backup(src)); err != nil {
		return err
	}
	t := l.sheet.section("Bytes of a retag, by container",
		fmt.Sprintf("%d tracks of one kind, with a picture in each, get another artist and album artist by mutagen, in one backup: all bytes that go up, per track.", l.perKind),
		[]string{own})
	for _, name := range names {
		l.attempt(ctx, own, "retag of "+name, func() error { return l.retagKind(ctx, p, src, name, t) })
	}
	r := t.row("all of these at once", "bytes a track", 0, "300 is the aim")
	var all []string
	for _, name := range names {
		files, err := audioFiles(filepath.Join(src, name))
		if err != nil {
			return err
		}
		for _, f := range files {
			all = append(all, filepath.Join(name, f))
		}
	}
	same, _, err := samePages(ctx, src, all, "Sibelius again")
	if err != nil {
		return err
	}
	c, n, err := l.retagFiles(ctx, p, src, "", same, "Sibelius again")
	if err == nil {
		r.add(own, float64(c.Up)/float64(n))
		t.row("all of these at once, PUTs", "", 0, "").add(own, c.puts())
	}
	return err
}

func (l *lab) makeKind(ctx context.Context, name, dir string) error {
	o := musiclib.Options{Albums: max(1, l.perKind/10), TracksPerAlbum: min(10, l.perKind), TotalBytes: int64(l.perKind) * 250e3, ArtBytes: [2]int{20e3, 60e3},
		Seed: 1, Only: musiclib.Kind(name)}
	if name != alac {
		_, err := musiclib.Make(ctx, dir, o)
		return errors.Join(err, os.Remove(filepath.Join(dir, "iTunes Library.xml")))
	}
	from := filepath.Join(filepath.Dir(dir), "flac-for-alac")
	o.Only = musiclib.FLAC
	lib, err := musiclib.Make(ctx, from, o)
	if err != nil {
		return err
	}
	for _, t := range lib.Tracks {
		to := filepath.Join(dir, strings.TrimSuffix(t.Path, ".flac")+".m4a")
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, "ffmpeg", "-nostdin", "-v", "error", "-y", "-i", filepath.Join(from, t.Path), "-map", "0",
			"-c:a", "alac", "-c:v", "copy", "-disposition:v", "attached_pic", to)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("ffmpeg: %w\n%s", err, out)
		}
	}
	return os.RemoveAll(from)
}

// audioFiles lists what is below dir, relative to it.
func audioFiles(dir string) (files []string, err error) {
	err = filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		files = append(files, rel)
		return err
	})
	return files, err
}

func (l *lab) retagKind(ctx context.Context, p *peer, src, name string, t *section) error {
	files, err := audioFiles(filepath.Join(src, name))
	if err != nil {
		return err
	}
	keep, repaged, err := samePages(ctx, filepath.Join(src, name), files, "Sibelius")
	if err != nil {
		return err
	}
	for _, part := range []struct {
		files []string
		name  string
	}{{keep, name}, {repaged, name + ", those that get another number of pages"}} {
		if len(part.files) == 0 {
			continue
		}
		c, n, err := l.retagFiles(ctx, p, src, name, part.files, "Sibelius")
		if err != nil {
			return err
		}
		note := ""
		switch {
		case name == "mp3" || name == "flac":
			note = "200 is the aim"
		case strings.Contains(part.name, "pages"):
			note = "each page behind them has another number and checksum"
		}
		if n != l.perKind {
			note = strings.TrimPrefix(fmt.Sprintf("%s; %d tracks", note, n), "; ")
		}
		t.row(part.name, "bytes a track", 0, note).add(own, float64(c.Up)/float64(n))
	}
	return nil
}

func (l *lab) retagFiles(ctx context.Context, p *peer, src, folder string, files []string, to string) (cost, int, error) {
	edited, err := edit(ctx, filepath.Join(src, folder), files, "", to, len(files))
	if err != nil {
		return cost{}, 0, err
	}
	l.rest(ctx)
	c, err := l.measure(ctx, p, p.backup(src))
	return c, max(1, len(edited)), err
}

// samePages retags copies of Ogg files, to tell which get another number of pages
// by it and which do not; other files do not.
func samePages(ctx context.Context, root string, files []string, to string) (same, other []string, err error) {
	dir, err := os.MkdirTemp("", "bench-pages")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(dir)
	tried := []string{}
	copyOf := func(i int) string { return fmt.Sprintf("%d%s", i, filepath.Ext(files[i])) }
	for i, f := range files {
		if !isOgg(f) {
			continue
		}
		b, err := os.ReadFile(filepath.Join(root, f))
		if err != nil {
			return nil, nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, copyOf(i)), b, 0o644); err != nil {
			return nil, nil, err
		}
		tried = append(tried, copyOf(i))
	}
	if _, err := edit(ctx, dir, tried, "", to, len(tried)); err != nil {
		return nil, nil, err
	}
	for i, f := range files {
		if !isOgg(f) {
			same = append(same, f)
			continue
		}
		before, err := os.ReadFile(filepath.Join(root, f))
		if err != nil {
			return nil, nil, err
		}
		after, err := os.ReadFile(filepath.Join(dir, copyOf(i)))
		if err != nil {
			return nil, nil, err
		}
		if tools.OggPages(before) == tools.OggPages(after) {
			same = append(same, f)
		} else {
			other = append(other, f)
		}
	}
	return same, other, nil
}

func isOgg(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".ogg" || ext == ".opus"
}
