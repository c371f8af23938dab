package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/recoverykit"
	"github.com/tunesafe/tunesafe/internal/repo"
)

var logCommand = &command{
	name:    "log",
	args:    "[verify | export FILE | OBJECT… | PATH…]",
	summary: "tell what was written and deleted in the store: when, by which device, and why",
	text: `Prints the log that the repository keeps of itself, oldest first: a line for each
commit, with its time, the device, its number, what it put into the store, what it
condemned, and why, and what of the condemned was deleted. --objects names each object. With an OBJECT (a name,
or at least 8 digits of its SHA-256) or a PATH (on the drive, from its top, with the
slash) only commits about these are printed. Every line was signed by the device; the
reading ends at the first that is not in order.

tunesafe log verify proves the log and compares it with the store: that each chain of
commits is whole, signed, in order and of its time, and that the store has every object
as it was written, and nothing else. --kit takes a page of the recovery kit, as HTML or
text, and --head a head as it is printed there: so it is told whether the store went back
to an earlier state, or is another altogether. What it finds is
printed as tunesafe check prints it, and the exit status is 7 if there is anything but
notes. A missing object comes with the commit that put it: if none condemned it, neither
you nor Tunesafe deleted it.

tunesafe log export FILE writes the log, a line for each object put, condemned and deleted, and
FILE.note, which signs it. Both can be verified without Tunesafe (FORMAT.md, 10), by
somebody who has the public root that is printed, here and on the recovery kit; they hold names, sizes and times, and
nothing of the content.`,
	bind: bindLog,
}

// logFlags are those of all three.
type logFlags struct {
	since, device   string
	objects, asJSON bool
	heads, kits     []string
	given           func(string) bool
}

func bindLog(f *pflag.FlagSet) action {
	l := logFlags{given: f.Changed}
	f.StringVar(&l.since, "since", "", "begin at a `TIME`: 2026-11-21, \"2026-11-21 18:30\", 12h or 7d ago")
	f.StringVar(&l.device, "device", "", "only of the device `NAME`, or whose id begins so")
	f.BoolVar(&l.objects, "objects", false, "print each object")
	f.BoolVar(&l.asJSON, "json", false, "print JSON: an object a commit, or one for verify")
	f.StringArrayVar(&l.heads, "head", nil, "verify: the log must have the commit `DEVICE:NUMBER:SHA256`; may be repeated")
	f.StringArrayVar(&l.kits, "kit", nil, "verify: the log must have the heads on the page `FILE` of a recovery kit; may be repeated")
	return func(ctx context.Context, e *env, args []string) error {
		switch {
		case len(args) > 0 && args[0] == "verify":
			if err := want(args[1:], 0, 0, ""); err != nil {
				return err
			}
			return verifyLog(ctx, e, l)
		case len(args) > 0 && args[0] == "export":
			if err := want(args[1:], 1, 1, "FILE"); err != nil {
				return err
			}
			return exportLog(ctx, e, l, args[1])
		}
		return printLog(ctx, e, l, args)
	}
}

// only refuses flags that the subcommand has no use for.
func (l logFlags) only(what string, names ...string) error {
	for _, flag := range []string{"since", "device", "objects", "json", "head", "kit"} {
		if l.given(flag) && !strings.Contains(" "+strings.Join(names, " ")+" ", " "+flag+" ") {
			return misuse("--%s is not for %s", flag, what)
		}
	}
	return nil
}

// leastDigits of a SHA-256 are needed to name an object.
const leastDigits = 8

func printLog(ctx context.Context, e *env, l logFlags, names []string) error {
	if err := l.only("log", "since", "device", "objects", "json"); err != nil {
		return err
	}
	for _, name := range names {
		if len(name) < leastDigits && !strings.HasPrefix(name, "/") {
			return misuse("%q is neither verify nor export, no object, and no path, which begins with a slash", name)
		}
	}
	r := control.LogRequest{Device: l.device, Objects: l.objects, Names: names}
	if l.since != "" {
		since, err := parseWhen(l.since, time.Now())
		if err != nil {
			return err
		}
		r.Since = since
	}
	return withOwner(ctx, e, func(o control.Owner) error {
		out := json.NewEncoder(e.stdout)
		_, err := o.Log(ctx, r, func(c control.LogCommit) {
			if l.asJSON {
				_ = out.Encode(c)
			} else {
				writeCommit(e.stdout, c)
			}
		})
		return err
	})
}

