package s3proxy

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Count is a number of requests and the bytes of their bodies.
type Count struct {
	Requests int64 `json:"requests"`
	Up       int64 `json:"up"`   // bytes from clients
	Down     int64 `json:"down"` // bytes to clients
}

func (c *Count) add(d Count) {
	c.Requests += d.Requests
	c.Up += d.Up
	c.Down += d.Down
}

// Stats are the counts of a stretch of time. A prefix is the first element of
// a key with its slash, "audio/", or "" for keys without a slash; a listing
// counts to the prefix it asks for. Deletions of many objects in one request,
// which name their keys in the body, count to "".
type Stats struct {
	Count                                   // of all
	Ops         map[string]Count            `json:"ops"`        // by operation, see [Op]
	Prefixes    map[string]Count            `json:"prefixes"`   // by prefix
	PrefixOps   map[string]map[string]Count `json:"prefix_ops"` // by prefix, then operation
	Status      map[int]int64               `json:"status"`     // finished requests by the status that the client got; 0: cut
	Faults      map[string]int64            `json:"faults"`     // by name: "503", "drop", "cut-up" …
	WireUp      int64                       `json:"wire_up"`    // bytes of the clients' connections, headers included
	WireDown    int64                       `json:"wire_down"`
	LineUp      Line                        `json:"line_up"`   // of a limited line
	LineDown    Line                        `json:"line_down"` // as above
	InFlight    int                         `json:"in_flight"`
	MaxInFlight int                         `json:"max_in_flight"`
	Seconds     float64                     `json:"seconds"` // since the start or the last reset
	Idle        float64                     `json:"idle"`    // seconds since the last byte of a body, start or end of a request
}

// Entry is a finished request in the log.
type Entry struct {
	Op      string        `json:"op"`
	Bucket  string        `json:"bucket"`
	Key     string        `json:"key"` // see [Key]
	Range   string        `json:"range,omitempty"`
	Up      int64         `json:"up"` // bytes of the bodies
	Down    int64         `json:"down"`
	Status  int           `json:"status"`          // what the client got; 0 if the connection was cut
	Backend int           `json:"backend"`         // what the server answered; 0 if it was not asked or did not
	Fault   string        `json:"fault,omitempty"` // as in Stats.Faults
	Start   time.Time     `json:"start"`
	Took    time.Duration `json:"took"` // nanoseconds
}

// maxLog bounds the log of a proxy that runs for days.
const maxLog = 200_000

type bin struct{ prefix, op string }

// counters count. The zero value needs a reset.
type counters struct {
	wire wire

	mu          sync.Mutex
	root        string
	bins        map[bin]*Count
	status      map[int]int64
	faults      map[string]int64
	inFlight    int
	maxInFlight int
	since, last time.Time
	log         []Entry
	out         *json.Encoder
}

func (c *counters) reset() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.snapshot()
	c.bins, c.status, c.faults = map[bin]*Count{}, map[int]int64{}, map[string]int64{}
	c.maxInFlight, c.log = c.inFlight, nil
	c.since = time.Now()
	c.last = c.since
	c.wire.up.Store(0)
	c.wire.down.Store(0)
	return s
}

func (c *counters) stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.snapshot()
}

func (c *counters) snapshot() Stats {
	s := Stats{
		Ops: map[string]Count{}, Prefixes: map[string]Count{}, PrefixOps: map[string]map[string]Count{},
		Status: map[int]int64{}, Faults: map[string]int64{},
		WireUp: c.wire.up.Load(), WireDown: c.wire.down.Load(),
		InFlight: c.inFlight, MaxInFlight: c.maxInFlight,
		Seconds: time.Since(c.since).Seconds(), Idle: time.Since(c.last).Seconds(),
	}
	for b, n := range c.bins {
		s.Count.add(*n)
		op, prefix := s.Ops[b.op], s.Prefixes[b.prefix]
		op.add(*n)
		prefix.add(*n)
		s.Ops[b.op], s.Prefixes[b.prefix] = op, prefix
		if s.PrefixOps[b.prefix] == nil {
			s.PrefixOps[b.prefix] = map[string]Count{}
		}
		s.PrefixOps[b.prefix][b.op] = *n
	}
	for k, n := range c.status {
		s.Status[k] = n
	}
	for k, n := range c.faults {
		s.Faults[k] = n
	}
	return s
}

func (c *counters) entries() []Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.log)
}

func (c *counters) logTo(w io.Writer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = nil
	if w != nil {
		c.out = json.NewEncoder(w)
	}
}

func (c *counters) setRoot(prefix string) {
	c.mu.Lock()
	c.root = prefix
	c.mu.Unlock()
}

// tally counts one request.
type tally struct {
	c      *counters
	prefix string

	// Guarded by c.mu.
	entry Entry
	done  bool
}

// begin counts a request.
func (c *counters) begin(r *http.Request) *tally {
	bucket, _ := target(r)
	now := time.Now()
	t := &tally{c: c, entry: Entry{Op: Op(r), Bucket: bucket, Key: Key(r), Range: r.Header.Get("Range"), Start: now}}
	c.mu.Lock()
	defer c.mu.Unlock()
	t.prefix = folder(c.root, t.entry.Key)
	t.add(Count{Requests: 1})
	c.inFlight++
	c.maxInFlight = max(c.maxInFlight, c.inFlight)
	return t
}

// add needs c.mu.
func (t *tally) add(d Count) {
	b := bin{t.prefix, t.entry.Op}
	if t.c.bins[b] == nil {
		t.c.bins[b] = &Count{}
	}
	t.c.bins[b].add(d)
	t.c.last = time.Now()
}

func (t *tally) count(up, down int64) {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	t.add(Count{Up: up, Down: down})
	t.entry.Up += up
	t.entry.Down += down
}

func (t *tally) fault(a Action) {
	if a == Forward {
		return
	}
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	t.entry.Fault = a.name()
	t.c.faults[t.entry.Fault]++
}

func (t *tally) carriedOut(status int) { t.set(func(e *Entry) { e.Backend = status }) }

func (t *tally) answered(status int) { t.set(func(e *Entry) { e.Status = status }) }

func (t *tally) set(change func(*Entry)) {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	change(&t.entry)
}

// finish logs the request; only the first call counts.
func (t *tally) finish() {
	c := t.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.done {
		return
	}
	t.done = true
	c.last = time.Now()
	t.entry.Took = c.last.Sub(t.entry.Start)
	c.inFlight--
	c.status[t.entry.Status]++
	if len(c.log) >= maxLog {
		c.log = slices.Clone(c.log[maxLog/2:])
	}
	c.log = append(c.log, t.entry)
	if c.out != nil {
		_ = c.out.Encode(t.entry) // a log that cannot be written must not stop the test
	}
}
