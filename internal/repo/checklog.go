package repo

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
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
	}
	for name := range c.condemned {
		delete(c.objects, name)
	}
	for _, name := range slices.Sorted(maps.Keys(c.objects)) {
		o := c.objects[name]
		for _, b := range o.row.Blobs() {
			c.placed[b.ID] = append(c.placed[b.ID], o)
			if end := c.ends[b.ID]; b.Size < end {
				c.find(name, ErrCorrupt, "blob %s has %d bytes, and a file needs it to %d", b.ID, b.Size, end)
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
			c.find(info.Key, ErrFork, "log is forked: %s has the same number", commitName(device, last))
		} else if h.Seq != last.Seq+1 {
			c.find(info.Key, ErrChain, "commits %d to %d of device %s before it are missing", last.Seq+1, h.Seq-1, device)
		}
		last = h
		heads = append(heads, h)
		c.listedCommits[info.Key] = true
	}
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
				results[i] = fetched{commit, err}
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
	if len(before) > 0 && !slices.ContainsFunc(before, func(h Head) bool { return h.SHA == f.commit.Prev }) {
		c.find(name, ErrChain, "does not follow %s", commitName(f.commit.Device, before[0]))
	}
	c.sum.Commits++
	c.commits[name] = true
	for _, row := range f.commit.Puts {
		if c.objects[row.Name] == nil {
			c.objects[row.Name] = &checkedObject{row: row}
		}
	}
	for _, row := range f.commit.Condemned {
		c.condemned[row.Name] = true
	}
	for i := range f.commit.Inodes {
		c.takeInode(f.commit, &f.commit.Inodes[i])
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

// readObjects reads every object that is there, if asked to.
func (c *checker) readObjects(ctx context.Context) error {
	if !c.opts.Read {
		return nil
	}
	var all []*checkedObject
	var total int64
	for _, name := range slices.Sorted(maps.Keys(c.objects)) {
		if o := c.objects[name]; o.good {
			all = append(all, o)
			total += o.row.Size
		}
	}
	var mu sync.Mutex // of findings, sum and Progress
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(3) // each holds an object sealed and open: up to 34 MiB
	for _, o := range all {
		g.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			err := c.readObject(ctx, &o.row)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				o.good = false
				return c.findError(o.row.Name, err)
			}
			c.sum.Read++
			c.sum.ReadBytes += o.row.Size
			if c.opts.Progress != nil {
				c.opts.Progress(c.sum.Read, int64(len(all)), c.sum.ReadBytes, total)
			}
			return nil
		})
	}
	return g.Wait()
}

// verifyObject verifies an object and every blob in it.
func (k *Keys) verifyObject(row *ObjectRow, body []byte) error {
	plain, err := k.OpenObject(row.Name, body)
	if err != nil {
		return err
	}
	if sha256.Sum256(body[:pinnedSize]) != row.Head {
		return fmt.Errorf("%s: %w: its first %d bytes are not those that were written", row.Name, ErrCorrupt, pinnedSize)
	}
	if row.Raw != nil {
		return k.verifyBlobs(row.Name, row.Raw, plain)
	}
	for _, f := range row.Frames {
		if f.Packed > int64(len(plain)) {
			return fmt.Errorf("%s: %w: cut short", row.Name, ErrCorrupt)
		}
		unpacked, err := unpackFrame(plain[:f.Packed], f.Size())
		if err != nil {
			return fmt.Errorf("%s: %w: %w", row.Name, ErrCorrupt, err)
		}
		if err := k.verifyBlobs(row.Name, f.Blobs, unpacked); err != nil {
			return err
		}
		plain = plain[f.Packed:]
	}
	return nil
}

func (k *Keys) verifyBlobs(name string, refs []BlobRef, plain []byte) error {
	for _, b := range refs {
		if b.Size > int64(len(plain)) {
			return fmt.Errorf("%s: %w: cut short", name, ErrCorrupt)
		}
		if k.BlobID(plain[:b.Size]) != b.ID {
			return fmt.Errorf("%s: %w: blob %s is not what lies there", name, ErrCorrupt, b.ID)
		}
		plain = plain[b.Size:]
	}
	return nil
}
