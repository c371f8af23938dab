package sync

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/repo"
)

// lostKey names the meta value that holds the names of commits that are lost, and
// that a commit of this home says are. See [Worker.MendLog].
const lostKey = "lost"

// ErrWaiting: something waits to be uploaded or committed that has to be before.
var ErrWaiting = errors.New("something waits to be uploaded")

// lostCommits are the commits that this home does not expect in the bucket.
func (w *Worker) lostCommits() (names []string, err error) {
	b, err := w.cache.Meta(lostKey)
	if err == nil && b != nil {
		err = json.Unmarshal(b, &names)
	}
	return names, err
}

// MendLog puts back what is damaged or missing of keys, certificates, repo.json and
// the log, as this home and those in From keep it. It runs before [Worker.Pull], which
// needs all that.
//
// A commit that nobody keeps is lost. If this home had taken it in, it knows all that
// the commit said, but not its bytes: a new commit names it as lost, which keeps the
// chain provable, as the commit behind it and the head of it were signed. What it said
// is said again by [Worker.SayAgain].
func (w *Worker) MendLog(ctx context.Context, o RepairOptions) (done Repaired, err error) {
	kept := w.o.Kept
	if err := takeKept(kept, o.From); err != nil {
		return done, err
	}
	if err := kept.KeepHidden(ctx, w.o.Store, w.o.Keys); err != nil {
		w.log.Warn("older versions in the bucket are not looked at", "err", err)
	}
	small, err := repo.MendSmall(ctx, w.o.Store, w.o.Keys, kept, o.Recovery)
	if err != nil {
		return done, err
	}
	for _, r := range small {
		if r.Err == nil {
			done.Mended = append(done.Mended, Mended{r.Name, r.How})
		} else {
			done.Left = append(done.Left, repo.Finding{Object: r.Name, Problem: r.Err.Error(), Err: r.Err})
		}
	}
	s, known, err := w.survey(ctx, nil)
	if err != nil {
		return done, err
	}
	var lost []string
	for _, name := range s.Lost() {
		how, err := w.bringBackCommit(ctx, name)
		if err != nil {
			return done, err
		}
		if how != "" {
			done.Mended = append(done.Mended, Mended{name, how})
			continue
		}
		body := kept.Get(name)
		if body == nil {
			lost = append(lost, name)
			continue
		}
		if err := w.send(ctx, name, body); err != nil {
			return done, err
		}
		done.Mended = append(done.Mended, Mended{name, "put back as it was"})
	}
	return done, w.noteLost(ctx, s, known, lost, o, &done)
}

