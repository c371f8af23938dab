package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/sync/library"
)

var pictureCommand = &command{
	name:    "picture",
	args:    "[PATH]",
	summary: "tell what the library is made of: tracks, hours, formats, and how much is safe",
	text: `Prints the picture of the drive, or of the folder PATH on it: tracks, artists,
albums and hours, the formats, what was bought and what was ripped from a disc, and
how much of it is safe. Of a folder that is backed up and holds a library of iTunes
or Music also what that library says: tracks that are missing or lie elsewhere,
ratings, plays and playlists.

Everything comes from what is known on this computer: nothing is read from the
store. Files that were backed up by an older version count as not looked at until
they change.

With --json one object is printed. Sizes are bytes.`,
	bind: bindPicture,
}

func bindPicture(f *pflag.FlagSet) action {
	asJSON := f.Bool("json", false, "print one JSON object")
	return func(ctx context.Context, e *env, args []string) error {
		if err := want(args, 0, 1, "PATH"); err != nil {
			return err
		}
		path := "/"
		if len(args) == 1 {
			path = args[0]
		}
		return withOwner(ctx, e, func(o control.Owner) error {
			p, err := o.Picture(ctx, control.PictureRequest{Path: []byte(path)})
			if err != nil {
				return err
			}
			if *asJSON {
				out := json.NewEncoder(e.stdout)
				out.SetIndent("", "  ")
				return out.Encode(p)
			}
			_, err = fmt.Fprint(e.stdout, pictureText(p))
			return err
		})
	}
}

// pictureText is the picture for people.
func pictureText(p control.Picture) string {
	if p.Files == 0 {
		return "there are no files\n"
	}
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	row := func(name, format string, a ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, a...)) }
	if p.Tracks > 0 {
		row("tracks", "%s by %s on %s, %s", number(p.Tracks), count(p.Artists, "artist"), count(p.Albums, "album"), hours(p.Seconds))
	}
	row("size", "%s in %s", size(p.Bytes), count(p.Files, "file"))
	if p.ArtBytes > 0 {
		row("art", "%s of pictures in them", size(p.ArtBytes))
	}
	safeRows(row, p)
	originRows(row, p)
	if p.Untagged > 0 {
		row("untagged", "%s without title, artist and album", count(p.Untagged, "track"))
	}
	if p.Unread > 0 {
		row("not looked at", "%s, backed up before or not yet", count(p.Unread, "file"))
	}
	t.Flush()
	b.WriteString(formatText(p))
	for _, place := range p.Places {
		b.WriteString(placeText(place))
	}
	return b.String()
}

// safeRows tell how much is in the store.
func safeRows(row func(name, format string, a ...any), p control.Picture) {
	switch {
	case p.LabourWaiting > 0:
		row("labour", "names and tags of %s of %s %s", number(p.Files-p.LabourWaiting), count(p.Files, "file"), p.SafeWord)
	default:
		row("labour", "all names, tags and art %s", p.SafeWord)
	}
	if p.AudioBytes > 0 {
		row("audio", "%d %% of %s %s", 100*p.AudioSafe/p.AudioBytes, size(p.AudioBytes), p.SafeWord)
	}
}

// originRows tell what can be had again.
func originRows(row func(name, format string, a ...any), p control.Picture) {
	if p.Bought.Tracks+p.Ripped.Tracks == 0 {
		return
	}
	of := func(n control.PictureCount) string { return count(n.Tracks, "track") + ", " + size(n.Bytes) }
	row("bought", "%s", of(p.Bought))
	row("ripped", "%s", of(p.Ripped))
	row("unknown", "%s: nothing tells where they came from", of(p.Unknown))
}

// formatText is the table of formats.
func formatText(p control.Picture) string {
	if len(p.Formats) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\n")
	t := tabwriter.NewWriter(&b, 0, 0, 3, ' ', tabwriter.AlignRight)
	for _, f := range p.Formats {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t\n", f.Name, count(f.Tracks, "track"), size(f.Bytes), hours(f.Seconds))
	}
	t.Flush()
	return b.String()
}

// placeText tells of a folder that is backed up, and of the libraries in it.
func placeText(p control.PicturePlace) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s, from %s\n", shown([]byte(p.Name), false), shown([]byte(p.Root), false))
	for _, l := range p.Libraries {
		fmt.Fprintf(&b, "  %s: %s, %s, %s, %s\n", shown([]byte(l.Path), false), count(l.Tracks, "track"),
			count(l.Rated, "rating"), count(l.Plays, "play"), count(l.Playlists, "playlist"))
		for _, line := range libraryLines(l) {
			fmt.Fprintf(&b, "    %s\n", line)
		}
	}
	return b.String()
}

// libraryLines tell what a library says that somebody should know.
func libraryLines(l control.PictureLibrary) (lines []string) {
	say := func(format string, a ...any) { lines = append(lines, fmt.Sprintf(format, a...)) }
	if l.Missing > 0 {
		say("%s in it but on no disk of this computer, such as", areTracks(l.Missing))
		for _, e := range l.Examples {
			say("  %s", shown([]byte(e), false))
		}
	}
	if l.Elsewhere > 0 {
		say("%s outside this folder; back up too:", lieTracks(l.Elsewhere))
		for _, f := range l.Folders {
			say("  %s (%s)", shown([]byte(f.Path), false), count(f.Tracks, "track"))
		}
	}
	if l.Exported > 0 {
		say("%s on the drive in %s", count(l.Exported, "playlist"), library.Folder)
	}
	if l.Damage != "" {
		say("not all of it could be read: %s", l.Damage)
	}
	return lines
}

func areTracks(n int64) string {
	if n == 1 {
		return "1 track is"
	}
	return number(n) + " tracks are"
}

func lieTracks(n int64) string {
	if n == 1 {
		return "1 track lies"
	}
	return number(n) + " tracks lie"
}

func number(n int64) string { return humanize.Comma(n) }

// hours is a length as people say it.
func hours(seconds float64) string {
	switch m := int64(seconds/60 + 0.5); {
	case seconds < 60:
		return fmt.Sprintf("%.0f s", seconds)
	case m < 60:
		return fmt.Sprintf("%d min", m)
	case m < 100*60:
		return fmt.Sprintf("%d h %d min", m/60, m%60)
	default:
		return number(m/60) + " hours"
	}
}
