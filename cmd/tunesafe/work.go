package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/internal/control"
)

var pauseCommand = &command{
	name:    "pause",
	summary: "upload and scan nothing for a while",
	text: `Stops uploads and scans of the process that serves this home until tunesafe resume, or
for a time with --for, also when it is started anew or the machine is. An object that
is just being sent is given two seconds to arrive. The drive goes on working.`,
	bind: func(f *pflag.FlagSet) action {
		d := f.Duration("for", 0, "go on by itself after a `TIME`, such as 2h")
		return func(ctx context.Context, e *env, args []string) error {
			if err := want(args, 0, 0, ""); err != nil {
				return err
			}
			if *d < 0 || f.Changed("for") && *d == 0 {
				return misuse("--for %v is no time to pause for", *d)
			}
			return steer(ctx, e, control.WorkRequest{Do: control.DoPause, For: *d})
		}
	},
}

var resumeCommand = &command{
	name:    "resume",
	summary: "end a pause",
	text:    `Ends what tunesafe pause began.`,
	bind: func(*pflag.FlagSet) action {
		return func(ctx context.Context, e *env, args []string) error {
			if err := want(args, 0, 0, ""); err != nil {
				return err
			}
			return steer(ctx, e, control.WorkRequest{Do: control.DoResume})
		}
	},
}

var runNowCommand = &command{
	name:    "run-now",
	args:    "[NAME…]",
	summary: "have the agent back up now, whatever the hour",
	text: `Has the process that serves this home scan the places NAME, or all, now, and upload
until everything is safe, outside its windows, on battery and while the machine is in
use, too. It returns at once; tunesafe wait returns when all is safe. Without such a
process tunesafe backup does the same.`,
	bind: func(*pflag.FlagSet) action {
		return func(ctx context.Context, e *env, args []string) error {
			r := control.WorkRequest{Do: control.DoRunNow}
			for _, name := range args {
				r.Names = append(r.Names, []byte(name))
			}
			return steer(ctx, e, r)
		}
	},
}

func steer(ctx context.Context, e *env, r control.WorkRequest) error {
	return withOwner(ctx, e, func(o control.Owner) error {
		s, err := o.Work(ctx, r)
		if err != nil {
			return err
		}
		writeSteered(e.stdout, r, s)
		return nil
	})
}

func writeSteered(w io.Writer, r control.WorkRequest, s control.AgentStatus) {
	switch {
	case r.Do == control.DoRunNow:
		fmt.Fprintln(w, "working until everything is safe; tunesafe status shows the progress")
	case s.Paused && s.PausedUntil != nil:
		fmt.Fprintf(w, "paused until %s\n", s.PausedUntil.Local().Format(time.DateTime))
	case s.Paused:
		fmt.Fprintln(w, "paused until tunesafe resume")
	default:
		fmt.Fprintln(w, "not paused")
	}
}

// workText tells when the work is done, in one line; empty if that is always.
func workText(a *control.AgentStatus, now time.Time) string {
	switch {
	case a == nil:
		return ""
	case a.Paused && a.PausedUntil != nil:
		return "paused, until " + clockText(*a.PausedUntil, now)
	case a.Paused:
		return "paused, until tunesafe resume"
	case !a.Runs:
		return ""
	case a.RunNow:
		return "working until everything is safe, as told"
	case a.Working && a.Next != nil && len(a.Windows) > 0:
		return "working, until " + clockText(*a.Next, now)
	case a.Working && a.Gives:
		return fmt.Sprintf("working; gives way to others on the line: %s/s", size(int64(a.Limit)))
	case a.Working:
		return "working"
	case a.Next != nil:
		return a.Why + ", next at " + clockText(*a.Next, now)
	}
	return a.Why
}

// scanText tells of the last scan and the next.
func scanText(a *control.AgentStatus, now time.Time) string {
	switch {
	case a == nil || !a.Runs && a.LastScan == nil:
		return ""
	case a.Scanning:
		return "under way"
	case a.LastScan == nil:
		return "none yet"
	}
	text := humanize.RelTime(*a.LastScan, now, "ago", "from now")
	if a.LastFault != "" {
		text += ": " + a.LastFault
	}
	if a.NextScan != nil {
		text += "; next " + clockText(*a.NextScan, now)
	}
	return text
}

// clockText is a time of day, with the day if it is not today.
func clockText(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04")
	}
	return t.Format("Mon 15:04")
}
