package sync

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tunesafe/tunesafe/internal/crashpoint"
	"github.com/tunesafe/tunesafe/internal/history"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/retain"
	"github.com/tunesafe/tunesafe/internal/store"
)

// Pruning takes from the bucket what nothing needs any more. The order is that of
// FORMAT.md §8, and each step may be the last before the program dies:
//
//  1. what of old packs is still needed is copied into new ones
//  2. a commit places those, and condemns what nothing needs; from here on nothing
//     new uses it, and everything that did can still be read
//  3. the grace passes: every device has made a commit that knows of it
//  4. once more it is found out what is needed, by commits that had not heard and by
//     what waits here; what is, is put into use again
//  5. the rest is deleted, and then a commit says so
//
// Needed is what the drive holds now, here and in the log, what waits, and what a
// moment of the past that is kept has ([Keep]).

// Keep says how much of the past is kept.
type Keep struct {
	retain.Rules
	// Sound is how long sound, and other large data, that is on the drive no more is
	// kept where there are no Rules; tags, art and the like are kept for ever then.
	// The zero Span is for ever, too.
	Sound retain.Span
}

// PruneOptions are what a prune works with.
type PruneOptions struct {
	Keep    Keep
	History *history.DB
	DryRun  bool // only tell
	// LockedUntil tells of an object until when it is known to be locked, so that it is
	// not tried before; nil if that is known of none.
	LockedUntil func(object string) time.Time
}

// Pruned tells what a prune did, or, of a dry run, would do. Bytes are those in the
// bucket.
type Pruned struct {
	Moments, Forgotten      int   // of the past: there were, and are shown no more
	Condemned, CondemnBytes int64 // objects that nothing needs
	Leftovers               int64 // of them, that no commit ever named
	Rewritten, RewriteBytes int64 // of them, of which a little is needed and copied; bytes of that
	TakenBack               int64 // condemned before, and needed after all
	Deleted, DeletedBytes   int64
	Kept, KeptBytes         int64 // condemned, and not deleted yet
	Denied, DeniedBytes     int64 // of them, that the store refused to delete
	DeniedBy                error
	Locked, LockedBytes     int64     // of them, that the store has locked until a date
	LockedUntil             time.Time // the last of these dates
	Hidden, HiddenBytes     int64     // of those deleted, of which the bucket keeps a version all the same
	HiddenBy                error
	WaitsFor                []Silent // devices that must be heard of before they are
	Stored                  int64    // bytes of all objects that are in use
	Puts, Gets              int64    // requests
}

// Silent is a device that has made no commit since objects were condemned.
type Silent struct {
	Device, Name string
	Since        time.Time // its newest commit; zero: none yet
}

// ErrUnsettled: this home has not taken in all that it must before it may prune.
var ErrUnsettled = errors.New("this home has not taken in the bucket yet")

// ErrStranger: the bucket has commits of a device that no certificate vouches for, or a
// certificate that cannot be read.
var ErrStranger = errors.New("it is not known which devices use the repository")

// maxDenied is how many objects in a row the store may refuse to delete before no
// more are tried.
const maxDenied = 5

// condemnedAtOnce is how many objects one commit condemns.
const condemnedAtOnce = 20000

// Prune deletes what nothing needs. It waits for what is on its way, and uploads wait
// for it.
func (w *Worker) Prune(ctx context.Context, o PruneOptions) (Pruned, error) {
	w.turn.Lock()
	defer w.turn.Unlock()
	p := &pruner{w: w, o: o}
	err := p.prune(ctx)
	return p.Pruned, err
}

type pruner struct {
	Pruned
	w         *Worker
	o         PruneOptions
	certs     map[string]repo.Certificate
	put, cond map[string]bool   // objects that commits place, and condemn, which this home has not taken in
	heard     map[string]uint64 // up to which of our commits the other devices have
	condemned []repo.CondemnRow // by name
}

func (p *pruner) prune(ctx context.Context) error {
	w := p.w
	if err := p.begin(ctx); err != nil {
		return err
	}
	f, err := p.find(ctx)
	if err == nil {
		err = p.leftovers(ctx, f)
	}
	if err != nil {
		return err
	}
	p.count(f)
	if p.o.DryRun {
		return p.silent(ctx)
	}
	if err := p.condemn(ctx, f); err != nil {
		return err
	}
	crashpoint.At("prune.condemned")
	if err := p.silent(ctx); err != nil {
		return err
	}
	if err := p.ownGrace(ctx); err != nil {
		return err
	}
	if err := p.deleteCondemned(ctx); err != nil {
		return err
	}
	rows, err := w.o.Index.Condemned()
	for _, r := range rows {
		p.Kept++
		p.KeptBytes += r.Size
	}
	return err
}

