package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// awayAfter is how many attempts in a row fail before the server counts as away.
const awayAfter = maxAttempts

// outage is what the calls of a store learn together of a server that does not
// answer: ten of them that wait for it need not ask ten times. After an attempt
// that failed one at a time is made, after pauses that grow; the first answer
// sets all free. Once a call has given up, or awayAfter attempts have failed, the
// server is away: until it answers, a call makes one attempt and no more, or none
// if one was made moments ago.
type outage struct {
	mu    sync.Mutex
	fails int       // attempts that failed in a row; such as were made at once count once
	last  time.Time // when the latest of them ended
	next  time.Time // no attempt begins before
	cause error     // why it failed
	away  bool
	turn  chan struct{} // closed when the attempt under way ends; nil if there is none
}

// awayError ends a call without an attempt.
type awayError struct {
	cause error
	pause time.Duration
}

func (e *awayError) Error() string {
	return fmt.Sprintf("not asked again before %v: %v", e.pause.Round(time.Second), e.cause)
}

func (e *awayError) Unwrap() error { return e.cause }

// attempt is one that may be made; end must be told what came of it.
type attempt struct {
	o     *outage
	ctx   context.Context //nolint:containedctx // of the request
	begun time.Time
	turn  chan struct{} // nil if others may be made at once
}

// enter returns when an attempt may be made.
func (o *outage) enter(ctx context.Context) (*attempt, error) {
	for {
		o.mu.Lock()
		turn, pause := o.turn, time.Until(o.next)
		switch {
		case o.fails == 0:
			o.mu.Unlock()
			return &attempt{o: o, ctx: ctx, begun: time.Now()}, nil
		case turn == nil && pause <= 0:
			o.turn = make(chan struct{})
			turn = o.turn
			o.mu.Unlock()
			return &attempt{o: o, ctx: ctx, begun: time.Now(), turn: turn}, nil
		case turn == nil && o.away:
			err := &awayError{o.cause, pause}
			o.mu.Unlock()
			return nil, err
		}
		o.mu.Unlock()
		if turn != nil {
			pause = time.Hour // its end is what counts
		}
		timer := time.NewTimer(pause)
		select {
		case <-turn:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
		timer.Stop()
	}
}

// pass gives the turn on. o.mu is held.
func (a *attempt) pass() {
	if a.turn != nil {
		a.o.turn = nil
		close(a.turn)
		a.turn = nil
	}
}

// moved says that the server takes what is sent.
func (a *attempt) moved() {
	a.o.mu.Lock()
	defer a.o.mu.Unlock()
	a.o.fails, a.o.away = 0, false
	a.pass()
}

func (a *attempt) end(resp *http.Response, err error) {
	o := a.o
	o.mu.Lock()
	defer o.mu.Unlock()
	a.pass()
	switch cause := trouble(resp, err); {
	case cause == nil:
		o.fails, o.away = 0, false
	case a.ctx.Err() != nil: // the caller ended it
	default:
		if o.fails == 0 || a.begun.After(o.last) {
			o.fails++
		}
		pause, _ := backoff(o.fails, nil)
		o.last, o.cause = time.Now(), cause
		o.next = o.last.Add(pause)
		o.away = o.away || o.fails >= awayAfter
	}
}

// trouble is why an attempt counts as failed; nil if the server did answer.
func trouble(resp *http.Response, err error) error {
	switch {
	case err != nil:
		return err
	case resp.StatusCode == http.StatusTooManyRequests,
		resp.StatusCode >= http.StatusInternalServerError && resp.StatusCode != http.StatusNotImplemented && resp.StatusCode != http.StatusInsufficientStorage:
		return fmt.Errorf("the server answers %s", resp.Status)
	}
	return nil
}

// giveUp says that a call ended without an answer.
func (o *outage) giveUp() {
	o.mu.Lock()
	o.away = o.fails > 0
	o.mu.Unlock()
}

var errAway = errors.New("the server is away")

// retry tells whether a call whose attempt failed may try again.
func (o *outage) retry() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.away {
		return errAway
	}
	return nil
}
