package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/home"
	"github.com/tunesafe/tunesafe/internal/price"
	"github.com/tunesafe/tunesafe/internal/retain"
	tsync "github.com/tunesafe/tunesafe/sync"
)

// errNotDeleted: the store refused to delete something.
var errNotDeleted = errors.New("could not be deleted")

var pruneCommand = &command{
	name:    "prune",
	summary: "delete from the store what nothing that is kept needs",
	text: `Deletes what neither the drive nor what is kept of its past needs. By default every version
of every tag, picture and name is kept for ever, and sound and other large data that is
no longer on the drive for 90 days (--keep-sound).

With one of the other --keep flags, or the same settings in the table [keep] of the home's
config.toml, snapshots are kept as restic's forget keeps them, each of them whole; those
that no rule keeps are shown no more, and what only they needed is deleted, tags too. A
count of -1 is all.

What is to be deleted is condemned first, and deleted once every other device of the
repository has been started since, as it may still build on it. Packs of which less than half
is needed are copied together. It is safe to interrupt, and while the drive is in use. With
--dry-run nothing is changed. An agent does it once a week, but not while a backup holds
changes that look like a disaster.

The exit status is 4 if the store refused to delete something.`,
	bind: bindPrune,
}

func bindPrune(f *pflag.FlagSet) action {
	dry := f.BoolP("dry-run", "n", false, "tell what would be deleted, and change nothing")
	var k control.PruneKeep
	f.IntVar(&k.Last, "keep-last", 0, "keep the newest `N` snapshots")
	f.IntVar(&k.Hourly, "keep-hourly", 0, "keep the last snapshot of each of the last `N` hours that have one")
	f.IntVar(&k.Daily, "keep-daily", 0, "of each of the last `N` days")
	f.IntVar(&k.Weekly, "keep-weekly", 0, "of each of the last `N` weeks")
	f.IntVar(&k.Monthly, "keep-monthly", 0, "of each of the last `N` months")
	f.IntVar(&k.Yearly, "keep-yearly", 0, "of each of the last `N` years")
	f.StringVar(&k.Within, "keep-within", "", "keep all snapshots of so much `TIME` before the newest, such as 90d or 1y6m")
	f.StringVar(&k.Sound, "keep-sound", "", "keep sound that is on the drive no more for a `TIME`, or \"all\" (default 90d)")
	return func(ctx context.Context, e *env, args []string) error {
		if err := want(args, 0, 0, ""); err != nil {
			return err
		}
		r := control.PruneRequest{DryRun: *dry}
		f.Visit(func(flag *pflag.Flag) {
			if strings.HasPrefix(flag.Name, "keep-") {
				r.Keep = &k
			}
		})
		if _, err := keepOf(home.Keep{}, r.Keep); err != nil {
			return misuse("%v", err)
		}
		p := newProgress(e.stderr)
		return withOwner(ctx, e, func(o control.Owner) error {
			report, err := o.Prune(ctx, r, func(now control.PruneProgress) { p.draw(now.Phase) })
			p.clear()
			if err != nil {
				return err
			}
			printPruned(e.stdout, report)
			if report.Denied > 0 {
				return fmt.Errorf("%s of %s %w: %s", count(report.Denied, "object"), size(report.DeniedBytes), errNotDeleted, report.DeniedBecause)
			}
			return nil
		})
	}
}

// defaultSound is how long sound is kept that is on the drive no more.
const defaultSound = "90d"

// keepOf understands what is to be kept: what was given, or else what the home says.
func keepOf(c home.Keep, given *control.PruneKeep) (k tsync.Keep, err error) {
	if given != nil {
		c = home.Keep{Rules: retain.Rules{Last: given.Last, Hourly: given.Hourly, Daily: given.Daily, Weekly: given.Weekly,
			Monthly: given.Monthly, Yearly: given.Yearly, Within: given.Within}, Sound: given.Sound}
	}
	if err := c.Check(); err != nil {
		return k, err
	}
	k.Rules = c.Rules
	switch c.Sound {
	case "all":
	case "":
		c.Sound = defaultSound
		fallthrough
	default:
		if k.Sound, err = retain.ParseSpan(c.Sound); err == nil && k.Sound.IsZero() {
			err = fmt.Errorf("%q %w: sound is kept for a time, such as 90d, or all", c.Sound, retain.ErrRule)
		}
	}
	return k, err
}

