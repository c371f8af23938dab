package sync

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tunesafe/tunesafe/cache"
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
	known     map[string]bool   // objects that commits of others place which this home has not taken in
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
	settling, err := w.cache.Meta(settlingKey)
	half, err2 := w.Halfway()
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	if half || len(settling) > 0 {
		return ErrUnsettled
	}
	if err := w.bucket.check(ctx, w); err != nil {
		return err
	}
	if p.certs, _, err = repo.Devices(ctx, w.o.Store, w.o.Keys); err != nil {
		return err
	}
	heads, err := w.o.Index.Heads()
	if err != nil {
		return err
	}
	p.known = map[string]bool{}
	err = repo.ReadLog(ctx, w.o.Store, w.o.Keys, p.certs, heads, func(c *repo.Commit) error {
		for _, r := range c.Puts {
			p.known[r.Name] = true
		}
		for _, r := range c.Condemned {
			p.known[r.Name] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	return p.o.History.CatchUp(ctx, w.o.Store, w.o.Keys, p.certs, nil)
}

// found is what a look at the repository finds.
type found struct {
	needs   *repo.Needs
	dead    []repo.CondemnRow
	sparse  []repo.Use // mostly dead; the rest is copied
	revived []repo.Use // condemned by us, and needed
	forget  map[string][]repo.Span
	moments int
	hints   []string // that lead to checkpoints which are kept no more
	copied  int64    // bytes of what is needed of sparse
	bytes   int64    // of dead, in the bucket
	orphans int64
	stored  int64
}

// find tells what is needed for nothing. It changes nothing.
func (p *pruner) find(ctx context.Context) (*found, error) {
	w := p.w
	f := &found{needs: w.o.Index.Needs()}
	if err := p.past(ctx, f); err != nil {
		return nil, err
	}
	if err := w.cache.EachRecipe(func(r *cache.Recipe) error { return p.needRecipe(f, r) }); err != nil {
		return nil, err
	}
	checkpoints, err := p.checkpoints(ctx, f)
	if err != nil {
		return nil, err
	}
	uses, err := f.needs.Uses()
	if err != nil {
		return nil, err
	}
	mine, err := p.mine()
	if err != nil {
		return nil, err
	}
	if p.condemned, err = w.o.Index.Condemned(); err != nil {
		return nil, err
	}
	for _, u := range uses {
		name := u.Object.Name
		needed := u.Needed > 0
		if u.Object.Kind == repo.Checkpoint {
			needed = checkpoints[name]
		}
		switch {
		case u.Condemned && needed && mine[name] > 0:
			f.revived = append(f.revived, u)
		case u.Condemned && !needed && mine[name] == 0 && p.ofRetired(name):
			f.condemn(name, u.Object.Size, "condemned by a device that is retired")
		case u.Condemned:
		case !needed:
			f.condemn(name, u.Object.Size, "nothing needs it")
		case u.Object.Kind != repo.Checkpoint && 2*u.NeededBytes < u.Bytes:
			f.sparse = append(f.sparse, u)
			f.copied += u.NeededBytes
			f.condemn(name, u.Object.Size, "little of it was needed, which is elsewhere now")
		}
		if !u.Condemned {
			f.stored += u.Object.Size
		}
	}
	return f, nil
}

func (f *found) condemn(name string, size int64, why string) {
	f.dead = append(f.dead, repo.CondemnRow{Name: name, Size: size, Why: why})
	f.bytes += size
}

// past marks what the kept moments of the past need, and finds those that are not kept.
func (p *pruner) past(ctx context.Context, f *found) error {
	moments, err := p.o.History.Moments()
	if err != nil {
		return err
	}
	f.moments = len(moments)
	times := make([]time.Time, len(moments))
	for i, m := range moments {
		times[i] = m.Rev.Time().Local()
	}
	var kept []history.Rev
	dropped := map[string][]repo.Span{}
	for i, keep := range p.o.Keep.Keep(times) {
		if r := moments[i].Rev; keep {
			kept = append(kept, r)
		} else {
			dropped[r.Device()] = append(dropped[r.Device()], repo.Span{First: r.Seq(), Last: r.Seq()})
		}
	}
	f.forget = joinSpans(dropped)
	now, err := p.w.stamp()
	if err != nil {
		return err
	}
	horizon := time.Time{}
	if p.o.Keep.None() && !p.o.Keep.Sound.IsZero() {
		horizon = p.o.Keep.Sound.Before(now)
	}
	for v, err := range p.o.History.EachVersion() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if !v.To.IsZero() && !heldAtOne(&v, kept) {
			continue
		}
		silent := !v.To.IsZero() && v.To.Time().Before(horizon)
		if err := needVersion(f.needs, &v.Row, !silent); err != nil {
			return err
		}
	}
	return nil
}

// heldAtOne tells whether a version held at one of the moments, which are sorted.
func heldAtOne(v *history.Version, moments []history.Rev) bool {
	i, _ := slices.BinarySearchFunc(moments, v.From, history.Rev.Compare)
	return i < len(moments) && v.HeldAt(moments[i])
}

// needVersion marks the blobs of a row, those of sound only if asked to.
func needVersion(n *repo.Needs, r *repo.InodeRow, sound bool) error {
	for _, part := range r.Parts {
		if !sound && isSound(part.Kind) {
			continue
		}
		for _, b := range part.Blobs {
			if !b.IsZeros() {
				if err := n.Add(b.ID); err != nil {
					return err
				}
			}
		}
	}
	if r.More != nil {
		return n.Add(r.More.ID)
	}
	return nil
}

// isSound tells whether parts of the kind are what is large and bought or ripped
// again, rather than somebody's labour.
func isSound(kind string) bool { return kind == repo.Audio || kind == repo.Data }

// needRecipe marks what a file here is made of.
func (p *pruner) needRecipe(f *found, r *cache.Recipe) error {
	for _, part := range r.Parts {
		for _, b := range part.Blobs {
			if !b.IsZeros() {
				if err := f.needs.Add(b.ID); err != nil {
					return err
				}
			}
		}
	}
	if r.More != nil {
		return f.needs.Add(r.More.ID)
	}
	return nil
}

// joinSpans sorts the numbers of each device and joins neighbours.
func joinSpans(by map[string][]repo.Span) map[string][]repo.Span {
	for device, spans := range by {
		slices.SortFunc(spans, func(a, b repo.Span) int { return int(int64(a.First) - int64(b.First)) })
		joined := spans[:1]
		for _, s := range spans[1:] {
			if last := &joined[len(joined)-1]; s.First <= last.Last+1 {
				last.Last = max(last.Last, s.Last)
			} else {
				joined = append(joined, s)
			}
		}
		by[device] = joined
	}
	return by
}

// checkpointsKept is how many checkpoints are kept: a reader takes the newest, and the
// one before should that be damaged.
const checkpointsKept = 2

// checkpoints names the objects that the newest checkpoints lie in, as their commits
// say: a reader begins with nothing else. f gets the hints that lead to older ones.
func (p *pruner) checkpoints(ctx context.Context, f *found) (map[string]bool, error) {
	w := p.w
	hints, err := repo.Hints(ctx, w.o.Store)
	if err != nil {
		return nil, err
	}
	needed := map[string]bool{}
	kept := 0
	for i := len(hints) - 1; i >= 0; i-- {
		if kept == checkpointsKept {
			f.hints = append(f.hints, hints[i].Object)
			continue
		}
		c, err := repo.GetCommit(ctx, w.o.Store, w.o.Keys, p.certs, hints[i].Commit)
		if errors.Is(err, repo.ErrMissing) || errors.Is(err, repo.ErrCorrupt) || errors.Is(err, repo.ErrSignature) {
			continue // leads nowhere
		}
		if err != nil {
			return nil, err
		}
		for _, row := range c.Puts {
			needed[row.Name] = true
		}
		kept++
	}
	return needed, nil
}

// leftoverAge is how old an object must be that no commit names to be taken for a
// leftover where another device may be uploading.
const leftoverAge = 24 * time.Hour

// leftovers finds objects that nobody names. Objects that this device uploaded are
// known by their acknowledgement.
func (p *pruner) leftovers(ctx context.Context, f *found) error {
	w := p.w
	own := map[string]bool{}
	for _, r := range w.o.Index.Unplaced() {
		own[r.Name] = true
	}
	condemned, err := w.o.Index.Condemned()
	if err != nil {
		return err
	}
	for _, r := range condemned {
		own[r.Name] = true
	}
	for _, folder := range []string{"audio/", "meta/"} {
		for info, err := range w.o.Store.List(ctx, folder, "") {
			if err != nil {
				return err
			}
			if own[info.Key] || p.known[info.Key] || !repo.IsObject(info.Key) {
				continue
			}
			if !p.alone() && w.o.Now().Sub(info.Time) < leftoverAge {
				continue
			}
			known, err := w.o.Index.Has(info.Key)
			if err != nil {
				return err
			}
			if !known {
				f.orphans++
				f.condemn(info.Key, info.Size, "no commit names it")
			}
		}
	}
	return nil
}

// alone tells whether no other device uses the repository.
func (p *pruner) alone() bool {
	for device, cert := range p.certs {
		if device != p.w.o.Device.ID && cert.Retired == nil {
			return false
		}
	}
	return true
}

// ofRetired tells whether nobody but retired devices condemned an object: then no one
// would delete it.
func (p *pruner) ofRetired(name string) bool {
	at, _ := slices.BinarySearchFunc(p.condemned, name, func(r repo.CondemnRow, name string) int { return strings.Compare(r.Name, name) })
	for ; at < len(p.condemned) && p.condemned[at].Name == name; at++ {
		if cert, ok := p.certs[p.condemned[at].Device]; ok && cert.Retired == nil {
			return false
		}
	}
	return true
}

// mine gives the objects that this device condemned, and by which commit.
func (p *pruner) mine() (map[string]uint64, error) {
	rows, err := p.w.o.Index.Condemned()
	mine := map[string]uint64{}
	for _, r := range rows {
		if r.Device == p.w.o.Device.ID {
			mine[r.Name] = r.Seq
		}
	}
	return mine, err
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
		if err := w.o.Store.Delete(ctx, hint); err != nil && !errors.Is(err, store.ErrDenied) {
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

// rewrite copies what is needed of sparse packs into new ones.
func (p *pruner) rewrite(ctx context.Context, f *found) error {
	if len(f.sparse) == 0 {
		return nil
	}
	blobs, err := f.needs.Blobs(f.sparse)
	if err != nil {
		return err
	}
	out := copier{w: p.w, ctx: ctx, packs: map[string]*pack{}}
	for _, u := range f.sparse {
		for _, id := range blobs[u.Object.Name] {
			if _, acked := p.w.o.Index.UnplacedBlob(id); acked { // by a prune that was cut short
				continue
			}
			blob, err := p.w.o.Reader.Blob(ctx, id)
			if err != nil {
				return fmt.Errorf("copying what is needed of %s: %w", u.Object.Name, err)
			}
			if err := out.add(u.Object.Kind, id, blob); err != nil {
				return err
			}
		}
	}
	return out.finish()
}

// copier fills new packs.
type copier struct {
	w     *Worker
	ctx   context.Context //nolint:containedctx // of one rewrite
	packs map[string]*pack
	sound *repo.AudioBuilder
}

func (c *copier) add(kind string, id repo.ID, blob []byte) error {
	if kind == repo.Audio {
		return c.addSound(id, blob)
	}
	b := c.packs[kind]
	if b != nil && (b.Len() > fullPack || !b.Fits(int64(len(blob)))) {
		if err := c.put(b.Finish()); err != nil {
			return err
		}
		b = nil
	}
	if b == nil {
		b = repo.NewPack(c.w.o.Keys, kind)
		c.packs[kind] = b
	}
	b.Add(id, blob)
	return nil
}

func (c *copier) addSound(id repo.ID, blob []byte) error {
	if c.sound != nil && c.sound.Len()+int64(len(blob)) > fullGroup {
		if err := c.put(c.sound.Finish()); err != nil {
			return err
		}
		c.sound = nil
	}
	if c.sound == nil {
		c.sound = repo.NewAudio(c.w.o.Keys, fullGroup)
	}
	if c.sound.Has(id) {
		return nil
	}
	return c.sound.Add(id, blob)
}

func (c *copier) finish() error {
	for _, kind := range slices.Sorted(maps.Keys(c.packs)) {
		if err := c.put(c.packs[kind].Finish()); err != nil {
			return err
		}
	}
	if c.sound != nil {
		return c.put(c.sound.Finish())
	}
	return nil
}

func (c *copier) put(s *repo.Sealed, row repo.ObjectRow, err error) error {
	if err != nil {
		return err
	}
	defer s.Release()
	return c.w.put(c.ctx, s, row)
}

// silent finds up to which of our commits every other device has heard, and which
// devices hold up the deletion of what we condemned.
func (p *pruner) silent(ctx context.Context) error {
	w := p.w
	mine, err := p.mine()
	if err != nil {
		return err
	}
	newest := uint64(0)
	for _, seq := range mine {
		newest = max(newest, seq)
	}
	heads, err := p.o.History.Heads()
	if err != nil {
		return err
	}
	p.heard, p.WaitsFor = map[string]uint64{}, nil
	for _, device := range slices.Sorted(maps.Keys(p.certs)) {
		if device == w.o.Device.ID || p.certs[device].Retired != nil {
			continue
		}
		s := Silent{Device: device, Name: p.certs[device].Name}
		if head, ok := heads[device]; ok {
			c, err := repo.GetCommit(ctx, w.o.Store, w.o.Keys, p.certs, repo.CommitName(device, head))
			if err != nil {
				return err
			}
			p.heard[device], s.Since = c.Seen[w.o.Device.ID].Seq, c.Time
		} else {
			p.heard[device] = 0
		}
		if p.heard[device] < newest || p.o.DryRun && p.Condemned > 0 {
			p.WaitsFor = append(p.WaitsFor, s)
		}
	}
	return nil
}

// ownGrace makes the commit after the condemning one where no other device is to be
// waited for. It is made only while our chain is as we left it, so that a copy of this
// home, which might use what was condemned, is noticed before anything is deleted.
func (p *pruner) ownGrace(ctx context.Context) error {
	if !p.alone() {
		return nil
	}
	mine, err := p.mine()
	if err != nil || len(mine) == 0 {
		return err
	}
	own, err := p.w.ownHead()
	if err != nil {
		return err
	}
	for _, seq := range mine {
		if seq == own.Seq {
			return p.publish(ctx, &repo.Commit{})
		}
	}
	return nil
}

// deletable lists what this device condemned and whose grace has passed.
func (p *pruner) deletable() (rows []repo.CondemnRow, err error) {
	own, err := p.w.ownHead()
	if err != nil {
		return nil, err
	}
	all, err := p.w.o.Index.Condemned()
	for _, r := range all {
		heard := r.Device == p.w.o.Device.ID && r.Seq < own.Seq
		for _, seq := range p.heard {
			heard = heard && seq >= r.Seq
		}
		if heard {
			rows = append(rows, r)
		}
	}
	return rows, err
}

// deleteCondemned deletes what may be, after one more look at what is needed.
func (p *pruner) deleteCondemned(ctx context.Context) error {
	rows, err := p.deletable()
	if err != nil || len(rows) == 0 {
		return err
	}
	if err := p.o.History.CatchUp(ctx, p.w.o.Store, p.w.o.Keys, p.certs, nil); err != nil {
		return err
	}
	f, err := p.find(ctx)
	if err != nil {
		return err
	}
	needed := map[string]bool{}
	for _, u := range f.revived {
		needed[u.Object.Name] = true
	}
	var done []repo.DeletedRow
	denied := 0
	for _, r := range rows {
		if needed[r.Name] {
			continue // the next prune takes it back
		}
		if denied < maxDenied {
			err = p.w.o.Store.Delete(ctx, r.Name)
		}
		switch {
		case err == nil:
			denied = 0
			done = append(done, repo.DeletedRow{Name: r.Name, Size: r.Size})
			p.Deleted++
			p.DeletedBytes += r.Size
		case errors.Is(err, store.ErrDenied):
			denied++
			p.Denied++
			p.DeniedBytes += r.Size
			p.DeniedBy = err
		default:
			return errors.Join(err, p.sayDeleted(ctx, done))
		}
	}
	crashpoint.At("prune.deleted")
	return p.sayDeleted(ctx, done)
}

// sayDeleted commits what was deleted.
func (p *pruner) sayDeleted(ctx context.Context, rows []repo.DeletedRow) error {
	for chunk := range slices.Chunk(rows, condemnedAtOnce) {
		if err := p.publish(ctx, &repo.Commit{Deleted: chunk}); err != nil {
			return err
		}
	}
	return nil
}
