package s3proxy

import (
	"flag"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Faults are what the proxy does to requests. The zero value does nothing.
//
// The rates are shares of the requests, from 0 to 1; a request suffers one
// fault at most, so that their sum must not exceed 1.
type Faults struct {
	Latency  time.Duration // before a request is passed on
	UpRate   int64         // body bytes a second over all connections together; 0 for no limit
	DownRate int64
	Offline  bool // cut every connection, also those in use

	Unavailable float64 // answered 503 SlowDown, not passed on
	Internal    float64 // answered 500, not passed on
	TooMany     float64 // answered 429, not passed on
	Drop        float64 // as the [Drop] action
	Lose        float64 // as the [Lose] action
	CutUp       float64 // as the [CutUp] action
	CutDown     float64 // as the [CutDown] action
	Mute        float64 // as the [Mute] action
	Drip        float64 // as the [Drip] action
	DamageUp    float64 // as the [DamageUp] action
	DamageDown  float64 // as the [DamageDown] action

	Ops      []string // the rates are for these operations only; empty for all
	Prefixes []string // and for keys in these folders, such as "audio/", only
	Max      int      // the rates end after so many faults; 0 for never
	Seed     int64    // of the random choice
}

// Flags defines a flag for each fault, with its present value as the default.
func (f *Faults) Flags(fs *flag.FlagSet) {
	fs.DurationVar(&f.Latency, "latency", f.Latency, "wait before a request is passed on")
	fs.Int64Var(&f.UpRate, "up-rate", f.UpRate, "bytes a second to the server, 0 for no limit")
	fs.Int64Var(&f.DownRate, "down-rate", f.DownRate, "bytes a second to the client, 0 for no limit")
	fs.BoolVar(&f.Offline, "offline", f.Offline, "cut every connection")
	fs.Float64Var(&f.Unavailable, "unavailable", f.Unavailable, "share of requests answered 503")
	fs.Float64Var(&f.Internal, "internal", f.Internal, "share of requests answered 500")
	fs.Float64Var(&f.TooMany, "too-many", f.TooMany, "share of requests answered 429")
	fs.Float64Var(&f.Drop, "drop", f.Drop, "share of requests cut before they are passed on")
	fs.Float64Var(&f.Lose, "lose", f.Lose, "share of requests carried out but not answered")
	fs.Float64Var(&f.CutUp, "cut-up", f.CutUp, "share of requests whose body is cut")
	fs.Float64Var(&f.CutDown, "cut-down", f.CutDown, "share of requests whose answer is cut")
	fs.Float64Var(&f.Mute, "mute", f.Mute, "share of requests never answered")
	fs.Float64Var(&f.Drip, "drip", f.Drip, "share of requests answered some bytes a second")
	fs.Float64Var(&f.DamageUp, "damage-up", f.DamageUp, "share of requests whose body is changed")
	fs.Float64Var(&f.DamageDown, "damage-down", f.DamageDown, "share of requests whose answer is changed")
	fs.Var((*list)(&f.Ops), "ops", "operations that suffer, comma-separated, empty for all")
	fs.Var((*list)(&f.Prefixes), "prefixes", "folders of keys that suffer, comma-separated, empty for all")
	fs.IntVar(&f.Max, "max", f.Max, "number of faults, 0 for no end")
	fs.Int64Var(&f.Seed, "seed", f.Seed, "seed of the random choice")
}

// list is a comma-separated flag.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(s string) error {
	*l = nil
	if s != "" {
		*l = strings.Split(s, ",")
	}
	return nil
}

// Action is what is done with one request.
type Action struct {
	do     doing
	status int    // of doReply
	code   string // of doReply; "" for the usual one
	at     int64  // of a cut: bytes that pass; negative for half of the body
}

type doing string

const (
	doForward doing = ""
	doReply   doing = "reply"
	doDrop    doing = "drop"
	doLose    doing = "lose"
	doCutUp   doing = "cut-up"
	doCutDown doing = "cut-down"

	doMute       doing = "mute"
	doDrip       doing = "drip"
	doDamageUp   doing = "damage-up"
	doDamageDown doing = "damage-down"
)

