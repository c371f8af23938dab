package sync

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tunesafe/tunesafe/internal/repo"
)

// MendBeside does what [Worker.MendLog] and [Worker.Mend] do while the drive is in use
// and [Worker.Run] runs, which waits for it. It takes in nothing of other devices, and so
// neither gives up commits nor says again what lost ones said: only who took in
// everything before can tell that from what others changed. Such commits are left.
func (w *Worker) MendBeside(ctx context.Context, o RepairOptions) (Repaired, error) {
	o.beside, o.GiveUp = true, false
	w.turn.Lock()
	defer w.turn.Unlock()
	if err := w.settledDown(); err != nil {
		return Repaired{}, err
	}
	log, err := w.MendLog(ctx, o)
	if err != nil {
		return log, err
	}
	w.bucket.forget()
	if err := w.resend(ctx); err != nil {
		return log, err
	}
	if err := w.bucket.check(ctx, w); err != nil {
		return log, err
	}
	done, err := w.Mend(ctx, o)
	done.Mended = append(log.Mended, done.Mended...)
	for _, f := range log.Left {
		if !slices.ContainsFunc(done.Left, func(g repo.Finding) bool { return g.Object == f.Object }) {
			done.Left = append(done.Left, f)
		}
	}
	return done, err
}

// settledDown is [ErrUnsettled] while this home has not taken in all that it must.
func (w *Worker) settledDown() error {
	settling, err := w.cache.Meta(settlingKey)
	half, err2 := w.Halfway()
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	if half || len(settling) > 0 {
		return ErrUnsettled
	}
	return nil
}

// Foresee tells what a repair would do, and does nothing: Mended has what would be put
// right, and from what. Older versions that the bucket may keep are not looked for.
func (w *Worker) Foresee(ctx context.Context, o RepairOptions) (Repaired, error) {
	w.turn.Lock()
	defer w.turn.Unlock()
	m := &mend{w: w, o: o, from: map[repo.ID]string{}}
	findings, _, err := m.check(ctx)
	if err != nil {
		return m.done, err
	}
	for _, f := range findings {
		if err := m.foresee(f); err != nil {
			return m.done, err
		}
	}
	if err := m.lookFor(ctx, func(repo.ID, *sought, []byte) error { return nil }); err != nil {
		return m.done, err
	}
	for _, d := range m.damaged {
		if !d.back {
			m.foreseeObject(d)
		}
	}
	return m.done, m.lostFiles()
}

// foresee sorts a finding.
func (m *mend) foresee(f repo.Finding) error {
	row, placed, err := m.w.o.Index.Object(f.Object)
	switch {
	case err != nil || f.Harmless:
		return err
	case !placed && m.w.o.Kept != nil && f.Object != "" && m.w.o.Kept.Get(f.Object) != nil:
		m.note(f.Object, "as this home keeps it")
		return nil
	case !placed || !errors.Is(f.Err, repo.ErrMissing) && !errors.Is(f.Err, repo.ErrCorrupt):
		m.done.Left = append(m.done.Left, f)
		return nil
	case slices.ContainsFunc(m.damaged, func(d *damaged) bool { return d.row.Name == row.Name }):
		return nil
	}
	d := &damaged{row: row, why: f.Err, back: f.Kind != repo.KindCondemned && m.uploaded(row) != nil}
	m.damaged = append(m.damaged, d)
	if d.back {
		m.note(row.Name, "as it was uploaded, from the copy that is kept here")
	}
	return nil
}

// foreseeObject says from what the content of an object comes back.
func (m *mend) foreseeObject(d *damaged) {
	if d.row.Kind == repo.Checkpoint {
		m.note(d.row.Name, "another checkpoint takes its place")
		return
	}
	sources, lost := map[string]bool{}, 0
	for _, b := range d.row.Blobs() {
		switch s := m.h.want[b.ID]; {
		case s == nil:
		case s.done:
			sources[m.from[b.ID]] = true
		default:
			lost++
		}
	}
	names := slices.Sorted(maps.Keys(sources))
	switch {
	case lost > 0 && len(names) == 0:
		m.done.Left = append(m.done.Left, repo.Finding{Object: d.row.Name, Err: d.why, Problem: "no source has what it held"})
	case lost > 0:
		m.done.Left = append(m.done.Left, repo.Finding{Object: d.row.Name, Err: d.why,
			Problem: fmt.Sprintf("a part comes from %s; no source has %d of its blobs", strings.Join(names, ", "), lost)})
	case len(names) == 0:
		m.note(d.row.Name, "other objects have what it held")
	default:
		m.note(d.row.Name, "from "+strings.Join(names, ", "))
	}
}
