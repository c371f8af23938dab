package repo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/store"
)

func seqKey(device string, seq uint64) string { return fmt.Sprintf("%s:%d", device, seq) }

// numbers reads the log and gives "device:seq" of its commits in their order.
func (e *env) numbers(since map[string]Head) (got []string, err error) {
	last := time.Time{}
	err = ReadLog(e.t.Context(), e.st, e.k, e.certs, since, func(c *Commit) error {
		if c.Time.Before(last) {
			e.t.Errorf("%s comes too late", c.Name)
		}
		last = c.Time
		got = append(got, seqKey(c.Device, c.Seq))
		return nil
	})
	return got, err
}

func TestReadLogMerges(t *testing.T) {
	e := newEnv(t)
	a, b := e.d, e.enrol()
	heads := map[*Device]Head{}
	var want []string
	since := map[string]Head{}
	for i := range 60 {
		e.d = a
		if i%3 == 1 {
			e.d = b
		}
		e.head = heads[e.d]
		c := e.commit(&Commit{Names: []NameRow{{1, fmt.Sprint(i), 2}}})
		heads[e.d] = c.Head()
		want = append(want, seqKey(e.d.ID, c.Seq))
		if i == 30 {
			since[a.ID], since[b.ID] = heads[a], heads[b]
		}
	}
	if got, err := e.numbers(nil); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v %v, want %v", got, err, want)
	}
	if got, err := e.numbers(since); err != nil || !slices.Equal(got, want[31:]) {
		t.Errorf("%v %v, want %v", got, err, want[31:])
	}
	stop := errors.New("stop")
	if err := ReadLog(t.Context(), e.st, e.k, e.certs, nil, func(*Commit) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ReadLog(ctx, e.st, e.k, e.certs, nil, func(*Commit) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// chainOf makes a chain of n commits and gives their names.
func chainOf(t *testing.T, n int) (e *env, names []string) {
	e = newEnv(t)
	for range n {
		names = append(names, e.commit(&Commit{}).Name)
	}
	return e, names
}

func TestReadLogFindsFaults(t *testing.T) {
	other := newEnv(t)
	for name, c := range map[string]struct {
		harm func(e *env, names []string)
		want error
		at   int // index of the commit that the error names
	}{
		"gap":        {func(e *env, n []string) { e.st.Delete(e.t.Context(), n[2]) }, ErrChain, 3},
		"no first":   {func(e *env, n []string) { e.st.Delete(e.t.Context(), n[0]) }, ErrChain, 1},
		"damaged":    {func(e *env, n []string) { e.overwrite(n[2], flip(e.body(n[2]), 200)) }, ErrCorrupt, 2},
		"cut":        {func(e *env, n []string) { e.overwrite(n[2], e.body(n[2])[:150]) }, ErrCorrupt, 2},
		"exchanged":  {func(e *env, n []string) { e.overwrite(n[2], e.body(n[1])) }, ErrCorrupt, 2},
		"foreign":    {func(e *env, n []string) { e.overwrite(n[2], must(other.k.Seal("meta", nil))(e.t).Body) }, ErrCorrupt, 2},
		"other prev": {func(e *env, n []string) { e.graft(n, 3, strings.Repeat("00", 32)) }, ErrChain, 3},
		"fork":       {func(e *env, n []string) { e.fork(3) }, ErrFork, 2},
	} {
		t.Run(name, func(t *testing.T) {
			e, names := chainOf(t, 5)
			c.harm(e, names)
			got, err := e.numbers(nil)
			if !errors.Is(err, c.want) || name != "other prev" && !strings.Contains(err.Error(), names[c.at]) {
				t.Errorf("%v, want %v of %s", err, c.want, names[c.at])
			}
			if len(got) > c.at {
				t.Errorf("%d commits before the fault, want at most %d", len(got), c.at)
			}
		})
	}
}

// graft replaces a commit by one signed alike, with another predecessor.
func (e *env) graft(names []string, i int, prev string) {
	e.st.Delete(e.t.Context(), names[i])
	c := &Commit{Kind: Changes, Seq: uint64(i + 1), Prev: prev, Time: e.clock}
	e.put(must(EncodeCommit(e.k, e.d, c))(e.t))
}

// fork adds a second commit of that number.
func (e *env) fork(seq uint64) Head {
	c := &Commit{Kind: Changes, Seq: seq, Prev: strings.Repeat("00", 32), Time: e.clock}
	e.put(must(EncodeCommit(e.k, e.d, c))(e.t))
	return c.Head()
}

func TestOwnHead(t *testing.T) {
	e, names := chainOf(t, 3)
	ctx, head := t.Context(), e.head
	own := func(after Head) ([]store.Info, error) {
		newer, _, err := OwnHead(ctx, e.counted, e.d.ID, after)
		return newer, err
	}
	if newer, err := own(head); err != nil || len(newer) > 0 {
		t.Errorf("%v %v", newer, err)
	}
	if n := e.counted.Counts(); n.Lists != 1 || n.Gets+n.Stats > 0 {
		t.Errorf("requests %+v, want one LIST", n)
	}
	_, two, _ := parseCommitName(names[1])
	if newer, err := own(two); err != nil || len(newer) != 1 || newer[0].Key != names[2] {
		t.Errorf("%v %v, want the third", newer, err)
	}
	if newer, err := own(Head{}); err != nil || len(newer) != 3 {
		t.Errorf("%v %v, want three", newer, err)
	}
	e.st.Delete(ctx, names[2])
	_, err := own(head)
	wantErr(t, err, ErrChain, names[2])
	for _, name := range names[:2] {
		e.st.Delete(ctx, name)
	}
	_, err = own(head)
	wantErr(t, err, ErrChain, names[2])
	e.fork(3)
	_, err = own(head)
	wantErr(t, err, ErrFork, names[2])
}

func TestReadLogWithoutCertificate(t *testing.T) {
	e, names := chainOf(t, 2)
	delete(e.certs, e.d.ID)
	if got, err := e.numbers(nil); err != nil || len(got) > 0 {
		t.Errorf("read %v, %v", got, err)
	}
	_, err := e.numbers(map[string]Head{e.d.ID: e.head})
	wantErr(t, err, ErrSignature, names[1])
}

// TestAtHead: whether all commits are known costs a few requests, however many
// there are.
func TestAtHead(t *testing.T) {
	e, names := chainOf(t, 40)
	ctx := t.Context()
	at := func(heads map[string]Head) bool {
		t.Helper()
		before := e.counted.Counts()
		is, err := AtHead(ctx, e.counted, e.k, heads)
		if err != nil {
			t.Fatal(err)
		}
		now := e.counted.Counts()
		if n := now.Lists + now.Gets + now.Stats - before.Lists - before.Gets - before.Stats; n > 1+2*int64(len(e.certs)) {
			t.Errorf("%d requests for %d devices", n, len(e.certs))
		}
		return is
	}
	heads := map[string]Head{e.d.ID: e.head}
	_, before, _ := parseCommitName(names[38])
	if !at(heads) || at(nil) || at(map[string]Head{e.d.ID: before}) || at(map[string]Head{e.d.ID: e.head, "0123456789abcdef": e.head}) {
		t.Error("the head is not told from others")
	}
	first := e.d
	e.d, e.head = e.enrol(), Head{}
	if !at(heads) {
		t.Error("a device without commits is taken for news")
	}
	e.commit(&Commit{})
	if at(heads) {
		t.Error("the commit of another device is not seen")
	}
	heads[e.d.ID] = e.head
	if !at(heads) {
		t.Error("what is known is taken for news")
	}
	e.st.Delete(ctx, names[39])
	if at(heads) {
		t.Errorf("a log of %s that was cut short passes", first.ID)
	}
}
