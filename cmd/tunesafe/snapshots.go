package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/internal/control"
)

var snapshotsCommand = &command{
	name:    "snapshots",
	summary: "list the moments of which the drive can be seen as it was",
	text: `Lists the commits of the repository that changed something, oldest first: the name of
the snapshot, its time by this computer's clock, and how much changed. On the mounted
drive each is a folder below .snapshots, which no listing of the drive shows.

The first time in a home the whole log of the repository is read for this.`,
	bind: bindSnapshots,
}

func bindSnapshots(f *pflag.FlagSet) action {
	asJSON := f.Bool("json", false, "print one JSON object")
	return func(ctx context.Context, e *env, args []string) error {
		if err := want(args, 0, 0, ""); err != nil {
			return err
		}
		p := newProgress(e.stderr)
		return withOwner(ctx, e, func(o control.Owner) error {
			r, err := o.Snapshots(ctx, control.SnapshotsRequest{}, p.past)
			p.clear()
			if err != nil {
				return err
			}
			if *asJSON {
				return printJSON(e.stdout, r)
			}
			writeGaps(e.stderr, r.Gaps)
			return writeSnapshots(e.stdout, r)
		})
	}
}

func writeSnapshots(w io.Writer, r control.SnapshotsReport) error {
	if len(r.Snapshots) == 0 {
		fmt.Fprintln(w, "there are none yet")
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, s := range r.Snapshots {
		name := s.Name
		if i+1 < len(r.Snapshots) && r.Snapshots[i+1].Name == name {
			name = "" // the next one of the second has it
		}
		fmt.Fprintf(t, "%s\t%s\t%d added, %d changed, %d removed\n", name, s.Time.Local().Format(time.DateTime), s.Added, s.Changed, s.Removed)
	}
	return t.Flush()
}

// past draws how far the log was read.
func (p *progress) past(now control.PastProgress) {
	p.draw(fmt.Sprintf("reading the log: %d of %s", now.Commits, count(int64(now.TotalCommits), "commit")))
}

func printJSON(w io.Writer, v any) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(v)
}