// writeCommit prints a commit on one line, and its objects below.
func writeCommit(w io.Writer, c control.LogCommit) {
	fmt.Fprintf(w, "%s  %s %s  %d  %s\n", c.Time.Local().Format(time.DateTime), oneLine(c.Name), c.Device, c.Seq, commitText(c))
	for _, o := range c.Objects {
		fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("    %-7s  %s  %d  %s", o.Did, o.Object, o.Size, o.What), " "))
	}
}

func commitText(c control.LogCommit) string {
	var said []string
	if c.Kind == repo.CheckpointCommit {
		said = append(said, "checkpoint")
	}
	if len(c.Put) > 0 {
		said = append(said, "put "+sumsText(c.Put, ""))
	}
	if len(c.Condemn) > 0 {
		said = append(said, "condemned "+sumsText(c.Condemn, ": "))
	}
	for _, s := range c.Delete {
		said = append(said, fmt.Sprintf("deleted %s (%s)", count(s.Objects, "object"), size(s.Bytes)))
	}
	if n := c.Files - c.Gone; n > 0 {
		said = append(said, "changed "+count(n, "file"))
	}
	if c.Gone > 0 {
		said = append(said, "removed "+count(c.Gone, "file"))
	}
	if c.Names > 0 {
		said = append(said, count(c.Names, "name"))
	}
	if len(said) == 0 {
		return "nothing changed"
	}
	return strings.Join(said, "; ")
}

// sumsText is "3 audio (12 MB), 1 tags (3 kB)", or with why "4 objects (20 MB): why".
func sumsText(sums []control.LogSum, why string) string {
	var parts []string
	for _, s := range sums {
		if why == "" {
			parts = append(parts, fmt.Sprintf("%d %s (%s)", s.Objects, s.What, size(s.Bytes)))
		} else {
			parts = append(parts, fmt.Sprintf("%s (%s)%s%s", count(s.Objects, "object"), size(s.Bytes), why, s.What))
		}
	}
	return strings.Join(parts, ", ")
}

func verifyLog(ctx context.Context, e *env, l logFlags) error {
	if err := l.only("verify", "json", "head", "kit"); err != nil {
		return err
	}
	for _, name := range l.kits {
		heads, err := kitHeads(e, name)
		if err != nil {
			return err
		}
		l.heads = append(l.heads, heads...)
	}
	if _, err := parseMarks(l.heads); err != nil {
		return err
	}
	return withOwner(ctx, e, func(o control.Owner) error {
		r, err := o.Check(ctx, control.CheckRequest{Heads: l.heads}, nil)
		if err != nil {
			return err
		}
		if l.asJSON {
			out := json.NewEncoder(e.stdout)
			out.SetIndent("", "  ")
			if err := out.Encode(r); err != nil {
				return err
			}
			return problemsOf(r)
		}
		writeFindings(e.stdout, r.Findings, true)
		fmt.Fprintf(e.stdout, "verified %s of %s against %s (%s)\n", count(r.Commits, "commit"), count(r.Devices, "device"), count(r.Objects, "object"), size(r.Bytes))
		for _, h := range r.Heads {
			m, err := repo.ParseMark(h)
			if err != nil {
				return err
			}
			fmt.Fprintf(e.stdout, "head %s\n", repo.MarkOf(m.Device, repo.Head{Seq: m.Seq, SHA: m.SHA}))
		}
		return problemsOf(r)
	})
}

// kitHeads gives the heads on a page, which must be of this home's repository.
func kitHeads(e *env, name string) ([]string, error) {
	if err := e.home.Check(); err != nil {
		return nil, err
	}
	keys, err := e.home.Keys()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	page, err := recoverykit.ReadPage(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	case page.Repository != keys.RepoID():
		return nil, fmt.Errorf("%s %w", name, errOtherKit)
	case page.Root != "" && page.Root != keys.Root():
		return nil, fmt.Errorf("%s %w", name, errOtherRoot)
	case len(page.Heads) == 0:
		fmt.Fprintf(e.stdout, "note: %s was written before the first commit: it has no head to compare with\n", name)
	}
	return page.Heads, nil
}

func exportLog(ctx context.Context, e *env, l logFlags, name string) error {
	if err := l.only("export"); err != nil {
		return err
	}
	file, err := resolve(name)
	if err != nil {
		return err
	}
	return withOwner(ctx, e, func(o control.Owner) error {
		r, err := o.ExportLog(ctx, control.ExportRequest{File: []byte(file)}, nil)
		if err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "wrote %s of %s to %s, signed by %s.note\n", count(r.Lines, "line"), count(r.Commits, "commit"), name, name)
		fmt.Fprintf(e.stdout, "public root: %s\nnote verifier: %s\n", r.Root, r.Verifier)
		return nil
	})
}
