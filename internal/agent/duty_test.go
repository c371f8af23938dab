package agent

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// duty is one that takes a while, and notes when it begins and ends.
func (r *rig) duty(name string, every, takes time.Duration) Duty {
	return Duty{Name: name, Every: every, Do: func(ctx context.Context) error {
		r.note("%s", name)
		select {
		case <-ctx.Done():
			r.note("%s-cut", name)
			return ctx.Err()
		case <-time.After(takes):
		}
		r.note("%s-done", name)
		var err error
		r.set(func() { err = r.fail })
		return err
	}}
}

// TestDuties: each is done in its time, after the backup, one at a time, in the
// windows alone; one that is cut short or fails is done again; a restart changes
// nothing.
func TestDuties(t *testing.T) {
	file := stateFile(t)
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.set(func() { r.takes = time.Minute })
		r.duties = []Duty{r.duty("check", 20*time.Hour, 30*time.Minute), r.duty("prune", 7*24*time.Hour, time.Minute)}
		s := Settings{Windows: window(t, 3*time.Hour, 2*time.Hour), ScanEvery: 24 * time.Hour}
		_, stop := r.runs(t, s, file)
		time.Sleep(150 * time.Minute)
		expect(t, r, "by day", "hold(2s)")
		time.Sleep(150 * time.Minute)
		expect(t, r, "in the first window", "release scan[] check check-done prune prune-done hold(10m0s)")
		time.Sleep(24 * time.Hour)
		expect(t, r, "in the next", "release scan[] check check-done hold(10m0s)")
		stop()

		r.set(func() { r.takes = 100 * time.Minute }) // the scan leaves little time
		_, stop = r.runs(t, s, file)
		time.Sleep(24 * time.Hour)
		expect(t, r, "behind a long scan", "hold(2s) release scan[] check hold(10m0s) check-cut")
		r.set(func() { r.takes = time.Minute })
		time.Sleep(24 * time.Hour)
		expect(t, r, "after that", "release scan[] check check-done hold(10m0s)")

		r.set(func() { r.look.Safe = false })
		time.Sleep(3 * 24 * time.Hour)
		expect(t, r, "while not all is safe", "release scan[] hold(10m0s) release scan[] hold(10m0s) release scan[] hold(10m0s)")
		stop()
	})
}

// TestDutyDespiteAll: what is never safe keeps a duty waiting for a week, not for
// ever, and one that fails is tried again in an hour.
func TestDutyDespiteAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.look.Safe = false
		r.duties = []Duty{r.duty("check", 20*time.Hour, 0)}
		a, stop := r.runs(t, Settings{}, stateFile(t))
		time.Sleep(7 * 24 * time.Hour)
		expect(t, r, "for a week", "release")
		time.Sleep(2 * time.Hour)
		expect(t, r, "after it", "check check-done")
		r.set(func() { r.look.Safe = true; r.fail = errors.New("away") })
		time.Sleep(22*time.Hour + 30*time.Minute)
		if got := a.Status().State.Duties["check"].Text; got != "away" {
			t.Errorf("it failed for %q", got)
		}
		expect(t, r, "failing", "check check-done check check-done check check-done check check-done")
		stop()
	})
}

// TestDutyThatRemoves: what deletes is not begun while something is held that looks like a
// disaster, keeps to the windows, and is taken up in the next when the end of one cut it short.
func TestDutyThatRemoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.look.Held = true
		prune := r.duty("prune", 7*24*time.Hour, 3*time.Hour) // more than a window
		prune.Removes = true
		r.duties = []Duty{r.duty("check", 20*time.Hour, time.Minute), prune}
		_, stop := r.runs(t, Settings{Windows: window(t, 3*time.Hour, 2*time.Hour)}, stateFile(t))
		time.Sleep(29 * time.Hour) // the second window has closed
		expect(t, r, "while changes are held", "hold(2s) release check check-done hold(10m0s) release check check-done hold(10m0s)")
		r.set(func() { r.look.Held = false })
		time.Sleep(24 * time.Hour)
		expect(t, r, "once they are decided", "release prune hold(10m0s) prune-cut")
		r.set(func() { r.look.Held = true })
		time.Sleep(24 * time.Hour)
		expect(t, r, "cut short, and something is held again", "release check check-done hold(10m0s)")
		r.set(func() { r.look.Held = false })
		time.Sleep(24 * time.Hour)
		expect(t, r, "and decided", "release prune hold(10m0s) prune-cut")
		stop()
	})
}
