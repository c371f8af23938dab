package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"

	"filippo.io/age"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/repo"
)

// checkAtOnce is how many objects are read at once where somebody waits for it.
const checkAtOnce = 3

// shownFiles are the files that a finding names.
const shownFiles = 10

// checkRepository runs the check.
func checkRepository(ctx context.Context, d *drive, r control.CheckRequest, progress func(control.CheckProgress)) (control.CheckReport, error) {
	marks, err := parseMarks(r.Heads)
	if err != nil {
		return control.CheckReport{}, err
	}
	if r.Part != nil {
		quick, parallel := r.Quick, 1
		if !quick { // what is known here tells what is to be read, if that is all
			parallel = checkAtOnce
			if quick, err = d.worker.UpToDate(ctx); err != nil {
				return control.CheckReport{}, err
			}
		}
		if quick {
			report := control.CheckReport{Heads: []string{}, Findings: []control.Finding{}}
			return report, checkPart(ctx, d, *r.Part, parallel, progress, &report)
		}
	}
	verified, done, err := d.noteReadings(r.Read)
	if err != nil {
		return control.CheckReport{}, err
	}
	recovery, err := d.ownRecovery()
	if err != nil {
		return control.CheckReport{}, err
	}
	findings, sum, err := repo.Check(ctx, d.counted, d.keys, d.index, repo.CheckOptions{
		Recovery: recovery, Read: r.Read, Kept: d.kept(), Marks: marks, Verified: verified,
		Progress: func(objects, of, bytes, all int64) {
			progress(control.CheckProgress{Objects: objects, TotalObjects: of, Bytes: bytes, TotalBytes: all})
		},
	})
	err = errors.Join(err, done(err == nil))
	report := control.CheckReport{
		Commits: int64(sum.Commits), Devices: int64(sum.Devices), Heads: []string{}, Objects: sum.Objects, Bytes: sum.Bytes,
		Files: sum.Files, Owed: sum.Owed, Unreferenced: sum.Unreferenced, Discarded: sum.Discarded, Read: sum.Read, ReadBytes: sum.ReadBytes, Findings: []control.Finding{},
	}
	for _, m := range sum.Heads {
		report.Heads = append(report.Heads, m.String())
	}
	for _, f := range findings {
		report.Findings = append(report.Findings, control.Finding{
			Kind: string(f.Kind), Object: f.Object, Text: oneLine(f.Problem), Harmless: f.Harmless,
			Put: originOf(f.Put), Condemned: originOf(f.Condemned), FileCount: int64(len(f.Inodes)),
		})
	}
	if err == nil {
		err = nameFiles(d.cache, findings, report.Findings)
	}
	if r.Part != nil && err == nil {
		err = checkPart(ctx, d, *r.Part, checkAtOnce, progress, &report)
	}
	return report, err
}

// ownRecovery is the recovery key, nil if the home has none.
func (d *drive) ownRecovery() (age.Identity, error) {
	key, err := d.home.RecoveryKey()
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return key, nil
}

func parseMarks(heads []string) (marks []repo.Mark, err error) {
	for _, text := range heads {
		m, err := repo.ParseMark(text)
		if err != nil {
			return nil, misuse("--head: %v", err)
		}
		marks = append(marks, m)
	}
	return marks, nil
}

func originOf(o *repo.Origin) *control.Origin {
	if o == nil {
		return nil
	}
	return &control.Origin{Device: o.Device, Name: o.Name, Seq: o.Seq, Time: o.Time, Why: o.Why}
}

// nameFiles adds the paths of the files that findings are about, as the drive
// has them now.
func nameFiles(c *cache.Cache, findings []repo.Finding, out []control.Finding) error {
	var inos []cache.Ino
	for _, f := range findings {
		for _, ino := range f.Inodes[:min(len(f.Inodes), shownFiles)] {
			inos = append(inos, cache.Ino(ino))
		}
	}
	if len(inos) == 0 {
		return nil
	}
	paths, err := c.Paths(inos)
	if err != nil {
		return err
	}
	for i, f := range findings {
		for _, ino := range f.Inodes[:min(len(f.Inodes), shownFiles)] {
			if p, ok := paths[cache.Ino(ino)]; ok {
				out[i].Files = append(out[i].Files, "/"+p)
			}
		}
	}
	return nil
}

// writeFindings prints the problems, then what is harmless, if all of it is
// asked for or it is worth a line. Every line names the word, then the object.
func writeFindings(w io.Writer, findings []control.Finding, all bool) {
	for _, f := range findings {
		word := "problem"
		if f.Harmless {
			word = "note"
		}
		if f.Harmless && !all && f.Kind == string(repo.KindDiscarded) {
			continue // counted
		}
		text := f.Text
		if f.Object != "" {
			text = f.Object + ": " + text
		}
		fmt.Fprintf(w, "%s: %s: %s\n", word, f.Kind, text)
		for _, file := range f.Files {
			fmt.Fprintf(w, "    needed by %s\n", oneLine(file))
		}
		if more := f.FileCount - int64(len(f.Files)); more > 0 && len(f.Files) > 0 {
			fmt.Fprintf(w, "    and by %s more\n", count(more, "file"))
		}
	}
}
