package repo

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/tunesafe/tunesafe/internal/store"
)

// CheckOptions say how far [Check] goes.
type CheckOptions struct {
	// Read downloads every object and verifies every blob in it.
	Read bool
	// Recovery is the recovery key, which tells whether keys/ still gives what it
	// should; it may be nil.
	Recovery age.Identity
	// Kept is what the home keeps of the bucket's small objects; it may be nil.
	Kept *Kept
	// Marks are heads that were written down outside this machine. A bucket
	// whose log lacks one was rolled back.
	Marks []Mark
	// Progress is called now and then, never twice at once, with the objects
	// and bytes read of those to be read. It may be nil.
	Progress func(objects, ofObjects, bytes, ofBytes int64)
	// Verified is told of every object that was read, never twice at once: err is
	// what is wrong with it. It may be nil.
	Verified func(object string, err error)
}

// Summary is what [Check] went through.
type Summary struct {
	Devices, Commits int
	Heads            []Mark // the newest commit of each device, as the bucket has it
	Objects          int64  // that the log names
	Bytes            int64  // of them, as the log says
	Files            int64
	Owed, OwedBytes  int64 // parts still on their way: waiting, not lost
	Unreferenced     int64 // objects that no commit names, as a crash leaves them
	Discarded        int64 // objects that were condemned and are not deleted yet
	Read, ReadBytes  int64 // objects read and verified whole

	BadHints []string // of checkpoints that are there: missing, or not as they were written
}

// Check compares the bucket with what the log says: it reads every commit,
// lists every object, and looks for a place of every blob of every file. The
// log is read from the bucket; of the index x, which may be nil, only the heads
// count, as a bucket behind them was rolled back, and the objects acknowledged
// since. An error means that the check could not be done; what is wrong with
// the repository are findings, the worst first.
func Check(ctx context.Context, st store.Store, k *Keys, x *Index, opts CheckOptions) ([]Finding, Summary, error) {
	c := &checker{
		st: st, k: k, opts: opts, now: time.Now(),
		heads: map[string][]Head{}, commits: map[string]*Origin{}, listedCommits: map[string]bool{},
		objects: map[string]*checkedObject{}, condemned: map[string]*checkedObject{}, condemners: map[string]map[string]*checkedObject{}, acked: map[string]bool{}, deleted: map[string]*Origin{},
		inodes: map[uint64]checkedInode{}, placed: map[ID][]*checkedObject{}, ends: map[ID]int64{},
		lost: map[string]bool{}, hints: map[string]bool{},
	}
	for _, step := range []func(context.Context) error{
		c.checkKeys,
		c.checkSmall,
		func(context.Context) error { return c.rememberHeads(x) },
		c.readLogs,
		c.checkSeen,
		c.compareMarks,
		func(context.Context) error { return c.compareIndex(x) },
		c.listBucket,
		c.checkHints,
		c.readObjects,
		c.findBlobs,
		c.forgive,
		c.explainVersions,
	} {
		if err := step(ctx); err != nil {
			return c.sorted(), c.sum, err
		}
	}
	return c.sorted(), c.sum, nil
}

type checker struct {
	st   store.Store
	k    *Keys
	opts CheckOptions
	now  time.Time

	repoHash string // of repo.json; empty if that is not to be had
	certs    map[string]Certificate
	badCerts map[string]bool    // names of certificates that are found already
	known    map[string]Head    // what the index knew before the log was read
	heads    map[string][]Head  // of each device, the commits that were in the bucket when the log was read
	commits  map[string]*Origin // those read, by name
	seen     []seenCommit
	// listedCommits are the names of heads.
	listedCommits map[string]bool
	lost          map[string]bool           // commits of which a later one says that they are
	gaps          []gap                     // where commits are missing
	checkpoints   []*Commit                 // without their rows
	hints         map[string]bool           // those in the bucket
	objects       map[string]*checkedObject // that the log puts and does not condemn
	condemned     map[string]*checkedObject
	condemners    map[string]map[string]*checkedObject // by name and device, while the log is read
	acked         map[string]bool                      // objects of the index that no commit places yet
	deleted       map[string]*Origin                   // who says that an object was deleted
	inodes        map[uint64]checkedInode
	placed        map[ID][]*checkedObject
	ends          map[ID]int64 // of blobs that are used in slices: where the last ends

	findings []Finding
	sum      Summary
}

// checkedObject is an object that the log names.
type checkedObject struct {
	row       ObjectRow
	put       *Origin // nil if it was condemned and never put
	condemned *Origin // nil if it was not
	good      bool    // there, of the right size, and if read, of the right bytes
}

// checkedInode is the newest row of an inode, as far as Check needs it.
type checkedInode struct {
	time   time.Time
	device string
	seq    uint64
	live   bool // a file that is not gone
	blobs  []ID // each once, but for whole ones
	owed   int64
	bytes  int64 // owed
}

