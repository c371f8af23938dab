package sync

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"filippo.io/age"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/repo"
)

// RepairOptions say what [Worker.Mend] and [Worker.MendLog] may use.
type RepairOptions struct {
	Read     bool         // read every object, not only list them
	Recovery age.Identity // nil: none
	From     []From       // further sources
	GiveUp   bool         // name what no source has as lost, and condemn what held it
	Suspects []string     // objects that were found damaged before, to be read in any case

	Progress func(objects, ofObjects, bytes, ofBytes int64) // of the reading; may be nil
	Verified func(object string, err error)                 // of each object that is read; may be nil

	beside bool // the drive is in use: see [Worker.MendBeside]
}

// From is a folder in which lost bytes may be found: any folder with music, or
// another home of the same repository.
type From struct {
	Dir      string
	Contents string     // of a home: its folder of contents; "" for any other folder
	Packs    string     // of a home: its folder of packs
	Kept     *repo.Kept // of a home: what it keeps of the bucket's small objects
}

// Repaired says what a repair did.
type Repaired struct {
	Mended []Mended
	Lost   []LostFile
	Left   []repo.Finding // what is still wrong, lost files aside

	LostBlobs map[repo.ID]bool // that no source has, needed by the drive or not

	GaveUp bool     // commits that this home never read: see [Worker.Rescue]
	Found  []string // by that, files of lost+found
	Names  []string // by that, of which nothing else is known
}

// Mended is one object of the bucket that was put right.
type Mended struct{ Object, How string }

// LostFile is a file of the drive of which bytes are lost, as far as any source told.
type LostFile struct {
	Ino   cache.Ino
	Path  string
	Bytes int64            // that are lost
	Kinds map[string]int64 // the same by kind of part
	Whole []string         // kinds of part of which nothing is lost
}

// mend is one repair of objects and the places of blobs.
type mend struct {
	w       *Worker
	o       RepairOptions
	done    Repaired
	damaged []*damaged
	h       *harvest
	packs   map[string]*repo.PackBuilder
	sound   *repo.AudioBuilder
	redo    bool // a checkpoint lost some of its rows

	at   string             // which source is looked through
	from map[repo.ID]string // in which a blob was found
}

// damaged is an object that is not there, or not as it was written.
type damaged struct {
	row  repo.ObjectRow
	why  error
	back bool // put back byte for byte
}

// Mend puts back what is damaged or missing of audio objects and packs. It must
// run when [Worker.Pull] has taken in the bucket and [Worker.Run] does not run.
//
// An object of which the bucket has an older version, or that is kept here as it was
// uploaded, is put back byte for byte. Of others the
// blobs are looked for, in this order: in what is left of the object, in objects of which
// no commit tells any more, in the contents here, in the folders that feed the places, and in further sources. What
// is found goes into new objects, and the commit that places them condemns the
// damaged ones. An object of which a blob was not found is left as it is: another
// source may have it some day.
func (w *Worker) Mend(ctx context.Context, o RepairOptions) (Repaired, error) {
	m := &mend{w: w, o: o, packs: map[string]*repo.PackBuilder{}, from: map[repo.ID]string{}}
	findings, sum, err := m.check(ctx)
	if err != nil {
		return m.done, err
	}
	for _, hint := range sum.BadHints {
		if err := w.send(ctx, hint, []byte("\n")); err != nil {
			return m.done, err
		}
		m.note(hint, "written anew")
	}
	for _, f := range findings {
		if err := m.finding(ctx, f); err != nil {
			return m.done, err
		}
	}
	if err := m.lookFor(ctx, func(id repo.ID, s *sought, p []byte) error { return m.keep(ctx, id, s.kind, p) }); err != nil {
		return m.done, err
	}
	if err := m.flush(ctx); err != nil {
		return m.done, err
	}
	if err := m.finish(ctx); err != nil {
		return m.done, err
	}
	if m.redo {
		if err := w.mustCheckpoint(ctx); err != nil {
			return m.done, err
		}
		m.note("checkpoints/", "made a new checkpoint")
	}
	return m.done, m.account(ctx, findings)
}

// check examines the bucket, and reads what was found damaged before.
func (m *mend) check(ctx context.Context) ([]repo.Finding, repo.Summary, error) {
	w, o := m.w, m.o
	findings, sum, err := repo.Check(ctx, w.o.Store, w.o.Keys, w.o.Index, repo.CheckOptions{
		Read: o.Read, Kept: w.o.Kept, Progress: o.Progress, Verified: o.Verified, Recovery: o.Recovery})
	if err != nil || o.Read {
		return findings, sum, err
	}
	for _, name := range o.Suspects {
		if slices.ContainsFunc(findings, func(f repo.Finding) bool { return f.Object == name && !f.Harmless }) {
			continue
		}
		used, err := repo.VerifyObject(ctx, w.o.Store, w.o.Keys, w.o.Index, name)
		switch {
		case err == nil || !used:
			continue
		case !repo.IsFinding(err):
			return findings, sum, err
		}
		f := repo.Finding{Kind: repo.KindOf(err), Object: name, Problem: strings.TrimPrefix(err.Error(), name+": "), Err: repo.ErrCorrupt}
		if errors.Is(err, repo.ErrMissing) {
			f.Err = repo.ErrMissing
		}
		findings = append(findings, f)
	}
	return findings, sum, nil
}

