package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/history"
	"github.com/tunesafe/tunesafe/internal/label"
	"github.com/tunesafe/tunesafe/internal/repo"
	tsync "github.com/tunesafe/tunesafe/sync"
	"github.com/tunesafe/tunesafe/sync/past"
)

// partWords are the kinds of part as people call them.
var partWords = map[string]string{
	repo.Tags: "its tags", repo.Art: "its pictures", repo.Audio: "its sound", repo.Data: "its content",
	repo.IndexPart: "its tables", repo.Probe: "its tables", repo.Seals: "its checksums",
}

// writeLost names the files that lost bytes: what of each is lost and what is there, and
// the newest version that is whole.
func (d *drive) writeLost(ctx context.Context, e *env, done tsync.Repaired) error {
	if len(done.LostBlobs) == 0 {
		return nil
	}
	o := &owner{drive: d}
	db, err := o.recall(ctx, func(control.PastProgress) {})
	if err != nil {
		fmt.Fprintf(e.stdout, "note: earlier versions cannot be looked for: %s\n", oneLine(err.Error()))
		db = nil
	}
	for _, f := range done.Lost {
		fmt.Fprintf(e.stdout, "lost: %s: no source has %s\n", d.fileWords(f), lossWords(f))
		if db == nil {
			continue
		}
		if err := d.writeWhole(ctx, e, db, f, done.LostBlobs); err != nil {
			return err
		}
	}
	if db == nil {
		return nil
	}
	return writeLostVersions(e.stdout, db, done)
}

// fileWords is the path of a file, with artist and title if they are known here.
func (d *drive) fileWords(f tsync.LostFile) string {
	words := "/" + oneLine(f.Path)
	b, err := d.cache.Label(f.Ino)
	if err != nil {
		return words
	}
	l, err := label.Decode(b)
	if err != nil {
		return words
	}
	return words + labelWords(l)
}

// labelWords is what a track says of itself, in brackets; empty if that is nothing.
func labelWords(l label.Label) string {
	switch {
	case l.Title == "":
		return ""
	case l.Artist == "":
		return " (" + oneLine(l.Title) + ")"
	}
	return " (" + oneLine(l.Artist) + ": " + oneLine(l.Title) + ")"
}

// lossWords tells what of a file is lost, and what is there.
func lossWords(f tsync.LostFile) string {
	var lost []string
	for _, kind := range slices.Sorted(maps.Keys(f.Kinds)) {
		lost = append(lost, fmt.Sprintf("%s of %s", size(f.Kinds[kind]), wordOfPart(kind)))
	}
	words := strings.Join(lost, ", ")
	var whole []string
	for _, kind := range f.Whole {
		if word := wordOfPart(kind); !slices.Contains(whole, word) {
			whole = append(whole, word)
		}
	}
	if len(whole) > 0 {
		words += "; whole: " + strings.Join(whole, ", ")
	}
	return words
}

func wordOfPart(kind string) string {
	if word, ok := partWords[kind]; ok {
		return word
	}
	return "its " + kind
}

// writeWhole names the newest version of a file that is whole, and what brings it back.
func (d *drive) writeWhole(ctx context.Context, e *env, db *history.DB, f tsync.LostFile, lost map[repo.ID]bool) error {
	v, err := d.past.LastWhole(ctx, db, f.Ino, lost)
	if err != nil {
		return err
	}
	if v == nil {
		fmt.Fprintln(e.stdout, "    no earlier version of it is whole either")
		return nil
	}
	at := v.Moment.Time().Format("2006-01-02T15:04:05.000Z")
	is := ""
	if l, err := d.past.Label(ctx, &v.Row); err == nil {
		is = labelWords(l)
	}
	fmt.Fprintf(e.stdout, "    whole in %s%s: tunesafe restore%s --at %s %s DEST\n", snapshotName(v.Moment), is, homeFlag(d.home), at, quoted(oneLine(v.Path)))
	return nil
}

// writeLostVersions tells of the versions that lost bytes beside those on the drive.
func writeLostVersions(w io.Writer, db *history.DB, done tsync.Repaired) error {
	versions, err := past.LostVersions(db, done.LostBlobs)
	if err != nil {
		return err
	}
	for _, f := range done.Lost {
		if versions[f.Ino]--; versions[f.Ino] <= 0 {
			delete(versions, f.Ino)
		}
	}
	n := 0
	for _, k := range versions {
		n += k
	}
	if n > 0 {
		fmt.Fprintf(w, "lost: bytes of %s, of %s, that are not on the drive now\n", count(int64(n), "earlier version"), count(int64(len(versions)), "file"))
	}
	return nil
}
