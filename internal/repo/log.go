package repo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/tunesafe/tunesafe/internal/store"
)

const (
	parallelGets = 8 // of one ReadLog
	lookahead    = 8 // decoded commits kept ahead of the merge, a device
	// lookaheadBytes is how much they are at most as they lie in the bucket, if more than one: in
	// memory they are twenty times that, and those of a first backup are long.
	lookaheadBytes = 1 << 20
)

// OwnHead lists what stands behind the head that device remembers of itself:
// nothing, in a home that was neither restored nor cloned. [ErrChain] means
// that the bucket lacks the remembered head: it was rolled back, or is another.
// It may be among the commits that are known as lost. [ErrRetired] means that the device must commit no more.
// epoch is the newest that was begun for the device; 0 of one that began with all.
func OwnHead(ctx context.Context, st store.Store, device string, after Head, lost ...string) (newer []store.Info, epoch int, err error) {
	newer, marked, err := listLog(ctx, st, device, after, nil, loseCommits(lost...))
	if err == nil && marked.retired {
		err = fmt.Errorf("%s: this %w", device, ErrRetired)
	}
	return newer, marked.epoch, err
}

// logMarks are what the log of a device has beside its commits.
type logMarks struct {
	retired bool
	epoch   int
}

// note takes in a name that is not a commit's; [Check] reports others.
func (m *logMarks) note(device, name string) {
	m.retired = m.retired || name == retiredMark(device)
	if _, epoch, ok := parseEpochMark(name); ok {
		m.epoch = max(m.epoch, epoch)
	}
}

// LastCommit tells when the newest commit of a device came, by the store's
// clock; zero if it made none.
func LastCommit(ctx context.Context, st store.Store, device string) (at time.Time, err error) {
	for info, err := range st.List(ctx, logPrefix(device), "") {
		if err != nil {
			return at, err
		}
		if _, _, err := parseCommitName(info.Key); err == nil {
			at = info.Time
		}
	}
	return at, nil
}

// Marks gives the newest commit of each device in certs, to be kept outside the
// bucket.
func Marks(ctx context.Context, st store.Store, k *Keys, certs map[string]Certificate) (marks []Mark, err error) {
	for _, device := range slices.Sorted(maps.Keys(certs)) {
		infos, err := listWhole(ctx, st, k, certs[device])
		if err != nil {
			return nil, err
		}
		if n := len(infos); n > 0 {
			_, h, err := parseCommitName(infos[n-1].Key)
			if err != nil {
				return nil, err
			}
			marks = append(marks, MarkOf(device, h))
		}
	}
	return marks, nil
}

// Refused lists the commits of a device that came after it was retired.
func Refused(ctx context.Context, st store.Store, c Certificate) (names []string, err error) {
	if c.Retired == nil {
		return nil, nil
	}
	from := fmt.Sprintf("%s%016d-", logPrefix(c.Device), c.Retired.Last.Seq)
	for info, err := range st.List(ctx, logPrefix(c.Device), from) {
		if err != nil {
			return nil, err
		}
		if _, h, err := parseCommitName(info.Key); err == nil && c.refuses(h) != nil {
			names = append(names, info.Key)
		}
	}
	return names, nil
}

// LogListing is what is asked of a store to list the commits of a device behind the
// head after.
func LogListing(device string, after Head) (prefix, last string) {
	prefix = logPrefix(device)
	if after.Seq > 0 {
		last = fmt.Sprintf("%s%016d-", prefix, after.Seq)
	}
	return prefix, last
}

