package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/sync/feed"
)

var backupCommand = &command{
	name:    "backup",
	args:    "[DIR…]",
	summary: "back up folders of this machine, straight from where they are",
	text: `Compares each DIR with its place, a folder at the top of the drive that has DIR's
name or the one given with --as, and uploads the difference. Nothing is copied on
this disk. Without DIR all folders that were backed up before are backed up again,
with the settings they were given then. It returns when everything is safe, or
with --no-wait when it is known what is to be uploaded; interrupted, it goes on
where it was when it is given again.

A file whose size and times are as they were is not read again. One that was
touched is read and not uploaded; of one that was renamed the tags are compared, and
the sound too if size or time differ. On filesystems whose ctime tells nothing, such as
exFAT, a change that keeps size and time is not seen. What is gone
from DIR goes from the place, and stays in the repository. On the drive a place is
read-only; --detach makes an ordinary folder of it, and ends its backup.

Names, times, modes, owners, symbolic and hard links, fifos and devices are kept, and
the extended attributes of the spaces user and trusted. Symbolic links are not
followed. Sockets are left out, and so is what lies below a mount point unless
--one-file-system=false, the home, and mounted drives. What cannot be read is
reported and stays in the backup as it was. A file that changes while it is read is
read again, three times, and then reported.

Patterns in the syntax of gitignore leave files out: of --exclude, and of files called
.tunesafeignore in any folder for what is below it. Left out from the start are
.DS_Store, Thumbs.db, *.part, *.crdownload and what a filesystem keeps of removed
files; a line such as !.DS_Store in a .tunesafeignore brings that back.

What looks like a disaster is held and not applied, while the rest goes on: more than
50 files and a tenth of all gone, or all of them; 100 tracks that lost title, artist
and album; 20 with other sound under the same tags, or that are no tracks any more; one
with other sound whose tags, size and time are as before, as when a disk fails; an
iTunes library that is cut off. tunesafe approve lets the next backup apply it, tunesafe
reject keeps the backup as it is.

A disk may lose bits of a file that nobody wrote to; nothing tells that but reading it.
With --verify-part 1/90 that share of each folder is read again from the disk, what was read
the longest ago, and compared with what is in the store. What differs is held: the good version
stays in the backup. An agent does this each night.

The exit status is 4 if something could not be read, and 5 if something is held.`,
	bind: bindBackup,
}

// backupOptions are the flags of backup.
type backupOptions struct {
	as       string
	exclude  []string
	dryRun   bool
	noWait   bool
	takeOver bool
	detach   string
	oneFS    bool
	again    string
}

func bindBackup(f *pflag.FlagSet) action {
	var o backupOptions
	f.StringVar(&o.as, "as", "", "the `NAME` of the place on the drive (default that of the folder)")
	f.StringArrayVar(&o.exclude, "exclude", nil, "leave out what matches a `PATTERN`; may be given again; \"\" alone forgets those of before")
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would be done, and do nothing")
	f.BoolVar(&o.noWait, "no-wait", false, "do not wait for the upload")
	f.BoolVar(&o.oneFS, "one-file-system", true, "stay on the filesystem of the folder")
	f.BoolVar(&o.takeOver, "take-over", false, "feed the folder of that name that the drive has already, as after a disk was lost")
	f.StringVar(&o.detach, "detach", "", "make the place `NAME` an ordinary folder of the drive")
	f.StringVar(&o.again, "verify-part", "", "read a `PART` of the folders again, such as 1/90: what was read the longest ago")
	return func(ctx context.Context, e *env, args []string) error {
		if o.detach != "" {
			if err := want(args, 0, 0, ""); err != nil {
				return err
			}
			return detachPlace(ctx, e, o.detach)
		}
		if o.as != "" && len(args) != 1 {
			return misuse("--as needs one DIR")
		}
		r, err := o.request(args, f.Changed("exclude"), f.Changed("one-file-system"))
		if err != nil {
			return err
		}
		return backup(ctx, e, r)
	}
}

// request puts the flags into the words of package control.
func (o *backupOptions) request(dirs []string, excludes, devices bool) (r control.BackupRequest, err error) {
	if len(dirs) == 0 && (excludes || devices || o.takeOver) {
		return r, misuse("settings are given with the DIR they are for")
	}
	if strings.Contains(o.as, "/") || o.as == "." || o.as == ".." {
		return r, misuse("--as %q is no name", o.as)
	}
	r = control.BackupRequest{As: []byte(o.as), DryRun: o.dryRun, NoWait: o.noWait, TakeOver: o.takeOver}
	if o.again != "" {
		if r.ReadAgain, err = parsePart(o.again); err != nil {
			return r, err
		}
	}
	for _, dir := range dirs {
		path, err := resolve(dir)
		if err != nil {
			return r, err
		}
		r.Dirs = append(r.Dirs, []byte(path))
	}
	if excludes {
		r.Exclude = &o.exclude
	}
	if devices {
		cross := !o.oneFS
		r.CrossDevice = &cross
	}
	return r, nil
}

func backup(ctx context.Context, e *env, r control.BackupRequest) error {
	p := newProgress(e.stderr)
	return withOwner(ctx, e, func(o control.Owner) error {
		report, err := o.Backup(ctx, r, func(now control.BackupProgress) { p.draw(backupLine(now)) })
		p.clear()
		for _, place := range report.Places {
			fmt.Fprint(e.stdout, fedText(place, r.DryRun))
			showNotes(e.stderr, place)
		}
		if err != nil {
			return err
		}
		fmt.Fprint(e.stdout, backedUpText(report, r))
		return backupEnd(report)
	})
}

