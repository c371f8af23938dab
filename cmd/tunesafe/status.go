package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/home"
)

var statusCommand = &command{
	name:    "status",
	summary: "show what is safe, what waits, and what went wrong",
	text: `Shows what is safe in the store, what still waits, and what went wrong lately.
On a terminal it is drawn anew while something is uploaded; Ctrl-C ends that, and
not the upload. Where the store is on this machine the word is "copied on this
computer", as that is not safe.

With --check it is for programs that watch over this: it prints only what needs a
person, and the exit status is 6 if anything does: the store refuses, the disk of the
home fails, something in the store is damaged, or nothing was backed up for a week.

With --json one object is printed, with at least pid (of the process that serves
the drive, 0 if there is none), safe_files, waiting_files, waiting_bytes,
uploaded_bytes and uploaded_objects (request bodies since init), labour_safe_since
(names, tags, art, libraries and playlists; not there while some wait), audio_bytes,
audio_safe_bytes, and days_left.`,
	bind: bindStatus,
}

func bindStatus(f *pflag.FlagSet) action {
	asJSON := f.Bool("json", false, "print one JSON object")
	check := f.Bool("check", false, "print only what needs a person, and exit with 6 if something does")
	watch := f.Bool("watch", false, "go on drawing, also when everything is safe")
	return func(ctx context.Context, e *env, args []string) error {
		if err := want(args, 0, 0, ""); err != nil {
			return err
		}
		if *asJSON && *watch {
			return misuse("--json and --watch exclude each other")
		}
		return withOwner(ctx, e, func(o control.Owner) error {
			s, err := o.Status(ctx)
			if err != nil {
				return err
			}
			if *check {
				return checkStatus(e, s)
			}
			if *asJSON {
				out := json.NewEncoder(e.stdout)
				out.SetIndent("", "  ")
				return out.Encode(s)
			}
			return showStatus(ctx, e, o, s, *watch)
		})
	}
}

// showStatus prints once, or as long as there is something to see.
func showStatus(ctx context.Context, e *env, o control.Owner, s control.Status, watch bool) error {
	live := s.PID != 0 && isTerminal(e.stdout)
	if !live || !watch && s.Safe() {
		_, err := fmt.Fprint(e.stdout, statusText(s, e.home, time.Now()))
		return err
	}
	screen := newProgress(e.stdout)
	for {
		screen.draw(statusText(s, e.home, time.Now()))
		if s.Safe() && !watch {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(statusPause):
		}
		var err error
		s, err = o.Status(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, control.ErrNoOwner), errors.Is(err, control.ErrEnded):
			fmt.Fprintln(e.stdout, "\nthe drive was unmounted")
			return nil
		case err != nil:
			return err
		}
	}
}

// checkStatus is for programs that watch over many things.
func checkStatus(e *env, s control.Status) error {
	for _, n := range s.Needs {
		warn(e.stdout, &n)
	}
	if len(s.Needs) > 0 {
		return errNeeded
	}
	return nil
}

// shownErrors is how many of the latest errors people see.
const shownErrors = 5

