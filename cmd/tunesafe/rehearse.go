package main

import (
	"context"
	"fmt"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/internal/control"
)

var rehearseCommand = &command{
	name:    "rehearse",
	summary: "restore a few files from the store alone, to see that it can be done",
	text: `Does what a new computer would do: takes in the repository from the store, with the
recovery key if the home holds it, into a temporary folder; restores some files chosen at
random; compares them with the folders that they were backed up from, or with the
drive, where these have them; and removes all of it. Nothing is written to the store.

An agent does it once a month. tunesafe status tells when it was done last, and how it went.
The exit status is 7 if a file could not be restored whole.`,
	bind: bindRehearse,
}

// The defaults of a rehearsal.
const (
	rehearsedFiles  = 20
	rehearsedBudget = 500_000_000
)

func bindRehearse(f *pflag.FlagSet) action {
	files := f.Int("files", rehearsedFiles, "restore so many files")
	budget := f.String("budget", "500MB", "restore files of no more than a `SIZE` in all")
	return func(ctx context.Context, e *env, args []string) error {
		if err := want(args, 0, 0, ""); err != nil {
			return err
		}
		most, err := humanize.ParseBytes(*budget)
		if err != nil || most == 0 || most > 1<<62 || *files < 1 {
			return misuse("--files and --budget are such as 20 and 500MB")
		}
		p := newProgress(e.stderr)
		return withOwner(ctx, e, func(o control.Owner) error {
			r, err := o.Rehearse(ctx, control.RehearseRequest{Files: *files, Bytes: int64(most)}, func(now control.RehearseProgress) {
				p.draw(now.Phase)
			})
			p.clear()
			if err != nil {
				return err
			}
			fmt.Fprintf(e.stdout, "%s, %s\n", rehearsedText(r), size(r.Bytes))
			for _, text := range r.Problems {
				fmt.Fprintf(e.stdout, "problem: %s\n", text)
			}
			if len(r.Problems) > 0 {
				return fmt.Errorf("%w: %s", errProblems, count(int64(len(r.Problems)), "problem"))
			}
			return nil
		})
	}
}

// rehearsedText says how a rehearsal went.
func rehearsedText(r control.Rehearsal) string {
	text := fmt.Sprintf("a restore was rehearsed on %s: ", r.Time.Local().Format(time.DateOnly))
	switch {
	case len(r.Problems) > 0 && r.Files == 0:
		return text + "it failed"
	case r.Whole == r.Files:
		text += count(r.Files, "file") + ", all whole"
	default:
		text += fmt.Sprintf("%s, %s whole", count(r.Files, "file"), number(r.Whole))
	}
	if r.Like > 0 {
		text += fmt.Sprintf(", %s compared with what this computer has", number(r.Like))
	}
	return text
}