// backupEnd is the error that says what of a backup is missing.
func backupEnd(report control.BackupReport) error {
	var failed, held int64
	for _, p := range report.Places {
		if p.Fault != nil {
			return p.Fault
		}
		failed += p.Failed + int64(len(p.Busy))
		for _, h := range p.Held {
			if h.Decision == "" {
				held += h.Files
			}
		}
	}
	switch {
	case held > 0:
		return fmt.Errorf("%s: %w", count(held, "file"), errHeld)
	case failed > 0:
		return fmt.Errorf("%s: %w", count(failed, "name"), errPartly)
	}
	return nil
}

func detachPlace(ctx context.Context, e *env, name string) error {
	return withOwner(ctx, e, func(o control.Owner) error {
		if err := o.Detach(ctx, control.DetachRequest{Name: []byte(name)}); err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "%s is an ordinary folder of the drive now\n", name)
		return nil
	})
}

// backupLine is one line on how a backup goes.
func backupLine(p control.BackupProgress) string {
	if p.Upload != nil {
		return uploadLine(*p.Upload)
	}
	line := fmt.Sprintf("%s: %s", p.Place, p.Phase)
	switch p.Phase {
	case feed.PhaseScan:
		line += ", " + count(p.Scanned, "name")
		if p.New > 0 {
			line += ", " + number(p.New) + " new"
		}
		if p.Changed > 0 {
			line += ", " + number(p.Changed) + " changed"
		}
	case feed.PhaseSurvey, feed.PhaseApply:
		line += fmt.Sprintf(", %s of %s", number(p.Done), number(p.Of))
	}
	return line
}

// fedText sums up what was found in one place.
func fedText(p control.PlaceReport, dryRun bool) string {
	if p.Fault != nil {
		return ""
	}
	var found []string
	add := func(n int64, what string) {
		if n > 0 {
			found = append(found, number(n)+" "+what)
		}
	}
	add(p.New, "new")
	add(p.Changed, "changed")
	add(p.Attributes, "with other attributes")
	add(p.Moved, "moved")
	add(p.Gone, "gone")
	add(p.Unchanged, "unchanged")
	if len(found) == 0 {
		found = []string{"no files"}
	}
	text := fmt.Sprintf("%s: %s", p.Name, strings.Join(found, ", "))
	if dryRun {
		text += "; nothing was done"
	}
	text += "\n"
	if a := p.ReadAgain; a != nil {
		text += fmt.Sprintf("read again: %s (%s) as before", count(a.Files, "file"), size(a.Bytes))
		if a.Suspects > 0 {
			text += fmt.Sprintf(", %s not", number(a.Suspects))
		}
		text += "\n"
	}
	if n := p.Excluded; n > 0 {
		text += fmt.Sprintf("left out by patterns: %s\n", count(n, "name"))
	}
	for _, s := range p.Skipped {
		text += fmt.Sprintf("left out: %q: %s\n", s.Path, s.Text)
	}
	for _, l := range p.Libraries {
		if l.Missing > 0 {
			text += fmt.Sprintf("%s: %s in it but on no disk of this computer; tunesafe picture names some\n", l.Path, areTracks(l.Missing))
		}
	}
	return text
}

// quoted makes one word of a shell's command line of a path.
func quoted(path string) string {
	if strings.IndexFunc(path, func(r rune) bool { return r <= ' ' || strings.ContainsRune("'\"\\$`*?[]()<>|&;!#~{}", r) }) < 0 {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// shownNotes is how many names of a kind people see.
const shownNotes = 10

// showNotes warns of what was not backed up.
func showNotes(w io.Writer, p control.PlaceReport) {
	for _, n := range p.Problems[:min(len(p.Problems), shownNotes)] {
		warn(w, &control.Fault{Text: n.Text})
	}
	if more := p.Failed - int64(min(len(p.Problems), shownNotes)); more > 0 {
		warn(w, &control.Fault{Text: fmt.Sprintf("%s: %s more could not be read", p.Name, number(more))})
	}
	for _, b := range p.Busy[:min(len(p.Busy), shownNotes)] {
		warn(w, &control.Fault{Text: fmt.Sprintf("%s/%s: changed while it was read", p.Root, b)})
	}
	for _, l := range p.Libraries {
		if l.Damage != "" {
			warn(w, &control.Fault{Text: fmt.Sprintf("%s/%s: %s", p.Root, l.Path, l.Damage)})
		}
		for _, f := range l.Folders {
			warn(w, &control.Fault{Text: fmt.Sprintf("%s of %s not in %s but in %s", areTracks(f.Tracks), l.Path, p.Root, f.Path),
				Hint: "to back it up too: tunesafe backup " + quoted(f.Path)})
		}
	}
	for _, h := range p.Held {
		warn(w, &control.Fault{Text: h.Text})
		for _, s := range h.Sample[:min(len(h.Sample), 3)] {
			fmt.Fprintf(w, "  such as %q\n", s)
		}
	}
}

func backedUpText(r control.BackupReport, asked control.BackupRequest) string {
	switch {
	case asked.DryRun:
		return ""
	case r.Waiting:
		return "what differs is taken in; tunesafe wait returns when it is safe\n"
	}
	return fmt.Sprintf("everything is %s; %s uploaded\n", r.SafeWord, size(r.Uploaded))
}
