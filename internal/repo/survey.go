package repo

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tunesafe/tunesafe/internal/store"
)

// LogSurvey is what can be read of the log, and what cannot.
type LogSurvey struct {
	// Bad are the commits that are in the bucket and cannot be read, by name.
	Bad map[string]error
	// Missing are commits that are not in the bucket and must have been: one after
	// it is there, or was seen. Their names are as far as they are known: the
	// SHA-256 is told by the commit behind.
	Missing []string
	// Noted are the commits that others say are lost; the newest of these is of NotedAt.
	Noted   map[string]bool
	NotedAt time.Time
	// Checkpoint is when the newest checkpoint was made; zero if none is there.
	Checkpoint time.Time
}

// SurveyLog reads every commit of the devices in certs and gives those that can be
// read to fn, in no order. known are heads seen before. Unlike [ReadLog] no fault of
// the log ends it.
func SurveyLog(ctx context.Context, st store.Store, k *Keys, certs map[string]Certificate, known map[string]Head, fn func(*Commit)) (*LogSurvey, error) {
	s := &LogSurvey{Bad: map[string]error{}, Noted: map[string]bool{}}
	for _, device := range slices.Sorted(maps.Keys(certs)) {
		var names []string
		for info, err := range st.List(ctx, logPrefix(device), "") {
			if err != nil {
				return nil, err
			}
			if _, h, err := parseCommitName(info.Key); err == nil && certs[device].refuses(h) == nil {
				names = append(names, info.Key)
			}
		}
		shas, err := s.chain(ctx, st, k, certs, names, fn)
		if err != nil {
			return nil, err
		}
		s.missing(device, shas, known[device])
	}
	return s, nil
}

// chain reads the commits of one device. It returns what is known of their names: the
// number of each that is there, and of the one before each that can be read, with its
// SHA-256; the commits that are there are marked by a name.
func (s *LogSurvey) chain(ctx context.Context, st store.Store, k *Keys, certs map[string]Certificate, names []string, fn func(*Commit)) (map[uint64]seenName, error) {
	all := map[uint64]seenName{}
	for batch := range slices.Chunk(names, 4*parallelGets) {
		results := make([]fetched, len(batch))
		var g errgroup.Group
		g.SetLimit(parallelGets)
		for i, name := range batch {
			g.Go(func() error {
				c, err := getCommit(ctx, st, k, certs, name)
				results[i] = fetched{commit: c, name: name, err: err}
				return nil
			})
		}
		g.Wait()
		for i, name := range batch {
			_, h, _ := parseCommitName(name)
			if all[h.Seq] == (seenName{}) || all[h.Seq].sha == h.SHA {
				all[h.Seq] = seenName{h.SHA, true}
			}
			c, err := results[i].commit, results[i].err
			switch {
			case err == nil:
				s.take(c)
				fn(c)
				if before := all[c.Seq-1]; c.Seq > 1 && !before.there {
					all[c.Seq-1] = seenName{c.Prev, false}
				}
			case errors.Is(err, ErrCorrupt), errors.Is(err, ErrMissing), errors.Is(err, ErrSignature):
				s.Bad[name] = err
			default:
				return nil, err
			}
		}
	}
	return all, nil
}

type seenName struct {
	sha   string
	there bool
}

func (s *LogSurvey) take(c *Commit) {
	for _, name := range c.Lost {
		s.Noted[name] = true
	}
	if len(c.Lost) > 0 && c.Time.After(s.NotedAt) {
		s.NotedAt = c.Time
	}
	if c.Kind == CheckpointCommit && c.Time.After(s.Checkpoint) {
		s.Checkpoint = c.Time
	}
}

// missing notes the commits of a device that are not there.
func (s *LogSurvey) missing(device string, all map[uint64]seenName, known Head) {
	last := known.Seq
	for seq := range all {
		last = max(last, seq)
	}
	for seq := uint64(1); seq <= last; seq++ {
		n := all[seq]
		if n.there {
			continue
		}
		if seq == known.Seq && n.sha == "" {
			n.sha = known.SHA
		}
		s.Missing = append(s.Missing, lostName(device, Head{seq, n.sha}))
	}
}

// Lost lists the commits that cannot be read.
func (s *LogSurvey) Lost() []string {
	return append(slices.Sorted(maps.Keys(s.Bad)), s.Missing...)
}

// lostName names a commit that may be known by its number alone.
func lostName(device string, h Head) string {
	if h.SHA == "" {
		return fmt.Sprintf("%s%016d", logPrefix(device), h.Seq)
	}
	return commitName(device, h)
}

// ParseLost is the inverse of lostName.
func ParseLost(name string) (device string, h Head, err error) {
	if strings.HasSuffix(name, ".age") {
		return parseCommitName(name)
	}
	device = path.Base(path.Dir(name))
	h.Seq, err = strconv.ParseUint(path.Base(name), 10, 63)
	if err != nil || !isHex(device, 16) || h.Seq == 0 || name != lostName(device, h) {
		return "", Head{}, fmt.Errorf("%.200q: %w: not the name of a commit", name, ErrCorrupt)
	}
	return device, h, nil
}

