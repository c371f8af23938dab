package history

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/repo"
)

// TestPassesOverLost: commits of which the log says that they are lost are passed over, in
// a history made anew and in one that had some of them, and it is known from when to when
// the past may lack something.
func TestPassesOverLost(t *testing.T) {
	b := newBucket(t)
	minute := func(i int) time.Time { return noon.Add(time.Duration(i) * time.Minute) }
	for i := range 12 {
		b.commit(i%2, minute(i), fmt.Sprint(i%3), uint64(7+i%5))
	}
	had := open1(t, filepath.Join(t.TempDir(), "had.db"))
	if err := had.Add(b.all[:7]...); err != nil {
		t.Fatal(err)
	}
	lost := []*repo.Commit{b.all[4], b.all[6], b.all[11]} // commits 3 and 4 of the first, 6 of the second
	var names []string
	var rest []*repo.Commit
	for _, c := range b.all {
		if !slices.Contains(lost, c) {
			rest = append(rest, c)
			continue
		}
		names = append(names, c.Name)
		if err := b.st.Delete(t.Context(), c.Name); err != nil {
			t.Fatal(err)
		}
	}
	anew := open1(t, filepath.Join(t.TempDir(), "anew.db"))
	if err := anew.CatchUp(t.Context(), b.st, b.k, b.certs, nil); !errors.Is(err, repo.ErrChain) {
		t.Fatal("what nobody calls lost:", err)
	}
	rest = append(rest, b.publish(0, &repo.Commit{Kind: repo.Changes, Time: minute(20), Lost: names}), b.commit(1, minute(21), "2", 9))
	b.catchUp(anew)
	b.catchUp(had)
	comparePast(t, anew, rest, RevOf(rest[len(rest)-1]))
	comparePast(t, anew, rest, RevOf(b.all[7]))
	comparePast(t, had, append(slices.Clone(rest), b.all[4], b.all[6]), Newest)

	devices := []string{b.devs[0].ID, b.devs[1].ID}
	want := []Gap{{devices[0], 3, 4, minute(2), time.Time{}}, {devices[1], 6, 6, minute(9), time.Time{}}}
	check := func(d *DB, want ...Gap) {
		t.Helper()
		got, err := d.Gaps()
		slices.SortFunc(got, func(a, b Gap) int { return int(a.First) - int(b.First) })
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("gaps %+v, %v; want %+v", got, err, want)
		}
	}
	check(anew, want...)
	check(had, want[1])
	end := &repo.Commit{Kind: repo.CheckpointCommit, Time: minute(30), Heads: map[string]repo.Head{devices[1]: b.heads[devices[1]]}}
	b.publish(0, end)
	b.commit(0, minute(31), "1", 8)
	b.catchUp(anew)
	want[0].Until, want[1].Until = minute(30), minute(30)
	check(anew, want...)
	for i, n := range map[int]int{1: 0, 2: 0, 3: 1, 9: 1, 10: 2, 29: 2, 30: 0, 31: 0} {
		if at, err := anew.GapsAt(minute(i)); err != nil || len(at) != n {
			t.Errorf("minute %d: %+v, %v", i, at, err)
		}
	}
}
