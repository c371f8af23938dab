package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	// Progress is called now and then, never twice at once, with the objects
	// and bytes read of those to be read. It may be nil.
	Progress func(objects, ofObjects, bytes, ofBytes int64)
}

// Finding is something that [Check] found.
type Finding struct {
	Object   string   // its name in the bucket; empty if the finding is of none
	Problem  string   // for people
	Err      error    // the sentinel that it is about; nil if harmless
	Harmless bool     // nothing is lost by it
	Inodes   []uint64 // files that cannot be restored because of it
}

// Summary is what [Check] went through.
type Summary struct {
	Devices, Commits int
	Objects          int64 // that the log names
	Bytes            int64 // of them, as the log says
	Files            int64
	Owed, OwedBytes  int64 // parts still on their way: waiting, not lost
	Unreferenced     int64 // objects that no commit names, as a crash leaves them
	Read, ReadBytes  int64 // objects read and verified whole
}

// Check compares the bucket with what the log says: it reads every commit,
// lists every object, and looks for a place of every blob of every file. The
// log is read from the bucket; of the index x, which may be nil, only the heads
// count, as a bucket behind them was rolled back, and the objects acknowledged
// since. An error means that the check could not be done; what is wrong with
// the repository are findings, the worst first.
func Check(ctx context.Context, st store.Store, k *Keys, x *Index, opts CheckOptions) ([]Finding, Summary, error) {
	c := &checker{
		st: st, k: k, opts: opts,
		objects: map[string]*checkedObject{}, condemned: map[string]bool{}, acked: map[string]bool{},
		inodes: map[uint64]checkedInode{}, placed: map[ID][]*checkedObject{}, ends: map[ID]int64{}, commits: map[string]bool{}, listedCommits: map[string]bool{},
	}
	for _, step := range []func(context.Context) error{
		c.checkKeys,
		func(context.Context) error { return c.rememberHeads(x) },
		c.readLogs,
		func(context.Context) error { return c.compareIndex(x) },
		c.listBucket,
		c.readObjects,
		c.findBlobs,
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

	certs   map[string]Certificate
	known   map[string]Head // what the index knew before the log was read
	commits map[string]bool // those read, by name
	// listedCommits are those that were in the bucket when the log was read.
	listedCommits map[string]bool
	objects       map[string]*checkedObject
	condemned     map[string]bool
	acked         map[string]bool // objects of the index that no commit places yet
	inodes        map[uint64]checkedInode
	placed        map[ID][]*checkedObject
	ends          map[ID]int64 // of blobs that are used in slices: where the last ends

	findings []Finding
	sum      Summary
}

// checkedObject is an object that the log names.
type checkedObject struct {
	row  ObjectRow
	good bool // there, of the right size, and if read, of the right bytes
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

func (c *checker) find(object string, err error, format string, args ...any) {
	c.findings = append(c.findings, Finding{Object: object, Problem: fmt.Sprintf(format, args...), Err: err, Harmless: err == nil})
}

// findError makes a finding of an error that is about the repository, and
// returns one that is about the way to it.
func (c *checker) findError(object string, err error) error {
	for _, sentinel := range []error{ErrMissing, ErrNewerFormat, ErrSignature, ErrFork, ErrChain, ErrWrongKey, ErrCorrupt, store.ErrArchived} {
		if errors.Is(err, sentinel) {
			c.find(object, sentinel, "%s", strings.TrimPrefix(err.Error(), object+": "))
			return nil
		}
	}
	return err
}

func (c *checker) sorted() []Finding {
	slices.SortStableFunc(c.findings, func(x, y Finding) int {
		switch {
		case x.Harmless == y.Harmless:
			return strings.Compare(x.Object, y.Object)
		case x.Harmless:
			return 1
		}
		return -1
	})
	return c.findings
}

// checkKeys checks repo.json, the certificates, and that the files of keys/ are
// age files; only the recovery key could tell more.
func (c *checker) checkKeys(ctx context.Context) error {
	_, err := RepoHash(ctx, c.st, c.k)
	if errors.Is(err, ErrNoRepository) {
		c.find(repoFile, ErrMissing, "missing from the bucket")
	} else if err != nil && c.findError(repoFile, err) != nil {
		return err
	}
	for _, name := range []string{recoveryFile, rootFile} {
		body, err := getAll(ctx, c.st, name, maxSmall)
		if errors.Is(err, store.ErrNotExist) {
			c.find(name, ErrMissing, "missing from the bucket: the recovery key opens nothing without it")
			continue
		}
		if err != nil {
			return err
		}
		if _, err := age.ExtractHeader(strings.NewReader(string(body))); err != nil {
			c.find(name, ErrCorrupt, "not an age file")
		}
	}
	var bad []error
	if c.certs, bad, err = Devices(ctx, c.st, c.k); err != nil {
		return err
	}
	for _, err := range bad {
		name, _, _ := strings.Cut(err.Error(), ":")
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
		if name := commitName(device, c.known[device]); !c.commits[name] {
			c.find(name, ErrChain, "seen before and no longer in the log: the bucket was rolled back or damaged")
		}
	}
	for _, row := range x.Unplaced() {
		c.acked[row.Name] = true
	}
	return nil
}

// listBucket compares what is in the bucket with what should be. It comes after
// the log: what is written meanwhile is at worst unreferenced.
func (c *checker) listBucket(ctx context.Context) error {
	there := map[string]bool{}
	for info, err := range c.st.List(ctx, "", "") {
		if err != nil {
			return err
		}
		there[info.Key] = c.objects[info.Key] != nil
		c.listed(info)
	}
	for _, name := range slices.Sorted(maps.Keys(c.objects)) {
		o := c.objects[name]
		c.sum.Objects++
		c.sum.Bytes += o.row.Size
		if !there[name] {
			c.find(name, ErrMissing, "missing from the bucket")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.acked)) {
		if _, ok := there[name]; !ok {
			c.find(name, ErrMissing, "missing from the bucket, which acknowledged it")
		}
	}
	return nil
}

// listed judges one object of the bucket.
func (c *checker) listed(info store.Info) {
	folder, _, _ := strings.Cut(info.Key, "/")
	switch folder {
	case "audio", "meta":
		c.listedObject(info)
	case "log":
		device, _, err := parseCommitName(info.Key)
		if err != nil {
			c.find(info.Key, nil, "not an object of a repository")
		} else if _, ok := c.certs[device]; !ok {
			c.find(info.Key, ErrSignature, "commit of a device that has no certificate")
		} else if !c.listedCommits[info.Key] {
			c.find(info.Key, nil, "written while the check ran")
		}
	case "checkpoints":
		if name, err := parseHint(info.Key); err != nil || !c.commits[name] {
			c.find(info.Key, nil, "hint that leads to no commit")
		}
	case "keys", "devices", repoFile, "readme.txt":
	default:
		c.find(info.Key, nil, "not an object of a repository")
	}
}

func (c *checker) listedObject(info store.Info) {
	o := c.objects[info.Key]
	switch {
	case o != nil && info.Size == o.row.Size:
		o.good = true
	case o != nil:
		c.find(info.Key, ErrCorrupt, "%d bytes, was written with %d", info.Size, o.row.Size)
	case c.condemned[info.Key] || c.acked[info.Key]:
	case checkObjectName(info.Key) != nil:
		c.find(info.Key, nil, "not an object of a repository")
	default:
		c.sum.Unreferenced++
		c.find(info.Key, nil, "unreferenced: no commit names it; an interrupted upload leaves such objects")
	}
}

// findBlobs looks for a good place of every blob of every file.
func (c *checker) findBlobs(context.Context) error {
	lost := map[string][]uint64{} // object → files
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
			if len(places) == 0 {
				c.find("", ErrMissing, "file %016x needs blob %s, which no object holds", inode, id)
				c.findings[len(c.findings)-1].Inodes = []uint64{inode}
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

// readObject downloads one object and verifies all of it.
func (c *checker) readObject(ctx context.Context, row *ObjectRow) error {
	if _, err := plainSize(row.Size); err != nil {
		return fmt.Errorf("%s: %w: %w", row.Name, ErrCorrupt, err)
	}
	r, err := c.st.Get(ctx, row.Name, 0, row.Size)
	if err != nil {
		return rangeError(row.Name, err)
	}
	defer r.Close()
	body := make([]byte, row.Size)
	if err := readAll(r, body); err != nil {
		return rangeError(row.Name, err)
	}
	if n, _ := io.CopyN(io.Discard, r, 1); n > 0 {
		return fmt.Errorf("%s: %w: longer than it was written", row.Name, ErrCorrupt)
	}
	return c.k.verifyObject(row, body)
}
