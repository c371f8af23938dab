package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/sync/feed"
)

// This file is where the words of a backup are put into those of package control.

func feedProgress(p cache.Place, f feed.Progress) control.BackupProgress {
	now := control.BackupProgress{Place: []byte(p.Name), Phase: f.Phase, Scanned: f.Scanned, New: f.New, Changed: f.Changed}
	switch f.Phase {
	case feed.PhaseSurvey:
		now.Done, now.Of = f.Surveyed, f.Changed
	case feed.PhaseApply:
		now.Done, now.Of = min(f.Applied, f.ToApply), f.ToApply
	}
	return now
}

func placeReport(p cache.Place, r feed.Report) control.PlaceReport {
	out := control.PlaceReport{
		Name: []byte(p.Name), Root: []byte(p.Root), Files: r.Files, Bytes: r.NewBytes, New: r.New, Changed: r.Changed,
		Attributes: r.Attributes, Moved: r.Moved, Gone: r.Gone, Unchanged: r.Unchanged, Excluded: r.Excluded, Failed: r.Failed,
		Held: heldWords(p, r.Held),
	}
	for _, s := range r.Skipped {
		out.Skipped = append(out.Skipped, control.PathNote{Path: []byte(s.Path), Text: s.Why})
	}
	for _, f := range r.Problems {
		out.Problems = append(out.Problems, control.PathNote{Path: []byte(f.Path), Text: oneLine(f.Err.Error())})
	}
	for _, b := range r.Busy {
		out.Busy = append(out.Busy, []byte(b))
	}
	return out
}

func heldWords(p cache.Place, held []feed.Held) (list []control.Held) {
	for _, h := range held {
		w := control.Held{
			Place: []byte(p.Name), Root: []byte(p.Root), Kind: string(h.Kind), Files: h.Files, Of: h.Of, Since: h.Since,
			Decision: string(h.Decision), Text: heldText(p, h),
		}
		for _, s := range h.Sample {
			w.Sample = append(w.Sample, []byte(s))
		}
		list = append(list, w)
	}
	return list
}

// heldText says what is held, for people.
func heldText(p cache.Place, h feed.Held) string {
	word := "held"
	if h.Decision != "" {
		word = string(h.Decision)
	}
	n := fmt.Sprintf("%s: %s of %s", word, number(h.Files), count(h.Of, "file"))
	switch h.Kind {
	case feed.Gone:
		return fmt.Sprintf("%s are gone from %s", n, p.Root)
	case feed.Emptied:
		return fmt.Sprintf("%s in %s lost title, artist and album", n, p.Root)
	case feed.Rotten:
		return fmt.Sprintf("%s in %s have other sound under the same tags", n, p.Root)
	case feed.Rot:
		return fmt.Sprintf("%s in %s have other bytes, and tags, size and time as before: the disk may be failing; the backup keeps the good ones", n, p.Root)
	case feed.Encrypted:
		return fmt.Sprintf("%s in %s are no music any more", n, p.Root)
	case feed.Library:
		return fmt.Sprintf("%s: the library in %s is cut off or cannot be read", word, p.Root)
	}
	return n
}

func placeStatusText(p control.PlaceStatus, now time.Time) string {
	text := fmt.Sprintf("%s, from %s", p.Name, p.Root)
	if p.LastRun == nil {
		return text + ", not finished yet"
	}
	return text + ", " + humanize.RelTime(*p.LastRun, now, "ago", "from now")
}

// writeHeld says what the brake holds and what to do about it.
func writeHeld(b *strings.Builder, p control.PlaceStatus) {
	asks, rot := false, ""
	for _, h := range p.Held {
		fmt.Fprintf(b, "\n%s\n", h.Text)
		for _, s := range h.Sample[:min(len(h.Sample), 3)] {
			fmt.Fprintf(b, "  such as %q\n", s)
		}
		asks = asks || h.Decision == ""
		if h.Kind == string(feed.Rot) && len(h.Sample) > 0 {
			rot = string(h.Sample[0])
		}
	}
	if asks && rot != "" {
		fmt.Fprintf(b, "hint: %s\n", rotHint(string(p.Name), rot))
	}
	if asks {
		fmt.Fprintf(b, "hint: if this was meant: tunesafe approve %s; if not: mend the folder, or tunesafe reject %s\n", p.Name, p.Name)
	}
}

// rotHint is how to get back a file that the disk lost bits of.
func rotHint(place, file string) string {
	return fmt.Sprintf("tunesafe restore %s DIR gets the good one back; copy it over the other, and back up again", quoted(place+"/"+file))
}

// below gives the path of a name of the drive beneath a folder of it.
func below(path, dir string) (string, bool) { return strings.CutPrefix(path, dir+"/") }