// begin makes sure that this home knows where it stands, and reads what others
// committed since.
func (p *pruner) begin(ctx context.Context) (err error) {
	w := p.w
	w.bucket.forget()
	if err := w.resend(ctx); err != nil {
		return err
	}
	if err := w.settledDown(); err != nil {
		return err
	}
	if err := w.bucket.check(ctx, w); err != nil {
		return err
	}
	if err := p.devices(ctx); err != nil {
		return err
	}
	return p.catchUp(ctx)
}

// catchUp reads what others committed: into the history, and which objects that is about.
// A drive that is in use takes in nothing of others.
func (p *pruner) catchUp(ctx context.Context) error {
	w := p.w
	heads, err := w.o.Index.Heads()
	if err != nil {
		return err
	}
	p.put, p.cond = map[string]bool{}, map[string]bool{}
	err = repo.ReadLog(ctx, w.o.Store, w.o.Keys, p.certs, heads, func(c *repo.Commit) error {
		for _, r := range c.Puts {
			p.put[r.Name] = true
		}
		for _, r := range c.Condemned {
			p.cond[r.Name] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	return p.o.History.CatchUp(ctx, w.o.Store, w.o.Keys, p.certs, nil)
}

// devices reads who uses the repository. What a device uses of which nothing vouches,
// as its certificate is damaged or gone, is not known; it must not be taken for nobody.
func (p *pruner) devices(ctx context.Context) (err error) {
	var bad []error
	if p.certs, bad, err = repo.Devices(ctx, p.w.o.Store, p.w.o.Keys); err != nil {
		return err
	}
	if err := errors.Join(bad...); err != nil {
		return fmt.Errorf("%w: %w", ErrStranger, err)
	}
	for after := ""; ; {
		device := ""
		for info, err := range p.w.o.Store.List(ctx, "log/", after) {
			if err != nil {
				return err
			}
			device, _, _ = strings.Cut(strings.TrimPrefix(info.Key, "log/"), "/")
			break
		}
		if device == "" {
			return nil
		}
		if _, ok := p.certs[device]; !ok {
			return fmt.Errorf("log/%s: %w", device, ErrStranger)
		}
		after = "log/" + device + "/~" // behind all of it
	}
}

// count fills in what people are told.
func (p *pruner) count(f *found) {
	p.Moments = f.moments
	for _, spans := range f.forget {
		for _, s := range spans {
			p.Forgotten += int(s.Last - s.First + 1)
		}
	}
	p.Condemned, p.CondemnBytes, p.Leftovers = int64(len(f.dead)), f.bytes, f.orphans
	p.Rewritten, p.RewriteBytes = int64(len(f.sparse)), f.copied
	p.TakenBack, p.Stored = int64(len(f.revived)), f.stored
	p.Gets = int64(len(f.sparse))
	if len(f.dead)+len(f.revived)+len(f.forget) > 0 {
		p.Puts = 3 + (f.copied+fullPack-1)/fullPack + int64(len(f.dead)/condemnedAtOnce)
	}
}

// condemn copies what is needed of sparse packs and commits what was found.
func (p *pruner) condemn(ctx context.Context, f *found) error {
	w := p.w
	if len(f.dead)+len(f.revived)+len(f.forget) == 0 {
		return nil
	}
	for _, hint := range f.hints { // before what they lead to
		if err := w.o.Store.Delete(ctx, hint); err != nil && !mayStay(err) {
			return err
		}
	}
	puts, err := p.takeBack(ctx, f.revived)
	if err != nil {
		return err
	}
	if err := p.rewrite(ctx, f); err != nil {
		return err
	}
	crashpoint.At("prune.rewritten")
	c := &repo.Commit{Puts: puts, Forgotten: f.forget}
	for {
		n := min(len(f.dead), condemnedAtOnce)
		c.Condemned, f.dead = f.dead[:n], f.dead[n:]
		if err := p.publish(ctx, c); err != nil || len(f.dead) == 0 {
			return err
		}
		c = &repo.Commit{}
	}
}

// mayStay tells whether the store refuses to delete something, now or for ever.
func mayStay(err error) bool {
	return errors.Is(err, store.ErrDenied) || errors.Is(err, store.ErrLocked) || errors.Is(err, store.ErrKept)
}

// publish makes a commit, and tells the history of it.
func (p *pruner) publish(ctx context.Context, c *repo.Commit) error {
	c.Kind = repo.Changes
	if err := p.w.publish(ctx, c, nil); err != nil {
		return err
	}
	if err := p.o.History.Add(c); !errors.Is(err, history.ErrGap) { // which is closed when it is asked
		return err
	}
	return nil
}

// takeBack gives the rows that put objects into use again. One that is not there any
// more, as an earlier prune was cut short, stays condemned.
func (p *pruner) takeBack(ctx context.Context, uses []repo.Use) (puts []repo.ObjectRow, err error) {
	for _, u := range uses {
		_, err := p.w.o.Store.Stat(ctx, u.Object.Name)
		if errors.Is(err, store.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		row, ok, err := p.w.o.Index.Object(u.Object.Name)
		if err != nil {
			return nil, err
		}
		if ok {
			puts = append(puts, row)
		}
	}
	return puts, nil
}