// checkKeys checks repo.json, the certificates, and that the files of keys/ are
// age files; only the recovery key could tell more.
func (c *checker) checkKeys(ctx context.Context) (err error) {
	c.repoHash, err = RepoHash(ctx, c.st, c.k)
	if errors.Is(err, ErrNoRepository) {
		c.find(KindMissing, repoFile, ErrMissing, "missing from the bucket")
	} else if err != nil && c.findError(repoFile, err) != nil {
		return err
	}
	infos, bad, err := ListKeys(ctx, c.st, c.k)
	if err != nil {
		return err
	}
	for _, file := range keyFiles(infos) {
		if err := c.checkKeyFile(ctx, file.name, file.says); err != nil {
			return err
		}
	}
	for _, err := range bad {
		name, _, _ := strings.Cut(err.Error(), ":")
		if err := c.findError(name, err); err != nil {
			return err
		}
	}
	return c.checkDevices(ctx)
}

func (c *checker) checkKeyFile(ctx context.Context, name, missing string) error {
	body, err := getAll(ctx, c.st, name, maxSmall)
	if errors.Is(err, store.ErrNotExist) {
		c.find(KindMissing, name, ErrMissing, "missing from the bucket: %s", missing)
		return nil
	}
	if err != nil {
		return c.findError(name, err)
	}
	if _, err := age.ExtractHeader(strings.NewReader(string(body))); err != nil {
		c.find(KindDamaged, name, ErrCorrupt, "not an age file")
	}
	return nil
}

func (c *checker) checkDevices(ctx context.Context) error {
	certs, bad, err := Devices(ctx, c.st, c.k)
	if err != nil {
		return err
	}
	c.certs, c.badCerts = certs, map[string]bool{}
	for _, err := range bad {
		name, _, _ := strings.Cut(err.Error(), ":")
		if !isDeviceFile(name) {
			continue // found by listBucket
		}
		c.badCerts[name] = true
		if err := c.findError(name, err); err != nil {
			return err
		}
	}
	c.sum.Devices = len(c.certs)
	return nil
}

// rememberHeads notes what this machine saw before. It comes before the log: what
// is committed while the check runs need not be in the log that it reads.
func (c *checker) rememberHeads(x *Index) (err error) {
	if x != nil {
		c.known, err = x.Heads()
	}
	return err
}

// compareIndex looks for the heads that this machine saw before, and notes what
// no commit places yet.
func (c *checker) compareIndex(x *Index) error {
	if x == nil {
		return nil
	}
	for _, device := range slices.Sorted(maps.Keys(c.known)) {
		if name := commitName(device, c.known[device]); c.commits[name] == nil {
			c.find(KindRolledBack, name, ErrChain, "seen before by this machine, and no longer in the log: the bucket was rolled back or damaged")
		}
	}
	for _, name := range c.opts.Kept.Names("log/") { // the end of a log may be missing, and then only its head is known
		device, h, err := parseCommitName(name)
		if err == nil && h.Seq < c.known[device].Seq && c.commits[name] == nil && !c.listedCommits[name] {
			c.find(KindRolledBack, name, ErrChain, "no longer in the log; this home keeps it")
		}
	}
	for _, row := range x.Unplaced() {
		c.acked[row.Name] = true
	}
	return nil
}

// findBlobs looks for a good place of every blob of every file.
func (c *checker) findBlobs(context.Context) error {
	lost := map[string][]uint64{}   // object → files
	gone := map[ID]*checkedObject{} // blobs of condemned objects
	for _, name := range slices.Sorted(maps.Keys(c.condemned)) {
		o := c.condemned[name]
		for _, b := range o.row.Blobs() {
			if was := gone[b.ID]; was == nil || !was.good {
				gone[b.ID] = o
			}
		}
	}
	for _, inode := range slices.Sorted(maps.Keys(c.inodes)) {
		row := c.inodes[inode]
		if !row.live {
			continue
		}
		c.sum.Files++
		c.sum.Owed += row.owed
		c.sum.OwedBytes += row.bytes
		for _, id := range row.blobs {
			places := c.placed[id]
			if was := gone[id]; was != nil && was.good { // it serves until it is deleted
				continue
			}
			if len(places) == 0 {
				c.lostBlob(inode, id, gone[id])
			} else if !slices.ContainsFunc(places, func(o *checkedObject) bool { return o.good }) {
				for _, o := range places {
					lost[o.row.Name] = append(lost[o.row.Name], inode)
				}
			}
		}
	}
	for i, f := range c.findings {
		if !f.Harmless && f.Inodes == nil {
			c.findings[i].Inodes = slices.Compact(lost[f.Object])
		}
	}
	return nil
}

// lostBlob finds a blob that no object holds but for one that was condemned, if
// any did.
func (c *checker) lostBlob(inode uint64, id ID, was *checkedObject) {
	if was == nil {
		f := c.find(KindMissing, "", ErrMissing, "file %016x needs blob %s, which no object holds", inode, id)
		f.Inodes = []uint64{inode}
		return
	}
	kind, how := KindMissing, "no commit says that it was deleted: the store lost it, or it was deleted just now"
	if by := c.deleted[was.row.Name]; by != nil {
		kind, how = KindCondemned, "deleted by "+by.String()
	}
	f := c.find(kind, was.row.Name, ErrMissing, "file %016x needs blob %s of it; it was condemned by %s (%s); %s", inode, id, was.condemned, was.condemned.Why, how)
	f.Inodes, f.Put, f.Condemned = []uint64{inode}, was.put, was.condemned
}
