package health

import (
	"crypto/sha256"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func openDB(t *testing.T) *DB {
	t.Helper()
	d, err := Open(filepath.Join(t.TempDir(), "health.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// named gives the n-th object a name as the SHA-256 of its bytes would be.
func named(n int) string {
	k := key{'a'}
	if n%3 == 0 {
		k[0] = 'm'
	}
	sum := sha256.Sum256([]byte(strconv.Itoa(n)))
	copy(k[1:], sum[:])
	return k.object()
}

func sortedObjects(m map[string]int64) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		for _, name := range slices.Sorted(maps.Keys(m)) {
			if !yield(Object{name, m[name]}, nil) {
				return
			}
		}
	}
}

// TestEveryObjectInTurn runs checks of one N-th on a repository that grows and
// shrinks at random, some of them cut short, beside a model: each object is read
// within N complete runs since it was read last, or was first there.
func TestEveryObjectInTurn(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("TUNESAFE_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	t.Logf("TUNESAFE_SEED=%d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for _, part := range []int{1, 2, 7, 30} {
		t.Run(fmt.Sprint("1 of ", part), func(t *testing.T) { everyObject(t, r, part) })
	}
}

const rounds = 40

func everyObject(t *testing.T, r *rand.Rand, part int) {
	d := openDB(t)
	now := time.Unix(1_800_000_000, 0)
	objects, waits := map[string]int64{}, map[string]int{}
	n, read, runs := 0, 0, 0
	for range rounds {
		for range r.IntN(12) {
			n++
			objects[named(n)] = r.Int64N(16 << 20)
		}
		for name := range objects {
			if r.IntN(60) == 0 {
				delete(objects, name)
				delete(waits, name)
			}
		}
		now = now.Add(time.Duration(r.IntN(10)) * time.Millisecond)
		began := now
		q, err := d.queue(sortedObjects(objects), now)
		if err != nil || len(q) != len(objects) {
			t.Fatal(len(q), len(objects), err)
		}
		whole, err := d.wholeRuns()
		if err != nil {
			t.Fatal(err)
		}
		q = q[:(Share{Part: part}).take(q, whole)]
		cut := r.IntN(4) == 0 && len(q) > 0
		if cut {
			q = q[:r.IntN(len(q))]
		}
		var found []Found
		for _, w := range q {
			now = now.Add(time.Millisecond)
			found = append(found, Found{Object: w.key.object(), Reading: Reading{now, Good}})
			waits[w.key.object()] = -1
			read++
		}
		if err := d.Add(found...); err != nil {
			t.Fatal(err)
		}
		if err := d.Ran(Run{Kind: Check, Began: began, Ended: now, Whole: !cut}); err != nil {
			t.Fatal(err)
		}
		if cut {
			continue
		}
		runs++
		for name := range objects {
			if waits[name]++; waits[name] >= part {
				t.Fatalf("run %d: %s waited for %d runs of 1/%d", runs, name, waits[name], part)
			}
		}
	}
	t.Logf("%d objects, %d whole runs, %d readings", n, runs, read)
	if part > 1 && read > 3*rounds*n/part {
		t.Errorf("%d readings of %d objects in %d runs of 1/%d: too many", read, n, runs, part)
	}
}

// TestNewOnesKeepNoOldOneWaiting: more arrives with each run than one reads.
func TestNewOnesKeepNoOldOneWaiting(t *testing.T) {
	d := openDB(t)
	now := time.Unix(1_800_000_000, 0)
	objects := map[string]int64{named(0): 1000, named(1): 1000}
	for run := range 4 {
		q, err := d.queue(sortedObjects(objects), now)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range q[:(Share{Bytes: 1000}).take(q, nil)] {
			if err := d.Add(Found{Object: w.key.object(), Reading: Reading{now, Good}}); err != nil {
				t.Fatal(err)
			}
		}
		now = now.Add(time.Hour)
		for i := range 10 {
			objects[named(100*run+i+2)] = 1000
		}
	}
	for i := range 2 {
		if r, err := d.Of(named(i)); err != nil || len(r.Readings) == 0 {
			t.Errorf("an old object was not read in 4 runs of one object, %v", err)
		}
	}
}

func TestShare(t *testing.T) {
	q := []waiting{{size: 10, last: 1}, {size: 20, last: 1}, {size: 30, last: 2}, {size: 40, last: 3}}
	perObject := func(int64) float64 { return 0.02 }
	for _, tt := range []struct {
		s    Share
		runs []int64
		want int
	}{
		{Share{}, nil, 4},
		{Share{Part: 1}, nil, 4},
		{Share{Part: 10}, nil, 1},
		{Share{Part: 4}, nil, 2},
		{Share{Part: 4}, []int64{1, 2, 3}, 2},
		{Share{Part: 4}, []int64{2, 3, 4}, 3}, // the third waited for three runs
		{Share{Part: 4, Bytes: 45}, []int64{2, 3, 4}, 2},
		{Share{Bytes: 5}, nil, 1}, // one at least
		{Share{Bytes: 60}, nil, 3},
		{Share{Money: 0.05, Cost: perObject}, nil, 2},
		{Share{Money: 0.001, Cost: perObject}, nil, 1},
	} {
		var runs []time.Time
		for _, ms := range tt.runs {
			runs = append(runs, time.UnixMilli(ms))
		}
		if got := tt.s.take(q, runs); got != tt.want {
			t.Errorf("%+v after %v takes %d, want %d", tt.s, tt.runs, got, tt.want)
		}
	}
	if n := (Share{Part: 3}).take(nil, nil); n != 0 {
		t.Errorf("of nothing: %d", n)
	}
}

func TestRecord(t *testing.T) {
	at := func(hours int) time.Time { return time.UnixMilli(1_800_000_000_000 + int64(hours)*3_600_000) }
	r := Record{Seen: at(0)}
	for _, n := range []Reading{{at(1), Good}, {at(2), Good}, {at(3), Good}, {at(700), Good}, {at(701), Damaged}, {at(702), Good}, {at(600), Missing}} {
		r = r.with(n)
	}
	want := []Reading{{at(1), Good}, {at(3), Good}, {at(700), Good}, {at(701), Damaged}, {at(702), Good}, {at(702), Missing}}
	if diff := cmp.Diff(want, r.Readings); diff != "" {
		t.Error(diff)
	}
	back, err := decode(r.encode())
	if diff := cmp.Diff(r, back); diff != "" || err != nil {
		t.Error(diff, err)
	}
	for month := range 1000 {
		r = r.with(Reading{at(720 * (month + 1)), Good})
	}
	if size := len(r.encode()); size > 6*keptReadings {
		t.Errorf("a record of 1000 readings has %d bytes", size)
	}
	if _, err := decode([]byte{0x80}); err == nil {
		t.Error("half a number was read")
	}
}
