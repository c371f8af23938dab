package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/internal/control"
)

var checkCommand = &command{
	name:    "check",
	summary: "examine the repository in the store",
	text: `Tells whether everything that the repository names is in the store, with the
right size. With --read every byte is fetched and verified, which takes as long,
and may cost as much, as downloading all of it.

Each line names what was found by a word, then the object: missing, resized, damaged,
rolled-back, broken, forked, backdated, unsigned, foreign, exchanged, newer, archived,
or needed, which was condemned and should not have been. Notes harm nothing. The exit
status is 7 if there is anything but notes, and 1 if the check could not be done.
tunesafe log verify does the same of the log, and takes a head from the recovery kit.

With --read-part 1/30 that share of the bytes is fetched: what was read the longest ago,
or was never read and is there the longest. So thirty such checks read everything, what
was added meanwhile too; an interrupted one goes on with the next. What a restore or a
player fetched whole counts as read. The log is not read again unless it has what this
home has not taken in. --read-budget 500MB
or 0.05USD reads no more than that; money is counted with the prices that tunesafe
estimate --prices prints, of the supplier if his endpoint is known and else of the dearest,
as if nothing was free. tunesafe health tells when each file was read.`,
	bind: bindCheck,
}

func bindCheck(f *pflag.FlagSet) action {
	read := f.Bool("read", false, "fetch and verify every byte")
	part := f.String("read-part", "", "fetch and verify a `PART` of the bytes, such as 1/30: what was read the longest ago")
	budget := f.String("read-budget", "", "read no more than a `SIZE` or a sum of money, such as 500MB or 0.05USD")
	return func(ctx context.Context, e *env, args []string) error {
		if err := want(args, 0, 0, ""); err != nil {
			return err
		}
		r := control.CheckRequest{Read: *read}
		if *part != "" || *budget != "" {
			r.Part = &control.CheckPart{}
		}
		var err error
		if *part != "" {
			if r.Part.Part, err = parsePart(*part); err != nil {
				return err
			}
		}
		if *budget != "" {
			if err := parseBudget(*budget, r.Part); err != nil {
				return err
			}
		}
		if *read && r.Part != nil {
			return misuse("--read reads everything: leave out --read-part and --read-budget")
		}
		return check(ctx, e, r)
	}
}

func check(ctx context.Context, e *env, asked control.CheckRequest) error {
	p := newProgress(e.stderr)
	return withOwner(ctx, e, func(o control.Owner) error {
		r, err := o.Check(ctx, asked, func(now control.CheckProgress) { p.draw(checkLine(now)) })
		p.clear()
		writeFindings(e.stdout, r.Findings, false)
		if err != nil {
			return err
		}
		if asked.Part != nil && r.Commits == 0 {
			fmt.Fprintf(e.stdout, "checked that %s (%s) are there", count(r.Objects, "object"), size(r.Bytes))
		} else {
			fmt.Fprintf(e.stdout, "checked %s, %s, %s (%s)", count(r.Files, "file"), count(r.Commits, "commit"), count(r.Objects, "object"), size(r.Bytes))
		}
		if asked.Read || asked.Part != nil {
			fmt.Fprintf(e.stdout, "; read %s whole", count(r.Read, "object"))
		}
		if asked.Part != nil {
			fmt.Fprintf(e.stdout, " (%s)", size(r.ReadBytes))
		}
		if r.Never > 0 {
			fmt.Fprintf(e.stdout, "; %s never read yet", count(r.Never, "object"))
		} else if r.Oldest != nil {
			fmt.Fprintf(e.stdout, "; all were read since %s", r.Oldest.Local().Format(time.DateTime))
		}
		if r.Unreferenced > 0 {
			fmt.Fprintf(e.stdout, "; nothing names %s", count(r.Unreferenced, "object"))
		}
		if r.Discarded > 0 {
			fmt.Fprintf(e.stdout, "; %s condemned and not deleted yet", count(r.Discarded, "object"))
		}
		if r.Owed > 0 {
			fmt.Fprintf(e.stdout, "; %s still to come", count(r.Owed, "part"))
		}
		fmt.Fprintln(e.stdout)
		return problemsOf(r)
	})
}

// problemsOf is the error that a report amounts to.
func problemsOf(r control.CheckReport) error {
	if n := r.Problems(); n > 0 {
		return fmt.Errorf("%w: %s", errProblems, count(n, "problem"))
	}
	return nil
}

func checkLine(p control.CheckProgress) string {
	if p.TotalObjects == 0 {
		return fmt.Sprintf("checked %s", count(p.Objects, "object"))
	}
	line := fmt.Sprintf("checked %d of %s", p.Objects, count(p.TotalObjects, "object"))
	if p.TotalBytes > 0 {
		line += fmt.Sprintf(" (%s of %s)", size(p.Bytes), size(p.TotalBytes))
	}
	return line
}