// takeKept copies what other homes keep.
func takeKept(kept *repo.Kept, from []From) error {
	for _, f := range from {
		for _, name := range f.Kept.Names("") {
			if body := f.Kept.Get(name); body != nil && kept.Get(name) == nil {
				if err := kept.Add(name, body); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// survey reads the log, whatever is wrong with it.
func (w *Worker) survey(ctx context.Context, state *repo.LogState) (*repo.LogSurvey, map[string]repo.Head, error) {
	certs, _, err := repo.Devices(ctx, w.o.Store, w.o.Keys)
	if err != nil {
		return nil, nil, err
	}
	known, err := w.o.Index.Heads()
	if err != nil {
		return nil, nil, err
	}
	if own, err := w.ownHead(); err != nil {
		return nil, nil, err
	} else if own.Seq > 0 {
		known[w.o.Device.ID] = own
	}
	s, err := repo.SurveyLog(ctx, w.o.Store, w.o.Keys, certs, known, func(c *repo.Commit) {
		if state != nil {
			state.Take(c)
		}
	})
	return s, known, err
}

// noteLost makes a commit that names those of the lost commits which this home had
// taken in. Others are left: the home that made them may have them. Only who gives
// them up has them named too, and then what they said is lost, but for what other commits
// and checkpoints say.
func (w *Worker) noteLost(ctx context.Context, s *repo.LogSurvey, known map[string]repo.Head, lost []string, o RepairOptions, done *Repaired) error {
	var note []string
	how := map[string]string{}
	for _, name := range lost {
		device, h, err := repo.ParseLost(name)
		if err != nil {
			return err
		}
		switch {
		case s.Noted[name]:
			continue
		case o.beside:
			done.Left = append(done.Left, repo.Finding{Object: name, Err: repo.ErrCorrupt,
				Problem: "no copy of it is kept here: what it said can be said again when the drive is not in use, by tunesafe repair --bucket"})
			continue
		case h.Seq <= known[device].Seq:
			how[name] = "nobody keeps it: a new commit names it as lost, and says again what is known of it"
		case o.GiveUp:
			done.GaveUp = true
			how[name] = "given up: a new commit names it as lost; what it said is not known here"
		default:
			done.Left = append(done.Left, repo.Finding{Object: name, Err: repo.ErrCorrupt,
				Problem: "this home never read it; the home of device " + device + " may put it back: tunesafe repair there"})
			continue
		}
		note = append(note, name)
	}
	if len(note) == 0 {
		return nil
	}
	before, err := w.lostCommits()
	if err != nil {
		return err
	}
	b, err := json.Marshal(slices.Compact(slices.Sorted(slices.Values(append(before, note...)))))
	if err == nil {
		err = w.cache.SetMeta(lostKey, b)
	}
	if err != nil {
		return err
	}
	for _, name := range note {
		done.Mended = append(done.Mended, Mended{name, how[name]})
	}
	return w.publish(ctx, &repo.Commit{Kind: repo.Changes, Lost: note}, nil)
}

// SayAgain commits what lost commits said and no other does, and makes a checkpoint
// that stands on none of them. It needs a home in which nothing waits, and reports
// whether it had anything to do.
func (w *Worker) SayAgain(ctx context.Context) (bool, error) {
	state := repo.NewLogState()
	s, _, err := w.survey(ctx, state)
	if err != nil || len(s.Noted) == 0 {
		return false, err
	}
	if settled, err := w.cache.Settled(); err != nil || !settled {
		return false, errors.Join(err, ErrWaiting)
	}
	if said, err := w.sayDifference(ctx, state); err != nil || said == 0 && s.Checkpoint.After(s.NotedAt) {
		return err != nil, err
	}
	return true, w.checkpoint(ctx)
}

// sayAll commits whatever the rows here say and the log does not, and makes a checkpoint.
func (w *Worker) sayAll(ctx context.Context) error {
	state := repo.NewLogState()
	if _, _, err := w.survey(ctx, state); err != nil {
		return err
	}
	if settled, err := w.cache.Settled(); err != nil || !settled {
		return errors.Join(err, ErrWaiting)
	}
	if _, err := w.sayDifference(ctx, state); err != nil {
		return err
	}
	return w.checkpoint(ctx)
}

// sayDifference commits what the rows here say and the log does not, and counts the commits.
func (w *Worker) sayDifference(ctx context.Context, state *repo.LogState) (said int, err error) {
	err = w.difference(state, func(c *repo.Commit) error {
		said++
		return w.publish(ctx, c, nil)
	})
	return said, err
}

// difference makes commits of what the rows here say and the log does not.
func (w *Worker) difference(state *repo.LogState, publish func(*repo.Commit) error) error {
	c := &repo.Commit{Kind: repo.Changes}
	rows := 0
	flush := func(least int) error {
		if rows <= least {
			return nil
		}
		full := c
		c, rows = &repo.Commit{Kind: repo.Changes}, 0
		return publish(full)
	}
	objects, err := w.objectsDiffer(state)
	if err != nil {
		return err
	}
	for _, o := range objects {
		o(c)
		rows++
		if err := flush(rowsOfCommit); err != nil {
			return err
		}
	}
	err = w.cache.Each(func(r cache.Row) error {
		if row := toRepo(r); state.DiffersInode(row) {
			c.Inodes, rows = append(c.Inodes, row), rows+1
		}
		return flush(rowsOfCommit)
	}, func(n cache.NameRow) error {
		if row := (repo.NameRow{In: n.Parent, Name: n.Name, Inode: n.Ino}); state.DiffersName(row) {
			c.Names, rows = append(c.Names, row), rows+1
		}
		return flush(rowsOfCommit)
	})
	if err != nil {
		return err
	}
	inodes, names := state.Gone()
	for _, ino := range inodes {
		c.Inodes, rows = append(c.Inodes, repo.InodeRow{Inode: ino, Gone: true}), rows+1
	}
	for _, n := range names {
		c.Names, rows = append(c.Names, repo.NameRow{In: n.In, Name: n.Name}), rows+1
	}
	return flush(0)
}

// objectsDiffer gives what is to be added to commits for the log to say of objects what
// the index knows.
func (w *Worker) objectsDiffer(state *repo.LogState) (add []func(*repo.Commit), err error) {
	rows, err := w.o.Index.Condemned()
	if err != nil {
		return nil, err
	}
	condemned := map[string]repo.CondemnRow{}
	for _, r := range rows {
		condemned[r.Name] = r
	}
	for o, err := range w.o.Index.Objects() {
		if err != nil {
			return nil, err
		}
		put, by := state.Object(o.Name)
		doomed, is := condemned[o.Name]
		if !put || !is && slices.Contains(by, w.o.Device.ID) {
			add = append(add, func(c *repo.Commit) { c.Puts = append(c.Puts, o) })
		}
		if is && (!put || len(by) == 0) { // a put alone would take back what this device condemned
			row := repo.CondemnRow{Name: o.Name, Size: o.Size, Why: doomed.Why}
			add = append(add, func(c *repo.Commit) { c.Condemned = append(c.Condemned, row) })
		}
	}
	for _, row := range state.Unseen() { // a lost commit said that it is deleted
		add = append(add, func(c *repo.Commit) { c.Deleted = append(c.Deleted, row) })
	}
	return add, nil
}

// lostHeads are those of the lost commits on which a checkpoint stands.
func lostHeads(lost []string, heads map[string]repo.Head) (names []string) {
	for _, name := range lost {
		device, h, err := repo.ParseLost(name)
		if err == nil && heads[device] == h {
			names = append(names, name)
		}
	}
	return names
}