// statusText is the view for people.
func statusText(s control.Status, h home.Home, now time.Time) string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	row := func(name, format string, a ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, a...)) }
	row("drive", "%s", driveText(s))
	row("store", "%s", s.Store)
	row(s.SafeWord, "%s (%s)", count(s.SafeFiles, "file"), size(s.SafeBytes))
	row("waiting", "%s", strings.TrimPrefix(uploadLine(s), "waiting: "))
	if text := labourText(s); text != "" {
		row("labour", "%s", text)
	}
	if text := audioText(s); text != "" {
		row("audio", "%s", text)
	}
	row("uploaded", "%s in %s since init", size(s.UploadedBytes), count(s.UploadedObjects, "object"))
	if s.LastCommit != nil {
		row("last commit", "%s", humanize.RelTime(*s.LastCommit, now, "ago", "from now"))
	}
	if text := workText(s.Agent, now); text != "" {
		row("agent", "%s", text)
	}
	if text := scanText(s.Agent, now); text != "" {
		row("last scan", "%s", text)
	}
	if s.Page != "" {
		row("page", "%s (tunesafe web lets a browser in)", s.Page)
	} else if s.PageFault != nil {
		row("page", "not served: %s", s.PageFault.Text)
	}
	pinned, instant := keptTexts(s.Kept)
	if pinned != "" {
		row("pinned", "%s", pinned)
	}
	if instant != "" {
		row("instant", "%s", instant)
	}
	if s.Lock != nil {
		row("locked", "%s", lockedText(*s.Lock))
	}
	if text := checkedText(s.Health, now); text != "" {
		row("store read", "%s", text)
	}
	if s.Health != nil && s.Health.Rehearsed != nil {
		row("restore", "%s", rehearsedText(*s.Health.Rehearsed))
	}
	if s.Phase != "" && s.PID != 0 && !s.Safe() {
		row("now", "%s", s.Phase)
	}
	if s.DiskFull {
		row("disk", "full: nothing new is accepted until there is room on the disk of %s; nothing is lost, uploading goes on", s.Home)
	}
	if s.DiskError != nil {
		row("disk", "%s", "no change is accepted: it fails, or is read-only")
	}
	for _, p := range s.Places {
		row("backup", "%s", placeStatusText(p, now))
	}
	t.Flush()
	for _, p := range s.Places {
		writeHeld(&b, p)
	}
	if s.DiskError != nil {
		fmt.Fprintf(&b, "\nthe disk of %s: %s\nhint: %s\n", s.Home, s.DiskError.Text, s.DiskError.Hint)
	}
	if s.Health != nil && s.Health.Damaged > 0 {
		fmt.Fprintf(&b, "\n%s\nhint: %s\n", damagedText(*s.Health), damagedHint)
	}
	if h := s.Health; h != nil && h.Rehearsed != nil && len(h.Rehearsed.Problems) > 0 {
		fmt.Fprintf(&b, "\nin the rehearsal of a restore: %s\nhint: %s\n", h.Rehearsed.Problems[0], rehearsalHint)
	}
	if s.Trouble != nil {
		fmt.Fprintf(&b, "\nuploads wait: %s\n", s.Trouble.Text)
		if s.Trouble.Hint != "" {
			fmt.Fprintf(&b, "hint: %s", s.Trouble.Hint)
			if !s.Trouble.Final {
				b.WriteString("; they go on by themselves")
			}
			b.WriteString("\n")
		}
	}
	for i, e := range s.Errors[max(len(s.Errors)-shownErrors, 0):] {
		if i == 0 {
			fmt.Fprintln(&b, "\nwent wrong lately:")
		}
		fmt.Fprintf(&b, "  %s  %s\n", e.Time.Local().Format(time.DateTime), oneLine(e.Text))
	}
	if s.SafeWord == localWord {
		fmt.Fprintln(&b, "\nthe store is on this computer: a copy, and not yet a backup")
	}
	if s.Unsaved {
		fmt.Fprintf(&b, "\nkeep a copy of %s elsewhere; when you have: tunesafe recovery-key --saved%s\n", h.RecoveryFile(), homeFlag(h))
	}
	return b.String()
}

// labourText tells since when what cannot be bought or ripped again is in the
// store: names, tags, art, libraries and playlists.
func labourText(s control.Status) string {
	switch {
	case s.SafeFiles+s.WaitingFiles == 0:
		return ""
	case s.LabourSince != nil:
		return fmt.Sprintf("all names, tags, art and playlists are %s since %s", s.SafeWord, s.LabourSince.Local().Format(time.DateTime))
	}
	return "some names, tags, art or playlists wait"
}

// audioText tells how much of the rest is there, while some is not.
func audioText(s control.Status) string {
	if s.AudioBytes == 0 || s.AudioSafe >= s.AudioBytes {
		return ""
	}
	text := fmt.Sprintf("%d %% of %s %s", 100*s.AudioSafe/s.AudioBytes, size(s.AudioBytes), s.SafeWord)
	if left := leftText(s); left != "" {
		text += ", " + left + " at this rate"
	}
	return text
}

func driveText(s control.Status) string {
	if s.PID == 0 {
		return "not mounted"
	}
	var dirs []string
	for _, m := range s.Mounts {
		dir := m.Dir
		if m.ReadOnly {
			dir += " (read-only)"
		}
		dirs = append(dirs, dir)
	}
	if len(dirs) == 0 && s.Agent != nil && s.Agent.Runs {
		dirs = []string{"not mounted, agent"}
	} else if len(dirs) == 0 {
		dirs = []string{"not mounted yet"}
	}
	return fmt.Sprintf("%s, process %d", strings.Join(dirs, ", "), s.PID)
}