// ruleText says what is kept.
func ruleText(k tsync.Keep) string {
	if k.None() {
		if k.Sound.IsZero() {
			return "every version of everything"
		}
		return "every version of tags and names; sound for " + k.Sound.String() + " after it left the drive"
	}
	return "snapshots: " + k.Rules.String()
}

// Prune implements [control.Owner].
func (o *owner) Prune(ctx context.Context, r control.PruneRequest, progress func(control.PruneProgress)) (control.PruneReport, error) {
	c, err := o.home.Config()
	if err != nil {
		return control.PruneReport{}, err
	}
	keep, err := keepOf(c.Keep, r.Keep)
	if err != nil {
		return control.PruneReport{}, fmt.Errorf("%s: [keep]: %w", o.home.ConfigFile(), err)
	}
	if err := o.learn(ctx, true); err != nil {
		return control.PruneReport{}, err
	}
	progress(control.PruneProgress{Phase: "reading the history"})
	db, err := o.past.CatchUp(ctx, func(done, of int) {
		progress(control.PruneProgress{Phase: fmt.Sprintf("reading the history: %d of %s", done, count(int64(of), "commit"))})
	})
	if err != nil {
		return control.PruneReport{}, err
	}
	progress(control.PruneProgress{Phase: "looking for what nothing needs"})
	p, err := o.worker.Prune(ctx, tsync.PruneOptions{Keep: keep, History: db, DryRun: r.DryRun, LockedUntil: o.lockedUntil()})
	report := pruneReport(p, r.DryRun, ruleText(keep))
	report.Cost = o.pruneCost(p)
	return report, err
}

func pruneReport(p tsync.Pruned, dry bool, rule string) control.PruneReport {
	r := control.PruneReport{
		DryRun: dry, Rule: rule, Snapshots: p.Moments, Forgotten: p.Forgotten, Stored: p.Stored, Unused: p.Condemned, UnusedBytes: p.CondemnBytes,
		Leftovers: p.Leftovers, Rewritten: p.Rewritten, CopiedBytes: p.RewriteBytes, TakenBack: p.TakenBack,
		Deleted: p.Deleted, DeletedBytes: p.DeletedBytes, Pending: p.Kept, PendingBytes: p.KeptBytes,
		Denied: p.Denied, DeniedBytes: p.DeniedBytes, Locked: p.Locked, LockedBytes: p.LockedBytes,
		Hidden: p.Hidden, HiddenBytes: p.HiddenBytes, Puts: p.Puts, Gets: p.Gets,
	}
	if p.DeniedBy != nil {
		r.DeniedBecause = oneLine(explain(p.DeniedBy).Text)
	}
	if p.HiddenBy != nil {
		r.HiddenBecause = explain(p.HiddenBy).Hint
	}
	if !p.LockedUntil.IsZero() {
		r.LockedUntil = &p.LockedUntil
	}
	for _, s := range p.WaitsFor {
		d := control.PruneDevice{Device: s.Device, Name: s.Name}
		if !s.Since.IsZero() {
			d.Since = &s.Since
		}
		r.WaitsFor = append(r.WaitsFor, d)
	}
	return r
}

// pruneCost says what a prune costs, and what it saves, by the table of prices; nothing
// of a store on this machine.
func (o *owner) pruneCost(p tsync.Pruned) string {
	list, _, err := price.Table(o.home.PricesFile())
	if err != nil || o.config.Store.Local() {
		return ""
	}
	c, ok := price.DearestRead(list, o.config.Store.Endpoint, "USD")
	if !ok {
		return ""
	}
	once := c.Of(price.Use{Puts: p.Puts}).Upload
	if p.Gets > 0 {
		once += float64(p.Gets) * c.Read(p.RewriteBytes/p.Gets)
	}
	saved := c.Of(price.Use{Stored: p.Stored}).Month - c.Of(price.Use{Stored: p.Stored - min(p.CondemnBytes, p.Stored) + p.RewriteBytes}).Month
	return fmt.Sprintf("%.4f USD once, %.4f USD a month less, by the prices of %s on %s", once, max(0, saved), c.Supplier, c.Date.Format(time.DateOnly))
}