// LogState is the state of the drive as the readable part of a log tells it, by
// hashes of its rows: enough to see what has to be said again. It may be filled by
// several goroutines at once only if they take turns.
type LogState struct {
	seed    maphash.Seed
	objects map[string]*stateObject
	inodes  map[uint64]stateRow
	names   map[NameKey]stateRow
}

// NameKey is a name in a directory.
type NameKey struct {
	In   uint64
	Name string
}

type stateRow struct {
	time   int64
	device string
	seq    uint64
	sum    uint64 // 0: gone
	seen   bool   // by Differs
}

// NewLogState makes an empty state.
func NewLogState() *LogState {
	return &LogState{seed: maphash.MakeSeed(), objects: map[string]*stateObject{}, inodes: map[uint64]stateRow{}, names: map[NameKey]stateRow{}}
}

// Take applies a commit. Commits may come in any order.
func (s *LogState) Take(c *Commit) {
	for _, o := range c.Puts {
		at := s.object(o.Name)
		at.size, at.put[c.Device] = o.Size, max(at.put[c.Device], c.Seq)
	}
	for _, o := range c.Condemned {
		at := s.object(o.Name)
		at.condemned[c.Device] = max(at.condemned[c.Device], c.Seq)
	}
	for _, o := range c.Deleted {
		s.object(o.Name).deleted = true
	}
	at := stateRow{time: c.Time.UnixMilli(), device: c.Device, seq: c.Seq}
	for _, r := range c.Inodes {
		at.sum = s.inodeSum(r)
		if s.inodes[r.Inode].olderThan(at) {
			s.inodes[r.Inode] = at
		}
	}
	for _, r := range c.Names {
		at.sum = s.nameSum(r)
		if key := (NameKey{r.In, r.Name}); s.names[key].olderThan(at) {
			s.names[key] = at
		}
	}
}

func (r stateRow) olderThan(o stateRow) bool {
	switch {
	case r.time != o.time:
		return r.time < o.time
	case r.device != o.device:
		return r.device < o.device
	}
	return r.seq <= o.seq
}

func (s *LogState) inodeSum(r InodeRow) uint64 {
	if r.Gone {
		return 0
	}
	r.Base, r.Succeeds = "", 0 // where it comes from is not what it is
	return maphash.Bytes(s.seed, appendRow(nil, r)) | 1
}

func (s *LogState) nameSum(r NameRow) uint64 {
	if r.Inode == 0 {
		return 0
	}
	return maphash.Bytes(s.seed, appendRow(nil, r)) | 1
}

// stateObject is what is said of an object: in which commits of a device last.
type stateObject struct {
	put, condemned map[string]uint64
	size           int64
	deleted        bool
	seen           bool // by Object
}

func (s *LogState) object(name string) *stateObject {
	o := s.objects[name]
	if o == nil {
		o = &stateObject{put: map[string]uint64{}, condemned: map[string]uint64{}}
		s.objects[name] = o
	}
	return o
}

// Object tells what the log says of an object, and notes that there is one: whether a
// commit puts it, and which devices condemn it.
func (s *LogState) Object(name string) (put bool, condemned []string) {
	o := s.object(name)
	o.seen = true
	for device, seq := range o.condemned {
		if seq >= o.put[device] {
			condemned = append(condemned, device)
		}
	}
	return len(o.put) > 0, condemned
}

// Unseen lists the objects that the log puts and does not call deleted, and that
// nobody asked Object about.
func (s *LogState) Unseen() (rows []DeletedRow) {
	for name, o := range s.objects {
		if len(o.put) > 0 && !o.deleted && !o.seen {
			rows = append(rows, DeletedRow{Name: name, Size: o.size})
		}
	}
	return rows
}

// TellsInode tells whether the log says anything of an inode.
func (s *LogState) TellsInode(ino uint64) bool {
	_, ok := s.inodes[ino]
	return ok
}

// TellsName tells whether the log says anything of a name.
func (s *LogState) TellsName(r NameRow) bool {
	_, ok := s.names[NameKey{r.In, r.Name}]
	return ok
}

// DiffersInode tells whether the log says something else of an inode, and notes that
// there is one.
func (s *LogState) DiffersInode(r InodeRow) bool {
	was := s.inodes[r.Inode]
	same := was.sum == s.inodeSum(r)
	was.seen = true
	s.inodes[r.Inode] = was
	return !same
}

// DiffersName is DiffersInode for a name.
func (s *LogState) DiffersName(r NameRow) bool {
	key := NameKey{r.In, r.Name}
	was := s.names[key]
	same := was.sum == s.nameSum(r)
	was.seen = true
	s.names[key] = was
	return !same
}

// Gone lists what the log says there is and nobody asked DiffersInode or DiffersName
// about: it went in commits that are lost.
func (s *LogState) Gone() (inodes []uint64, names []NameKey) {
	for ino, r := range s.inodes {
		if !r.seen && r.sum != 0 {
			inodes = append(inodes, ino)
		}
	}
	for key, r := range s.names {
		if !r.seen && r.sum != 0 {
			names = append(names, key)
		}
	}
	return inodes, names
}