func (m *mend) note(object, how string) {
	m.done.Mended = append(m.done.Mended, Mended{object, how})
}

// finding mends what a finding is about at once, or notes what is to be looked for.
func (m *mend) finding(ctx context.Context, f repo.Finding) error {
	row, ok, err := m.w.o.Index.Object(f.Object)
	if err != nil || !ok || !errors.Is(f.Err, repo.ErrMissing) && !errors.Is(f.Err, repo.ErrCorrupt) {
		return err
	}
	if slices.ContainsFunc(m.damaged, func(d *damaged) bool { return d.row.Name == row.Name }) {
		return nil
	}
	d := &damaged{row: row, why: f.Err}
	m.damaged = append(m.damaged, d)
	if f.Kind == repo.KindCondemned {
		return nil // it may go any time: what is needed of it has to lie elsewhere
	}
	how, err := m.w.bringBack(ctx, row.Name)
	if err != nil || how != "" {
		d.back = err == nil
		m.note(row.Name, how)
		return err
	}
	body := m.uploaded(row)
	if body == nil {
		return nil
	}
	if err := m.w.send(ctx, row.Name, body); err != nil {
		return err
	}
	d.back = true
	m.note(row.Name, "put back as it was uploaded")
	return nil
}

// uploaded is an object as it was uploaded, if that is kept; else nil.
func (m *mend) uploaded(row repo.ObjectRow) []byte {
	body := m.w.o.Reader.Kept(row.Name, row.Kind)
	for _, from := range m.o.From {
		if body == nil && from.Packs != "" {
			body = repo.KeptPack(from.Packs, row.Name, row.Kind)
		}
	}
	if int64(len(body)) != row.Size {
		return nil
	}
	return body
}

// lookFor looks for the blobs of damaged objects that could not be put back.
func (m *mend) lookFor(ctx context.Context, found func(repo.ID, *sought, []byte) error) error {
	m.h = &harvest{w: m.w, want: map[repo.ID]*sought{}, found: func(id repo.ID, s *sought, p []byte) error {
		m.from[id] = m.at
		return found(id, s, p)
	}}
	bad := map[string]bool{}
	for _, d := range m.damaged {
		bad[d.row.Name] = !d.back
	}
	for _, d := range m.damaged {
		if d.back {
			continue
		}
		if d.row.Kind == repo.Checkpoint {
			m.redo = true
			continue
		}
		kinds := d.row.BlobKinds()
		for _, b := range d.row.Blobs() {
			p, ok, err := m.w.o.Index.Lookup(b.ID)
			if err != nil {
				return err
			}
			if ok && !bad[p.Object] {
				continue // lies in another object, too
			}
			m.h.want[b.ID] = &sought{kind: kinds[b.ID], size: b.Size}
		}
	}
	if err := m.h.users(); err != nil {
		return err
	}
	type source struct {
		name string
		look func(context.Context) error
	}
	steps := []source{
		{"what is left of the object", m.h.remains}, {"objects that no commit tells of", m.h.unplaced},
		{"what this computer keeps", m.h.contents}, {"the folders that are backed up", m.h.outside},
	}
	for _, from := range m.o.From {
		if from.Contents != "" {
			steps = append(steps, source{from.Dir, func(ctx context.Context) error { return m.h.otherContents(ctx, from.Contents) }})
		} else {
			steps = append(steps, source{from.Dir, func(ctx context.Context) error { return m.h.folder(ctx, from.Dir) }})
		}
	}
	for _, step := range steps {
		if m.h.left() == 0 {
			break
		}
		m.at = step.name
		if err := step.look(ctx); err != nil {
			return err
		}
	}
	return nil
}

// keep puts a blob that was found into an object.
func (m *mend) keep(ctx context.Context, id repo.ID, kind string, p []byte) error {
	k := m.w.o.Keys
	if kind == repo.Audio {
		if len(p) >= packedBelow {
			return m.put(ctx)(repo.SealAudio(k, repo.Blob{ID: id, Data: p}))
		}
		if m.sound != nil && m.sound.Len()+int64(len(p)) > fullGroup {
			if err := m.flushSound(ctx); err != nil {
				return err
			}
		}
		if m.sound == nil {
			m.sound = repo.NewAudio(k, fullGroup)
		}
		return m.sound.Add(id, p)
	}
	pack := m.packs[kind]
	if pack != nil && (pack.Len() > firstPack || !pack.Fits(int64(len(p)))) {
		if err := m.put(ctx)(pack.Finish()); err != nil {
			return err
		}
		pack = nil
	}
	if pack == nil {
		pack = repo.NewPack(k, kind)
		m.packs[kind] = pack
	}
	pack.Add(id, p)
	return nil
}