// The actions; [Reply], [CutUpAt] and [CutDownAt] make others.
var (
	// Forward passes the request on.
	Forward = Action{}
	// Drop cuts the connection; the server hears nothing.
	Drop = Action{do: doDrop}
	// Lose has the server carry the request out, then cuts the connection.
	Lose = Action{do: doLose}
	// CutUp passes half of the request's body to the server, less what is in
	// buffers, then cuts both connections. Without a body it is Drop.
	CutUp = Action{do: doCutUp, at: -1}
	// CutDown passes half of the answer's body to the client, then cuts the
	// connection. Without a body it is Lose.
	CutDown = Action{do: doCutDown, at: -1}
	// Mute takes the request and never answers, until the client leaves or the
	// fault ends.
	Mute = Action{do: doMute}
	// Drip has the request carried out and sends the answer's body some bytes a
	// second.
	Drip = Action{do: doDrip}
	// DamageUp changes a byte in the middle of the request's body.
	DamageUp = Action{do: doDamageUp}
	// DamageDown changes a byte in the middle of the answer's body.
	DamageDown = Action{do: doDamageDown}
)

// Reply answers with a status of 400 and above and S3's error for it, in place
// of the server.
func Reply(status int) Action { return Action{do: doReply, status: status} }

// Refuse is [Reply] with an error code of S3's.
func Refuse(status int, code string) Action { return Action{do: doReply, status: status, code: code} }

// CutUpAt is [CutUp] after n bytes.
func CutUpAt(n int64) Action { return Action{do: doCutUp, at: n} }

// CutDownAt is [CutDown] after n bytes.
func CutDownAt(n int64) Action { return Action{do: doCutDown, at: n} }

// Nth is a hook for [Proxy.Before] that does a with the nth request, from 1, of
// the operation, and forwards the others.
func Nth(n int64, op string, a Action) func(*http.Request) Action {
	var seen atomic.Int64
	return func(r *http.Request) Action {
		if Op(r) == op && seen.Add(1) == n {
			return a
		}
		return Forward
	}
}

// name is what the statistics call the action.
func (a Action) name() string {
	if a.do == doReply {
		return strconv.Itoa(a.status)
	}
	return string(a.do)
}

// fit settles where the cut of an upload is.
func (a Action) fit(r *http.Request) Action {
	if a.do != doCutUp {
		return a
	}
	if r.Body == http.NoBody {
		return Drop
	}
	if a.at < 0 {
		a.at = max(1, r.ContentLength/2) // the length may be unknown, -1
	}
	return a
}

// end is how much of the answer passes before it is cut, 0 if it has no body.
func (a Action) end(r *http.Request, resp *http.Response) int64 {
	if r.Method == http.MethodHead || resp.ContentLength == 0 {
		return 0
	}
	if a.at >= 0 {
		return a.at
	}
	return max(1, resp.ContentLength/2)
}

// errorCode is S3's code for a status.
func errorCode(status int) string {
	switch status {
	case http.StatusForbidden:
		return "AccessDenied"
	case http.StatusNotFound:
		return "NoSuchKey"
	case http.StatusPreconditionFailed:
		return "PreconditionFailed"
	case http.StatusTooManyRequests:
		return "TooManyRequests"
	case http.StatusServiceUnavailable:
		return "SlowDown"
	}
	return "InternalError"
}

// faultSource draws faults at random.
type faultSource struct {
	Faults
	rng  *rand.Rand
	hits int
}

func newFaultSource(f Faults) faultSource {
	return faultSource{Faults: f, rng: rand.New(rand.NewPCG(uint64(f.Seed), 0))}
}

// draw chooses what befalls a request.
func (f *faultSource) draw(op, prefix string) Action {
	switch {
	case f.Offline:
		return Drop
	case f.rng == nil, // nothing was ever set
		f.Max > 0 && f.hits >= f.Max,
		len(f.Ops) > 0 && !slices.Contains(f.Ops, op),
		len(f.Prefixes) > 0 && !slices.Contains(f.Prefixes, prefix):
		return Forward
	}
	x := f.rng.Float64()
	for _, c := range []struct {
		rate float64
		act  Action
	}{
		{f.Unavailable, Reply(http.StatusServiceUnavailable)},
		{f.Internal, Reply(http.StatusInternalServerError)},
		{f.TooMany, Reply(http.StatusTooManyRequests)},
		{f.Drop, Drop}, {f.Lose, Lose}, {f.CutUp, CutUp}, {f.CutDown, CutDown},
		{f.Mute, Mute}, {f.Drip, Drip}, {f.DamageUp, DamageUp}, {f.DamageDown, DamageDown},
	} {
		if x < c.rate {
			f.hits++
			return c.act
		}
		x -= c.rate
	}
	return Forward
}