// listLog lists the commits of device behind the head after, none missing,
// none twice. The list begins at the number of after itself, so that it shows
// whether that commit is still there, and alone; one that is lost need not be. Of a device that was retired it
// ends with the last that counts. marked is what else the list shows.
func listLog(ctx context.Context, st store.Store, device string, after Head, retired *Retirement, lost lostCommits) (infos []store.Info, marked logMarks, err error) {
	if retired != nil && after.Seq >= retired.Last.Seq {
		return nil, logMarks{retired: true}, nil
	}
	prefix, last := LogListing(device, after)
	counts := Certificate{Retired: retired}
	previous := Head{} // of the list
	if after.Seq > 0 && lost.has(device, after) {
		previous = after
	}
	for info, err := range st.List(ctx, prefix, last) {
		if err != nil {
			return nil, marked, err
		}
		_, h, err := parseCommitName(info.Key)
		if err != nil {
			marked.note(device, info.Key)
			continue // not a commit; Check reports it
		}
		if counts.refuses(h) != nil {
			continue
		}
		if h == previous {
			continue // it is there all the same
		}
		if h.Seq == previous.Seq {
			return nil, marked, fmt.Errorf("%w: %s and %s", ErrFork, commitName(device, previous), info.Key)
		}
		if previous.Seq == 0 && after.Seq > 0 {
			if h.Seq == after.Seq && h.SHA != after.SHA {
				return nil, marked, fmt.Errorf("%w: %s, known as %s", ErrFork, info.Key, commitName(device, after))
			}
			if h.Seq != after.Seq {
				break // reported below
			}
		} else if !lost.all(device, previous.Seq+1, h.Seq) {
			return nil, marked, fmt.Errorf("%w: commit %d of device %s is missing before %s", ErrChain, previous.Seq+1, device, info.Key)
		}
		if previous = h; h.Seq > after.Seq {
			infos = append(infos, info)
		}
	}
	if after.Seq > 0 && previous.Seq == 0 {
		return nil, marked, fmt.Errorf("%w: %s is gone; the bucket is behind what was seen before", ErrChain, commitName(device, after))
	}
	return infos, marked, nil
}

// ReadLog gives the commits behind the heads in since to fn, one after
// another, by time, then device, then number: the order in which they apply.
// It reads the chains of the devices in certs and ends at the first fault, by
// then having given fn whole commits only, each verified and in its chain. What the log
// itself says of that it is lost is no fault: it is passed over, and the commit behind it
// tells so ([Commit].Behind). The commits in
// since may be among those that are lost. Nothing is asked of the store after
// it has returned.
func ReadLog(ctx context.Context, st store.Store, k *Keys, certs map[string]Certificate, since map[string]Head, fn func(*Commit) error, lost ...string) error {
	for device, head := range since {
		if _, ok := certs[device]; !ok && head.Seq > 0 {
			return fmt.Errorf("%s: %w: no certificate", commitName(device, head), ErrSignature)
		}
	}
	heads := maps.Clone(since)
	if heads == nil {
		heads = map[string]Head{}
	}
	var stopped error
	read := func(lost lostCommits) error {
		return readLog(ctx, st, k, certs, heads, lost, func(c *Commit) error {
			if stopped = fn(c); stopped == nil {
				heads[c.Device] = c.Head()
			}
			return stopped
		})
	}
	err := read(loseCommits(lost...))
	if err == nil || stopped != nil || !IsLogFault(err) {
		return err
	}
	noted, failed := LostCommits(ctx, st, k)
	if failed != nil {
		return failed
	}
	if len(noted) == 0 {
		return err
	}
	return read(loseCommits(append(noted, lost...)...))
}

// readLog is ReadLog where it is known what is lost.
func readLog(ctx context.Context, st store.Store, k *Keys, certs map[string]Certificate, since map[string]Head, lost lostCommits, fn func(*Commit) error) error {
	var ahead sync.WaitGroup
	defer ahead.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	gets := semaphore.NewWeighted(parallelGets)
	var chains []*chain
	for _, device := range slices.Sorted(maps.Keys(certs)) {
		infos, _, err := listLog(ctx, st, device, since[device], certs[device].Retired, lost)
		if err != nil {
			return err
		}
		if len(infos) > 0 {
			c := &chain{st: st, k: k, certs: certs, gets: gets, last: since[device], lost: lost,
				ahead: make(chan chan fetched, lookahead), room: semaphore.NewWeighted(lookaheadBytes)}
			chains = append(chains, c)
			ahead.Go(func() { c.fetch(ctx, infos) })
		}
	}
	return merge(ctx, chains, fn)
}