func printPruned(w io.Writer, r control.PruneReport) {
	fmt.Fprintf(w, "keeps %s\n", r.Rule)
	if r.Forgotten > 0 {
		verb := "are shown no more"
		if r.DryRun {
			verb = "would be shown no more"
		}
		fmt.Fprintf(w, "%d of %s %s\n", r.Forgotten, count(int64(r.Snapshots), "snapshot"), verb)
	}
	if r.Unused == 0 {
		fmt.Fprintf(w, "nothing new to delete; %s in use\n", size(r.Stored))
	} else {
		fmt.Fprintf(w, "unused: %s, %s of %s\n", count(r.Unused, "object"), size(r.UnusedBytes), size(r.Stored))
	}
	if r.Leftovers > 0 {
		fmt.Fprintf(w, "  %s left by uploads that were interrupted\n", count(r.Leftovers, "object"))
	}
	if r.Rewritten > 0 {
		fmt.Fprintf(w, "  %s mostly unused; the %s needed of them copied\n", count(r.Rewritten, "object"), size(r.CopiedBytes))
	}
	if r.TakenBack > 0 {
		fmt.Fprintf(w, "in use again: %s\n", count(r.TakenBack, "object"))
	}
	if r.Puts+r.Gets > 0 {
		text := fmt.Sprintf("requests: %d to write, %d to read", r.Puts, r.Gets)
		if r.Cost != "" {
			text += "; " + r.Cost
		}
		fmt.Fprintln(w, text)
	}
	switch {
	case r.DryRun:
		fmt.Fprintln(w, "nothing was changed")
	case r.Deleted > 0:
		fmt.Fprintf(w, "deleted: %s, %s\n", count(r.Deleted, "object"), size(r.DeletedBytes))
	}
	if r.Hidden > 0 {
		fmt.Fprintf(w, "of %s (%s) the bucket keeps a version, which takes the room: %s\n", count(r.Hidden, "deleted object"), size(r.HiddenBytes), r.HiddenBecause)
	}
	if r.Locked > 0 {
		until := "until somebody unlocks them"
		if r.LockedUntil != nil {
			until = "until " + r.LockedUntil.Local().Format("2006-01-02 15:04")
		}
		fmt.Fprintf(w, "locked %s: %s, %s; a prune after that deletes them\n", until, count(r.Locked, "object"), size(r.LockedBytes))
	}
	if pending := r.Pending - r.Denied - r.Locked; pending > 0 {
		fmt.Fprintf(w, "to be deleted later: %s, %s\n", count(pending, "object"), size(r.PendingBytes-r.DeniedBytes-r.LockedBytes))
	}
	for _, d := range r.WaitsFor {
		since := "was never used"
		if d.Since != nil {
			since = "was used last on " + d.Since.Local().Format(time.DateOnly)
		}
		fmt.Fprintf(w, "waits for device %s (%s), which %s: unmount its drive and mount it again, or end its agent and start it again: it learns then what is to be deleted; if it is lost, retire it: tunesafe devices\n",
			d.Device, shown([]byte(d.Name), false), since)
	}
}

// pruneWeekly prunes. What the store refused is in the log.
func (o *owner) pruneWeekly(ctx context.Context) error {
	r, err := o.Prune(ctx, control.PruneRequest{}, func(control.PruneProgress) {})
	o.log.Info("pruned", "deleted", r.Deleted, "bytes", r.DeletedBytes, "pending", r.Pending, "denied", r.Denied, "locked", r.Locked, "hidden", r.Hidden, "forgotten", r.Forgotten)
	if err != nil {
		return fmt.Errorf("prune: %w", err)
	}
	return nil
}
