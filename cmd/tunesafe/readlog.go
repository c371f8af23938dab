package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/home"
	"github.com/tunesafe/tunesafe/internal/repo"
)

// Log implements [control.Owner].
func (o *owner) Log(ctx context.Context, r control.LogRequest, commit func(control.LogCommit)) (control.LogReport, error) {
	reader, err := o.logReader(ctx, r)
	if err != nil {
		return control.LogReport{}, err
	}
	all, _, err := repo.Devices(ctx, o.counted, o.keys)
	if err != nil {
		return control.LogReport{}, err
	}
	if reader.certs, err = chosenDevices(all, r.Device); err != nil {
		return control.LogReport{}, err
	}
	since, err := repo.HeadsBefore(ctx, o.counted, o.keys, reader.certs, r.Since)
	if err != nil {
		return control.LogReport{}, err
	}
	if reader.repeats, err = repo.NewRepeats(ctx, o.counted, o.keys, reader.certs, since); err != nil {
		return control.LogReport{}, err
	}
	var report control.LogReport
	err = repo.ReadLog(ctx, o.counted, o.keys, reader.certs, since, func(c *repo.Commit) error {
		if told, ok := reader.tell(c); ok {
			report.Commits++
			commit(told)
		}
		return nil
	})
	return report, err
}

// logReader turns commits into what is told of them.
type logReader struct {
	certs   map[string]repo.Certificate
	repeats *repo.Repeats
	objects bool            // each is told
	wanted  []string        // objects: names, or the beginning of their SHA-256
	inodes  map[uint64]bool // files
}

func (o *owner) logReader(ctx context.Context, r control.LogRequest) (*logReader, error) {
	l := &logReader{objects: r.Objects, inodes: map[uint64]bool{}}
	if slices.ContainsFunc(r.Names, func(name string) bool { return strings.HasPrefix(name, "/") }) {
		if err := o.learn(ctx, false); err != nil {
			return nil, err
		}
	}
	for _, name := range r.Names {
		if !strings.HasPrefix(name, "/") {
			l.wanted = append(l.wanted, strings.ToLower(name))
			continue
		}
		a, err := find(o.cache, o.onDrive(name))
		if err != nil {
			return nil, err
		}
		l.inodes[uint64(a.Ino)] = true
	}
	return l, nil
}

// chosenDevices are those of that name, or whose id begins so.
func chosenDevices(all map[string]repo.Certificate, device string) (map[string]repo.Certificate, error) {
	if device == "" {
		return all, nil
	}
	chosen := map[string]repo.Certificate{}
	var names []string
	for id, c := range all {
		names = append(names, fmt.Sprintf("%s (%s)", c.Name, id))
		if c.Name == device || strings.HasPrefix(id, strings.ToLower(device)) {
			chosen[id] = c
		}
	}
	if slices.Sort(names); len(chosen) == 0 {
		return nil, misuse("--device: there is no %q; there are %s", device, strings.Join(names, ", "))
	}
	return chosen, nil
}

// tell sums up a commit; false if it is about nothing that was asked for.
func (l *logReader) tell(c *repo.Commit) (control.LogCommit, bool) {
	out := control.LogCommit{
		Time: c.Time, Device: c.Device, Name: l.certs[c.Device].Name, Seq: c.Seq, Kind: c.Kind, Object: c.Name, Size: c.Size,
		Put: []control.LogSum{}, Condemn: []control.LogSum{}, Delete: []control.LogSum{}, Names: int64(len(c.Names)),
	}
	about := len(l.wanted)+len(l.inodes) == 0 || l.wants(c.Name)
	add := func(sums *[]control.LogSum, o control.LogObject) {
		addSum(sums, o)
		hit := l.wants(o.Object)
		if about = about || hit; l.objects || hit {
			out.Objects = append(out.Objects, o)
		}
	}
	for _, row := range l.repeats.Of(c) {
		add(&out.Put, control.LogObject{Did: "put", Object: row.Name, Size: row.Size, What: row.Kinds()})
	}
	for _, row := range c.Condemned {
		add(&out.Condemn, control.LogObject{Did: "condemn", Object: row.Name, Size: row.Size, What: oneLine(row.Why)})
	}
	for _, row := range c.Deleted {
		add(&out.Delete, control.LogObject{Did: "delete", Object: row.Name, Size: row.Size})
	}
	for _, row := range c.Inodes {
		out.Files++
		if row.Gone {
			out.Gone++
		}
		about = about || l.inodes[row.Inode]
	}
	for _, row := range c.Names {
		about = about || l.inodes[row.Inode]
	}
	return out, about
}

// wants tells whether an object was asked for by name.
func (l *logReader) wants(object string) bool {
	base := filepath.Base(object)
	if _, sha, ok := strings.Cut(base, "-"); ok {
		base = sha
	}
	return slices.ContainsFunc(l.wanted, func(w string) bool { return w == object || strings.HasPrefix(base, w) })
}

func addSum(sums *[]control.LogSum, o control.LogObject) {
	i := slices.IndexFunc(*sums, func(s control.LogSum) bool { return s.What == o.What })
	if i < 0 {
		i = len(*sums)
		*sums = append(*sums, control.LogSum{What: o.What})
	}
	(*sums)[i].Objects++
	(*sums)[i].Bytes += o.Size
}

// ExportLog implements [control.Owner].
func (o *owner) ExportLog(ctx context.Context, r control.ExportRequest, _ func(control.LogReport)) (report control.ExportReport, err error) {
	name := string(r.File)
	if o.onMount(name) { // this process would wait for itself
		return report, fmt.Errorf("%s %w", name, errOnDrive)
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return report, err
	}
	defer os.Remove(tmp.Name())
	x, err := repo.ExportLog(ctx, o.counted, o.keys, o.worker.Device(), o.now(), tmp)
	if err = cmp.Or(err, errors.Join(tmp.Sync(), tmp.Close())); err != nil {
		return report, err
	}
	if err := errors.Join(os.Rename(tmp.Name(), name), home.WriteFile(name+".note", x.Note)); err != nil {
		return report, err
	}
	return control.ExportReport{Commits: x.Commits, Lines: x.Lines, Root: x.Root, Verifier: x.Verifier}, nil
}