// put uploads a sealed object.
func (m *mend) put(ctx context.Context) func(*repo.Sealed, repo.ObjectRow, error) error {
	return func(s *repo.Sealed, row repo.ObjectRow, err error) error {
		if err != nil {
			return err
		}
		defer s.Release()
		return m.w.put(ctx, s, row)
	}
}

func (m *mend) flushSound(ctx context.Context) error {
	s := m.sound
	m.sound = nil
	if s == nil {
		return nil
	}
	return m.put(ctx)(s.Finish())
}

// flush uploads what is packed so far.
func (m *mend) flush(ctx context.Context) error {
	packs := repo.JoinPacks(m.packs, joinedPack)
	clear(m.packs)
	for _, p := range packs {
		if err := m.put(ctx)(p.Finish()); err != nil {
			return err
		}
	}
	return m.flushSound(ctx)
}

// finish commits the new places, and condemns the objects that nobody needs now.
func (m *mend) finish(ctx context.Context) error {
	c := &repo.Commit{Kind: repo.Changes}
	for _, d := range m.damaged {
		if d.back {
			continue
		}
		lost := 0
		for _, b := range d.row.Blobs() {
			if s := m.h.want[b.ID]; s != nil && !s.done {
				lost++
			}
		}
		why := "damaged; what it held lies in other objects now"
		switch {
		case lost > 0 && !m.o.GiveUp:
			continue
		case lost > 0:
			why = fmt.Sprintf("damaged; %d of its blobs are lost", lost)
		case d.row.Kind == repo.Checkpoint:
			why = "damaged; another checkpoint takes its place"
		}
		c.Condemned = append(c.Condemned, repo.CondemnRow{Name: d.row.Name, Size: d.row.Size, Why: why})
		m.note(d.row.Name, why)
	}
	if len(c.Condemned) == 0 && len(m.w.o.Index.Unplaced()) == 0 {
		return nil
	}
	return m.w.publish(ctx, c, nil)
}

// account says which files are lost, and what else is still wrong.
func (m *mend) account(ctx context.Context, before []repo.Finding) error {
	if err := m.lostFiles(); err != nil {
		return err
	}
	now, _, err := repo.Check(ctx, m.w.o.Store, m.w.o.Keys, m.w.o.Index, repo.CheckOptions{Kept: m.w.o.Kept, Recovery: m.o.Recovery})
	if err != nil {
		return err
	}
	mended := map[string]bool{}
	for _, d := range m.done.Mended {
		mended[d.Object] = true
	}
	m.done.Left = slices.DeleteFunc(now, func(f repo.Finding) bool { return f.Harmless })
	for _, f := range before { // what only reading shows
		seen := slices.ContainsFunc(m.done.Left, func(g repo.Finding) bool { return g.Object == f.Object })
		if !f.Harmless && !seen && !mended[f.Object] && f.Object != "" && f.Err == repo.ErrCorrupt {
			m.done.Left = append(m.done.Left, f)
		}
	}
	return nil
}

// lostFiles says which files of the drive lost what.
func (m *mend) lostFiles() error {
	m.done.LostBlobs = map[repo.ID]bool{}
	lost := map[cache.Ino]map[string]int64{}
	for id, s := range m.h.want {
		if s.done {
			continue
		}
		m.done.LostBlobs[id] = true
		for _, ino := range s.used {
			if lost[ino] == nil {
				lost[ino] = map[string]int64{}
			}
			lost[ino][s.kind] += s.size
		}
	}
	paths, err := m.w.cache.Paths(slices.Collect(maps.Keys(lost)))
	if err != nil {
		return err
	}
	for ino, kinds := range lost {
		f := LostFile{Ino: ino, Path: paths[ino], Kinds: kinds}
		if f.Path == "" {
			f.Path = fmt.Sprintf("inode %016x", ino)
		}
		for _, n := range kinds {
			f.Bytes += n
		}
		for _, p := range m.h.use[ino].Parts {
			if kinds[p.Kind] == 0 && p.Size > 0 && !slices.Contains(f.Whole, p.Kind) {
				f.Whole = append(f.Whole, p.Kind)
			}
		}
		m.done.Lost = append(m.done.Lost, f)
	}
	slices.SortFunc(m.done.Lost, func(a, b LostFile) int { return strings.Compare(a.Path, b.Path) })
	return nil
}

// mustCheckpoint makes a checkpoint, for which nothing may wait.
func (w *Worker) mustCheckpoint(ctx context.Context) error {
	settled, err := w.cache.Settled()
	if err != nil {
		return err
	}
	if !settled {
		return w.setChain(chain{Commits: w.o.Checkpoint}) // as soon as nothing waits
	}
	return w.checkpoint(ctx)
}
