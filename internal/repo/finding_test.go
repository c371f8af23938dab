package repo

import (
	"context"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/store"

	"github.com/tunesafe/tunesafe/tests/tools"
)

// attack is something done to a bucket, and what must be said of it.
type attack struct {
	do   func(l *library) string // gives the object that must be named
	kind Kind
	put  bool // the finding says who put the object
}

var attacks = map[string]attack{
	"object deleted":   {func(l *library) string { l.st.Delete(l.t.Context(), l.audio.Name); return l.audio.Name }, KindMissing, true},
	"object cut short": {func(l *library) string { return l.change(l.art.Name, l.body(l.art.Name)[:400]) }, KindResized, true},
	"object longer":    {func(l *library) string { return l.change(l.art.Name, append(l.body(l.art.Name), 0)) }, KindResized, true},
	"last commit deleted": {func(l *library) string {
		l.st.Delete(l.t.Context(), l.lastName())
		return l.lastName()
	}, KindRolledBack, false},
	"commit from the middle deleted": {func(l *library) string { l.st.Delete(l.t.Context(), l.second.Name); return l.lastName() }, KindBroken, false},
	"commits swapped": {func(l *library) string {
		one, two := l.body(l.first.Name), l.body(l.second.Name)
		l.overwrite(l.second.Name, one)
		return l.change(l.first.Name, two)
	}, KindDamaged, false},
	"old commit replayed as the next": {func(l *library) string {
		next := Head{l.head.Seq + 1, l.first.Head().SHA}
		return l.change(commitName(l.d.ID, next), l.body(l.first.Name))
	}, KindDamaged, false},
	"commit of another number": {func(l *library) string {
		return l.change(commitName(l.d.ID, Head{2, l.first.Head().SHA}), l.body(l.first.Name))
	}, KindForked, false},
	"chain forked":      {func(l *library) string { return commitName(l.d.ID, l.fork(2)) }, KindForked, false},
	"time falling":      {func(l *library) string { l.clock = l.clock.Add(-time.Hour); return l.commit(&Commit{}).Name }, KindBackdated, false},
	"older than seen":   {backdatedBySeen, KindBackdated, false},
	"seen and gone":     {seenAndGone, KindRolledBack, false},
	"needed, condemned": {condemnNeeded, KindCondemned, true},
	"never condemned":   {deleteUncondemned, KindCondemned, true},
	"lost, condemned":   {loseCondemned, KindMissing, true},
	"first commit for another repo.json": {func(l *library) string {
		l.overwrite(repoFile, append(l.body(repoFile), '\n'))
		return repoFile
	}, KindExchanged, false},
	"commit of nobody": {func(l *library) string {
		return l.change("log/0123456789abcdef/"+l.first.Name[len("log/0123456789abcdef/"):], l.body(l.first.Name))
	}, KindUnsigned, false},
	"foreign in the root":     {foreignAs("holiday.jpg"), KindForeign, false},
	"foreign in audio":        {foreignAs("audio/holiday.jpg"), KindForeign, false},
	"foreign in log":          {foreignAs("log/holiday.jpg"), KindForeign, false},
	"foreign in keys":         {foreignAs("keys/deeper/x.age"), KindForeign, false},
	"foreign in devices":      {foreignAs("devices/notes.txt"), KindForeign, false},
	"foreign in checkpoints":  {foreignAs("checkpoints/notes.txt"), KindForeign, false},
	"foreign below repo.json": {foreignAs(repoFile + "/x"), KindForeign, false},
	"foreign, named as ours":  {foreignAs(objectName("audio", [32]byte{7})), KindForeign, false},
	"object in another's folder": {func(l *library) string {
		return l.change(strings.Replace(l.art.Name, "meta/"+l.art.Name[5:7], "meta/00", 1)+"x", l.body(l.art.Name))
	}, KindForeign, false},
}

func foreignAs(name string) func(*library) string {
	return func(l *library) string { return l.change(name, []byte("not ours")) }
}

// another commits as a second device, which the first one's next commit sees.
func another(l *library, c *Commit) *Commit {
	d := must(Enrol(l.t.Context(), l.st, l.k, l.root, "second"))(l.t)
	c.Kind, c.Seq = Changes, 1
	c.Repo = must(RepoHash(l.t.Context(), l.st, l.k))(l.t)
	l.put(must(EncodeCommit(l.k, d, c))(l.t))
	return c
}

func backdatedBySeen(l *library) string {
	c := another(l, &Commit{Time: l.clock.Add(time.Hour)})
	return l.commit(&Commit{Seen: map[string]Head{c.Device: c.Head()}}).Name
}

func seenAndGone(l *library) string {
	c := another(l, &Commit{Time: l.clock})
	l.commit(&Commit{Seen: map[string]Head{c.Device: c.Head()}})
	l.st.Delete(l.t.Context(), c.Name)
	return c.Name
}

// condemnNeeded condemns what a file needs, and deletes it.
func condemnNeeded(l *library) string {
	l.commit(&Commit{Condemned: []CondemnRow{{Name: l.audio.Name, Size: l.audio.Size, Why: "by mistake"}}})
	l.st.Delete(l.t.Context(), l.audio.Name)
	l.commit(&Commit{Deleted: []DeletedRow{{l.audio.Name, l.audio.Size}}})
	return l.audio.Name
}

// deleteUncondemned deletes what no commit condemned.
func deleteUncondemned(l *library) string {
	l.st.Delete(l.t.Context(), l.audio.Name)
	l.commit(&Commit{Deleted: []DeletedRow{{l.audio.Name, l.audio.Size}}})
	return l.audio.Name
}