// merge takes the oldest of the chains' next commits until they all end.
func merge(ctx context.Context, chains []*chain, fn func(*Commit) error) error {
	for _, c := range chains {
		if err := c.advance(ctx); err != nil {
			return err
		}
	}
	for {
		var oldest *chain
		for _, c := range chains {
			if c.next != nil && (oldest == nil || before(c.next, oldest.next)) {
				oldest = c
			}
		}
		if oldest == nil {
			return nil
		}
		if err := fn(oldest.next); err != nil {
			return err
		}
		if err := oldest.advance(ctx); err != nil {
			return err
		}
	}
}

// before is the order in which commits apply.
func before(x, y *Commit) bool {
	if !x.Time.Equal(y.Time) {
		return x.Time.Before(y.Time)
	}
	if x.Device != y.Device {
		return x.Device < y.Device
	}
	return x.Seq < y.Seq
}

// chain reads the commits of one device ahead of the merge.
type chain struct {
	st    store.Store
	k     *Keys
	certs map[string]Certificate
	gets  *semaphore.Weighted
	last  Head // of the commit before next
	lost  lostCommits
	next  *Commit
	ahead chan chan fetched // in the order of the chain
	room  *semaphore.Weighted
	taken int64 // of room, by next
}

type fetched struct {
	commit *Commit
	name   string
	size   int64 // of room
	err    error
}

// fetch begins the reading of each object, as many at once as gets allows.
func (c *chain) fetch(ctx context.Context, infos []store.Info) {
	var gets sync.WaitGroup
	defer gets.Wait()
	defer close(c.ahead)
	for _, info := range infos {
		size := min(info.Size, lookaheadBytes)
		if c.room.Acquire(ctx, size) != nil {
			return
		}
		result := make(chan fetched, 1)
		select {
		case c.ahead <- result:
		case <-ctx.Done():
			return
		}
		gets.Go(func() {
			if err := c.gets.Acquire(ctx, 1); err != nil {
				result <- fetched{err: err}
				return
			}
			defer c.gets.Release(1)
			commit, err := getCommit(ctx, c.st, c.k, c.certs, info.Key)
			result <- fetched{commit, info.Key, size, err}
		})
	}
}

// advance makes the following commit the next one, after checking that it
// follows; nil at the end of the chain.
func (c *chain) advance(ctx context.Context) error {
	if c.next != nil {
		c.last = c.next.Head()
	}
	c.next = nil
	for {
		c.room.Release(c.taken)
		c.taken = 0
		result, ok := <-c.ahead
		if !ok {
			return ctx.Err()
		}
		f := <-result
		c.taken = f.size
		if f.err != nil && c.isLost(f) {
			continue
		}
		if f.err != nil {
			return f.err
		}
		if f.commit.Prev != c.last.SHA || f.commit.Seq != c.last.Seq+1 {
			if !c.lost.passes(c.last, f.commit) {
				return fmt.Errorf("%w: %s does not follow commit %d with SHA-256 %s", ErrChain, f.commit.Name, c.last.Seq, c.last.SHA)
			}
			behind := c.last
			f.commit.Behind = &behind
		}
		c.next = f.commit
		return nil
	}
}

// isLost tells whether what could not be read is known as lost.
func (c *chain) isLost(f fetched) bool {
	device, h, err := parseCommitName(f.name)
	return err == nil && IsLogFault(f.err) && c.lost.has(device, h)
}

// GetCommit reads and verifies the commit of that name.
func GetCommit(ctx context.Context, st store.Store, k *Keys, certs map[string]Certificate, name string) (*Commit, error) {
	return getCommit(ctx, st, k, certs, name)
}

// getCommit reads and verifies one commit.
func getCommit(ctx context.Context, st store.Store, k *Keys, certs map[string]Certificate, name string) (*Commit, error) {
	body, err := getAll(ctx, st, name, maxSealed)
	if errors.Is(err, store.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w: %w", name, ErrMissing, err)
	}
	if err != nil {
		return nil, err
	}
	return DecodeCommit(k, certs, name, body)
}
