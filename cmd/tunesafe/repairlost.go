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
	"github.com/tunesafe/tunesafe/internal/home"
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

// lost tells of the files that lost bytes: what of each is lost and what is there, and
// the newest version that is whole.
func (o *owner) lost(ctx context.Context, done tsync.Repaired, report *control.RepairReport) error {
	if len(done.LostBlobs) == 0 {
		return nil
	}
	db, err := o.recall(ctx, func(control.PastProgress) {})
	if err != nil {
		report.Notes = append(report.Notes, "earlier versions cannot be looked for: "+oneLine(err.Error()))
		db = nil
	}
	for _, f := range done.Lost {
		l := control.LostFile{Path: []byte("/" + f.Path), Is: o.is(f), What: lossWords(f), Sought: db != nil}
		if db != nil {
			if l.Whole, err = o.lastWhole(ctx, db, f, done.LostBlobs); err != nil {
				return err
			}
		}
		report.Lost = append(report.Lost, l)
	}
	if db == nil {
		return nil
	}
	report.LostVersions, report.LostOf, err = lostVersions(db, done)
	return err
}

// is gives artist and title of a file, if they are known here.
func (d *drive) is(f tsync.LostFile) string {
	b, err := d.cache.Label(f.Ino)
	if err != nil {
		return ""
	}
	l, err := label.Decode(b)
	if err != nil {
		return ""
	}
	return labelWords(l)
}

// labelWords is what a track says of itself; empty if that is nothing.
func labelWords(l label.Label) string {
	switch {
	case l.Title == "":
		return ""
	case l.Artist == "":
		return oneLine(l.Title)
	}
	return oneLine(l.Artist) + ": " + oneLine(l.Title)
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

// lastWhole finds the newest version of a file that is whole; nil if none is.
func (d *drive) lastWhole(ctx context.Context, db *history.DB, f tsync.LostFile, lost map[repo.ID]bool) (*control.LastWhole, error) {
	v, err := d.past.LastWhole(ctx, db, f.Ino, lost)
	if err != nil || v == nil {
		return nil, err
	}
	w := &control.LastWhole{Snapshot: snapshotName(v.Moment), Time: v.Moment.Time(), Path: []byte(v.Path)}
	if l, err := d.past.Label(ctx, &v.Row); err == nil {
		w.Is = labelWords(l)
	}
	return w, nil
}

// lostVersions counts the versions that lost bytes beside those on the drive, and of how
// many files they are.
func lostVersions(db *history.DB, done tsync.Repaired) (n, of int64, err error) {
	versions, err := past.LostVersions(db, done.LostBlobs)
	if err != nil {
		return 0, 0, err
	}
	for _, f := range done.Lost {
		if versions[f.Ino]--; versions[f.Ino] <= 0 {
			delete(versions, f.Ino)
		}
	}
	for _, k := range versions {
		n += int64(k)
	}
	return n, int64(len(versions)), nil
}

// writeLost prints them, with what brings the whole ones back.
func writeLost(w io.Writer, h home.Home, r control.RepairReport) {
	in := func(is string) string {
		if is == "" {
			return ""
		}
		return " (" + is + ")"
	}
	for _, f := range r.Lost {
		fmt.Fprintf(w, "lost: %s%s: no source has %s\n", oneLine(string(f.Path)), in(f.Is), f.What)
		switch {
		case f.Whole != nil:
			at := f.Whole.Time.UTC().Format("2006-01-02T15:04:05.000Z")
			fmt.Fprintf(w, "    whole in %s%s: tunesafe restore%s --at %s %s DEST\n", f.Whole.Snapshot, in(f.Whole.Is), homeFlag(h), at, quoted(oneLine(string(f.Whole.Path))))
		case f.Sought:
			fmt.Fprintln(w, "    no earlier version of it is whole either")
		}
	}
	if r.LostVersions > 0 {
		fmt.Fprintf(w, "lost: bytes of %s, of %s, that are not on the drive now\n", count(r.LostVersions, "earlier version"), count(r.LostOf, "file"))
	}
}
