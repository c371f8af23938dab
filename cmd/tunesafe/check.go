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
and may cost as much, as downloading all of it. The exit code is 1 if anything is
amiss.`,
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
		for _, note := range r.Notes {
			fmt.Fprintf(e.stdout, "note: %s\n", oneLine(note))
		}
		for _, problem := range r.Problems {
			fmt.Fprintf(e.stdout, "problem: %s\n", oneLine(problem))
		}
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
		if r.Owed > 0 {
			fmt.Fprintf(e.stdout, "; %s still to come", count(r.Owed, "part"))
		}
		fmt.Fprintln(e.stdout)
		if n := len(r.Problems); n > 0 {
			return fmt.Errorf("%w: %s", errProblems, count(int64(n), "problem"))
		}
		return nil
	})
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