// loseCondemned loses what was condemned and is needed again, before anybody
// deleted it.
func loseCondemned(l *library) string {
	l.commit(&Commit{Condemned: []CondemnRow{{Name: l.audio.Name, Size: l.audio.Size, Why: "by mistake"}}})
	l.st.Delete(l.t.Context(), l.audio.Name)
	return l.audio.Name
}

// Whatever is done to a bucket behind our back is found, by a word for it and
// the object it was done to; a bucket to which nothing was done has no finding.
func TestAttacks(t *testing.T) {
	tools.StepByStep(t)
	if findings, _ := newLibrary(t).check(true); len(findings) > 0 {
		t.Fatalf("of a clean bucket: %+v", findings)
	}
	for name, a := range attacks {
		t.Run(name, func(t *testing.T) {
			l := newLibrary(t)
			object := a.do(l)
			findings, _ := l.check(false)
			f := named(findings, a.kind, object)
			if f == nil {
				t.Fatalf("findings %+v, want %s of %s", findings, a.kind, object)
			}
			if f.Harmless || f.Err == nil {
				t.Errorf("%+v is harmless", f)
			}
			if a.put && (f.Put == nil || f.Put.Seq == 0 || f.Put.Name != "host") {
				t.Errorf("who put it: %+v", f.Put)
			}
		})
	}
}

// named finds a finding of that object, or that names it: of a fork there is one
// for both commits.
func named(findings []Finding, kind Kind, object string) *Finding {
	for i, f := range findings {
		if f.Kind == kind && (f.Object == object || kind == KindForked && strings.Contains(f.Problem, object)) {
			return &findings[i]
		}
	}
	return nil
}

// A missing object is told from a deleted one by the log: who put it, whether
// anybody condemned it, and why.
func TestWhoDeleted(t *testing.T) {
	l := newLibrary(t)
	object := condemnNeeded(l)
	findings, _ := l.check(false)
	f := named(findings, KindCondemned, object)
	if f == nil || f.Condemned.Seq != 4 || f.Condemned.Why != "by mistake" || f.Put.Seq != 2 || len(f.Inodes) != 1 {
		t.Fatalf("%+v", findings)
	}
	if f := named(findings, KindMissing, object); f != nil {
		t.Errorf("the store is blamed: %+v", f)
	}
	// What nothing needs any more is gone by right.
	l = newLibrary(t)
	extra := l.pack(Tags, []byte("extra"))
	l.commit(&Commit{})
	l.commit(&Commit{Condemned: []CondemnRow{{Name: extra.Name, Size: extra.Size, Why: "kept for 90 days"}}})
	if findings, _ := l.check(false); named(findings, KindDiscarded, extra.Name) == nil || !findings[0].Harmless {
		t.Errorf("before it is deleted: %+v", findings)
	}
	l.st.Delete(t.Context(), extra.Name)
	if findings, _ := l.check(false); len(findings) > 0 {
		t.Errorf("after it was deleted: %+v", findings)
	}
}

// A head on paper finds a rollback that this machine cannot know of.
func TestMarks(t *testing.T) {
	check := func(l *library, marks ...Mark) []Finding {
		findings, _, err := Check(t.Context(), l.st, l.k, nil, CheckOptions{Marks: marks})
		if err != nil {
			t.Fatal(err)
		}
		return findings
	}
	l := newLibrary(t)
	mark, hint := MarkOf(l.d.ID, l.head), l.head
	older := MarkOf(l.d.ID, l.first.Head())
	if findings := check(l, mark, older); len(findings) > 0 {
		t.Errorf("of a bucket that has both: %+v", findings)
	}
	l.st.Delete(t.Context(), commitName(l.d.ID, hint))
	if findings := check(l); named(findings, KindRolledBack, l.second.Name) != nil {
		t.Errorf("without a head: %+v", findings)
	}
	if findings := check(l, mark); named(findings, KindRolledBack, l.second.Name) == nil {
		t.Errorf("of a log that ends before it: %+v", findings)
	}
	other := mark
	other.Seq = 2
	if findings := check(l, other); named(findings, KindForked, l.second.Name) == nil {
		t.Errorf("of another commit: %+v", findings)
	}
	for _, name := range []string{l.first.Name, l.second.Name, "devices/" + l.d.ID + ".age"} {
		l.st.Delete(t.Context(), name)
	}
	if findings := check(l, mark); named(findings, KindRolledBack, "devices/"+l.d.ID+".age") == nil {
		t.Errorf("of a log that is gone: %+v", findings)
	}
}

// aged is a store whose objects are old.
type aged struct {
	store.Store
	by time.Duration
}

func (s aged) List(ctx context.Context, prefix, after string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		for info, err := range s.Store.List(ctx, prefix, after) {
			info.Time = info.Time.Add(-s.by)
			if !yield(info, err) {
				return
			}
		}
	}
}

// What an upload left is told by its age from what it may still name.
func TestLeftovers(t *testing.T) {
	l := newLibrary(t)
	s := must(l.k.Seal("meta", []byte("left")))(t)
	l.put(s)
	for by, want := range map[time.Duration]Kind{0: KindUnfinished, uploading / 2: KindUnfinished, 3 * uploading: KindLeftover} {
		findings, _, err := Check(t.Context(), aged{l.st, by}, l.k, l.x, CheckOptions{})
		if err != nil || len(findings) != 1 || findings[0].Kind != want || !findings[0].Harmless {
			t.Errorf("after %v: %+v, %v; want %s", by, findings, err, want)
		}
	}
}
