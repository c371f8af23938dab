package main

import (
	"context"
	"fmt"

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
tunesafe log verify does the same of the log, and takes a head from the recovery kit.`,
	bind: bindCheck,
}

func bindCheck(f *pflag.FlagSet) action {
	read := f.Bool("read", false, "fetch and verify every byte")
	return func(ctx context.Context, e *env, args []string) error {
		if err := want(args, 0, 0, ""); err != nil {
			return err
		}
		return check(ctx, e, *read)
	}
}

func check(ctx context.Context, e *env, read bool) error {
	p := newProgress(e.stderr)
	return withOwner(ctx, e, func(o control.Owner) error {
		r, err := o.Check(ctx, control.CheckRequest{Read: read}, func(now control.CheckProgress) { p.draw(checkLine(now)) })
		p.clear()
		writeFindings(e.stdout, r.Findings, false)
		if err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "checked %s, %s, %s (%s)", count(r.Files, "file"), count(r.Commits, "commit"), count(r.Objects, "object"), size(r.Bytes))
		if read {
			fmt.Fprintf(e.stdout, "; read %s whole", count(r.Read, "object"))
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
