package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/internal/control"
)

var diffCommand = &command{
	name:    "diff",
	args:    "A B [PATH…]",
	summary: "tell what differs between two moments",
	text: `Lists what differs on the drive, or at and below each PATH, between the moments A and B:
+ was added, - was removed, ~ changed or was moved, with what changed in words. What moved
along with its folder is not listed again.

` + timesHelp,
	bind: bindDiff,
}

func bindDiff(f *pflag.FlagSet) action {
	asJSON := f.Bool("json", false, "print one JSON object")
	return func(ctx context.Context, e *env, args []string) error {
		if err := want(args, 2, -1, "A or B"); err != nil {
			return err
		}
		r := control.DiffRequest{}
		var err error
		if r.From, err = parseTime(args[0], time.Now(), false); err != nil {
			return err
		}
		if r.To, err = parseTime(args[1], time.Now(), false); err != nil {
			return err
		}
		for _, p := range args[2:] {
			r.Paths = append(r.Paths, []byte(p))
		}
		p := newProgress(e.stderr)
		return withOwner(ctx, e, func(o control.Owner) error {
			report, err := o.Diff(ctx, r, p.past)
			p.clear()
			if err != nil {
				return err
			}
			if *asJSON {
				return printJSON(e.stdout, report)
			}
			writeGaps(e.stderr, report.Gaps)
			writeDiff(e.stdout, report)
			return nil
		})
	}
}

func writeDiff(w io.Writer, r control.DiffReport) {
	plain := !isTerminal(w)
	if len(r.Changes) == 0 {
		fmt.Fprintln(w, "nothing differs")
	}
	for _, c := range r.Changes {
		sign := map[string]string{control.DiffAdded: "+", control.DiffRemoved: "-", control.DiffChanged: "~"}[c.What]
		path := string(c.Path)
		if c.Dir && path != "/" {
			path += "/"
		}
		words := c.Changes
		if len(c.Was) > 0 {
			words = append([]string{"moved from " + string(c.Was)}, words...)
		}
		line := path
		if len(words) > 0 {
			line += ": " + strings.Join(words, "; ")
		}
		fmt.Fprintf(w, "%s %s\n", sign, shown([]byte(line), plain))
	}
}
