package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/internal/control"
)

var historyCommand = &command{
	name:    "history",
	args:    "PATH",
	summary: "tell what became of a track: every version, with what changed",
	text: `Lists every version of what is at PATH on the drive, or ever was, oldest first, with
what changed in words: tags, artwork, sound, name, mode. What was renamed or removed is
followed. Tags are read from the versions; of a version whose tags are not here, a few
kilobytes come from the store.

tunesafe restore --at gives any of them back.`,
	bind: bindHistory,
}

func bindHistory(f *pflag.FlagSet) action {
	asJSON := f.Bool("json", false, "print one JSON object")
	return func(ctx context.Context, e *env, args []string) error {
		if err := want(args, 1, 1, "PATH"); err != nil {
			return err
		}
		p := newProgress(e.stderr)
		return withOwner(ctx, e, func(o control.Owner) error {
			r, err := o.History(ctx, control.HistoryRequest{Path: []byte(args[0])}, p.past)
			p.clear()
			if err != nil {
				return err
			}
			if *asJSON {
				return printJSON(e.stdout, r)
			}
			writeGaps(e.stderr, r.Gaps)
			return writeHistory(e.stdout, r)
		})
	}
}

func writeHistory(w io.Writer, r control.HistoryReport) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	plain := !isTerminal(w)
	path := ""
	for _, v := range r.Versions {
		words := strings.Join(v.Changes, "; ")
		if string(v.Path) != path {
			if path = string(v.Path); v.Changes[0] == "added" {
				words += " as " + path
			}
		}
		bytes := size(v.Size)
		if v.Gone {
			bytes = ""
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", v.Snapshot, v.Time.Local().Format(time.DateTime), bytes, shown([]byte(words), plain))
	}
	return t.Flush()
}
