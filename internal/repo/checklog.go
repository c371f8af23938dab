package repo

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tunesafe/tunesafe/internal/store"
)

// readLogs reads every commit of every device. Unlike [ReadLog] it goes on
// behind a fault, to find what else is wrong.
func (c *checker) readLogs(ctx context.Context) error {
	for _, device := range slices.Sorted(maps.Keys(c.certs)) {
		heads, err := c.logOf(ctx, device)
		if err != nil {
			return err
		}
		if err := c.readChain(ctx, device, heads); err != nil {
			return err
		}
		if len(heads) > 0 {
			c.sum.Heads = append(c.sum.Heads, Mark{device, heads[len(heads)-1].Seq, heads[len(heads)-1].SHA})
		}
	}
	c.reportGaps()
	for name, by := range c.condemners {
		for _, device := range slices.Sorted(maps.Keys(by)) {
			if o := c.condemned[name]; o == nil {
				c.condemned[name] = by[device]
			} else if by[device].condemned.Time.Before(o.condemned.Time) {
				o.condemned = by[device].condemned
			}
		}
		if o, was := c.condemned[name], c.objects[name]; o != nil && was != nil {
			o.row, o.put = was.row, was.put
			delete(c.objects, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.objects)) {
		o := c.objects[name]
		for _, b := range o.row.Blobs() {
			c.placed[b.ID] = append(c.placed[b.ID], o)
			if end := c.ends[b.ID]; b.Size < end {
				c.find(KindDamaged, name, ErrCorrupt, "blob %s has %d bytes, and a file needs it to %d", b.ID, b.Size, end)
			}
		}
	}
	return nil
}

// logOf lists the commits of a device, with gaps and forks as findings.
func (c *checker) logOf(ctx context.Context, device string) ([]Head, error) {
	var heads []Head
	last := Head{}
	for info, err := range c.st.List(ctx, logPrefix(device), "") {
		if err != nil {
			return nil, err
		}
		_, h, err := parseCommitName(info.Key)
		if err != nil {
			continue // found by listBucket
		}
		if h.Seq == last.Seq {
			c.find(KindForked, info.Key, ErrFork, "log is forked: %s has the same number", commitName(device, last))
		} else if h.Seq != last.Seq+1 {
			c.gaps = append(c.gaps, gap{device, info.Key, last.Seq + 1, h.Seq})
		}
		last = h
		heads = append(heads, h)
		c.listedCommits[info.Key] = true
	}
	c.heads[device] = heads
	return heads, nil
}

// readChain reads the commits of a device and takes in their rows.
func (c *checker) readChain(ctx context.Context, device string, heads []Head) error {
	for batch := range slices.Chunk(heads, 4*parallelGets) {
		results := make([]fetched, len(batch))
		var g errgroup.Group
		g.SetLimit(parallelGets)
		for i, h := range batch {
			g.Go(func() error {
				commit, err := getCommit(ctx, c.st, c.k, c.certs, commitName(device, h))
				results[i] = fetched{commit: commit, err: err}
				return nil
			})
		}
		g.Wait()
		for i, h := range batch {
			if err := c.takeCommit(results[i], commitName(device, h), follows(heads, h)); err != nil {
				return err
			}
		}
	}
	return nil
}

// follows gives the commits of heads, which are sorted by number, that come
// just before h: one, or several where the log is forked.
func follows(heads []Head, h Head) []Head {
	number := func(x Head, seq uint64) int { return cmp.Compare(x.Seq, seq) }
	from, _ := slices.BinarySearchFunc(heads, h.Seq-1, number)
	to, _ := slices.BinarySearchFunc(heads, h.Seq, number)
	return heads[from:to]
}

// takeCommit takes in a commit that comes behind one of before, unless those
// are missing, which is found already.
func (c *checker) takeCommit(f fetched, name string, before []Head) error {
	if f.err != nil {
		return c.findError(name, f.err)
	}
	commit := f.commit
	at := &Origin{Device: commit.Device, Name: c.certs[commit.Device].Name, Seq: commit.Seq, Time: commit.Time}
	c.checkPlace(commit, before)
	c.sum.Commits++
	c.commits[name] = at
	for _, lost := range commit.Lost {
		c.lost[lost] = true
	}
	if commit.Kind == CheckpointCommit {
		c.checkpoints = append(c.checkpoints, &Commit{Device: commit.Device, Seq: commit.Seq, Time: commit.Time, Name: name})
	}
	for _, row := range commit.Puts {
		if o := c.objects[row.Name]; o == nil {
			c.objects[row.Name] = &checkedObject{row: row, put: at}
		} else if at.Time.Before(o.put.Time) {
			o.put = at
		}
		delete(c.condemners[row.Name], commit.Device) // it takes its word back
	}
	for _, row := range commit.Condemned {
		by := *at
		by.Why = row.Why
		if c.condemners[row.Name] == nil {
			c.condemners[row.Name] = map[string]*checkedObject{}
		}
		c.condemners[row.Name][commit.Device] = &checkedObject{row: ObjectRow{Name: row.Name, Size: row.Size}, condemned: &by}
	}
	for _, row := range commit.Deleted {
		c.deleted[row.Name] = at
	}
	for i := range commit.Inodes {
		c.takeInode(commit, &commit.Inodes[i])
	}
	return nil
}

// checkPlace checks that a commit is where it may be in its chain, and notes
// the commits of other devices that it names.
func (c *checker) checkPlace(commit *Commit, before []Head) {
	if commit.Seq == 1 && c.repoHash != "" && commit.Repo != c.repoHash {
		c.find(KindExchanged, repoFile, ErrCorrupt, "not the one that %s was written for", commit.Name)
	}
	i := slices.IndexFunc(before, func(h Head) bool { return h.SHA == commit.Prev })
	if i < 0 {
		if len(before) > 0 {
			c.find(KindBroken, commit.Name, ErrChain, "does not follow %s", commitName(commit.Device, before[0]))
		}
	} else {
		c.notBefore(commit.Name, commit.Time, commitName(commit.Device, before[i]))
	}
	for _, named := range []map[string]Head{commit.Seen, commit.Heads} {
		for _, device := range slices.Sorted(maps.Keys(named)) {
			if device != commit.Device {
				c.see(seenCommit{commit.Name, commit.Device, commit.Time, device, named[device]})
			}
		}
	}
}

// notBefore holds that a commit is not older than one that it comes after.
func (c *checker) notBefore(name string, at time.Time, after string) {
	if earlier := c.commits[after]; earlier != nil && at.Before(earlier.Time) {
		c.find(KindBackdated, name, ErrChain, "its time, %s, is before that of %s, %s, which it comes after",
			at.UTC().Format(timeLayout), after, earlier.Time.UTC().Format(timeLayout))
	}
}

// seenCommit is a commit of another device that a commit says it has seen.
type seenCommit struct {
	by     string // name of the commit
	of     string // its device
	time   time.Time
	device string // the other one
	head   Head
}

// see notes it, unless the commit before in the chain has seen the same.
func (c *checker) see(s seenCommit) {
	for i := len(c.seen) - 1; i >= 0 && c.seen[i].of == s.of; i-- {
		if c.seen[i].device == s.device {
			if c.seen[i].head != s.head {
				break
			}
			return
		}
	}
	c.seen = append(c.seen, s)
}

// checkSeen looks for the commits that others have seen. One that was written
// after its log was listed is asked for.
func (c *checker) checkSeen(ctx context.Context) error {
	for _, s := range c.seen {
		name := commitName(s.device, s.head)
		if c.commits[name] != nil {
			c.notBefore(s.by, s.time, name)
			continue
		}
		if c.listedCommits[name] {
			continue // found when it was read
		}
		if _, err := c.st.Stat(ctx, name); errors.Is(err, store.ErrNotExist) {
			c.find(KindRolledBack, name, ErrChain, "seen by %s, and no longer in the log: the bucket was rolled back or damaged", s.by)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// compareMarks looks for the heads that were written down.
func (c *checker) compareMarks(context.Context) error {
	for _, m := range c.opts.Marks {
		heads := c.heads[m.Device]
		if slices.ContainsFunc(heads, func(h Head) bool { return m.Is(m.Device, h) }) {
			continue
		}
		if _, ok := c.certs[m.Device]; !ok {
			c.find(KindRolledBack, "devices/"+m.Device+".age", ErrChain, "the head given, %s, is of a device that the bucket does not know: it was rolled back, or the head is of another repository", m)
			continue
		}
		name := logPrefix(m.Device)
		if i := slices.IndexFunc(heads, func(h Head) bool { return h.Seq == m.Seq }); i >= 0 {
			c.find(KindForked, commitName(m.Device, heads[i]), ErrFork, "another commit than the head given, %s: compare that with where it is written down; if it is right, the log was exchanged", m)
			continue
		}
		last := Head{}
		if len(heads) > 0 {
			last = heads[len(heads)-1]
			name = commitName(m.Device, last)
		}
		c.find(KindRolledBack, name, ErrChain, "the log of device %s ends at commit %d, and the head given is of commit %d: the bucket was rolled back", m.Device, last.Seq, m.Seq)
	}
	return nil
}

// takeInode keeps the row if it is the inode's newest so far.
func (c *checker) takeInode(commit *Commit, row *InodeRow) {
	old, ok := c.inodes[row.Inode]
	if ok && before(commit, &Commit{Time: old.time, Device: old.device, Seq: old.seq}) {
		return
	}
	inode := checkedInode{time: commit.Time, device: commit.Device, seq: commit.Seq, live: !row.Gone && row.Type == "file"}
	for _, p := range row.Parts {
		if p.Owed() {
			inode.owed++
			inode.bytes += p.Size
		}
		c.takeSlices(&inode, p.Blobs)
	}
	if row.More != nil {
		inode.blobs = append(inode.blobs, row.More.ID)
	}
	c.inodes[row.Inode] = inode
}

// takeSlices notes the blobs of a part.
func (c *checker) takeSlices(inode *checkedInode, blobs []Slice) {
	first, sliced := len(inode.blobs), false
	for _, b := range blobs {
		if b.IsZeros() {
			continue
		}
		inode.blobs = append(inode.blobs, b.ID)
		if b.Off > 0 {
			sliced = true
			c.ends[b.ID] = max(c.ends[b.ID], b.Off+b.Size)
		}
	}
	if sliced { // the same few blobs again and again
		slices.SortFunc(inode.blobs[first:], func(a, b ID) int { return bytes.Compare(a[:], b[:]) })
		inode.blobs = slices.Clip(inode.blobs[:first+len(slices.Compact(inode.blobs[first:]))])
	}
}
