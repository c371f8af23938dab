package web

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/control"
)

// pastOwner has moments, each of which changed a file that is named after the one before it.
type pastOwner struct {
	control.Owner
	moments []control.Snapshot
	hold    map[time.Time]chan struct{} // a diff up to then waits for it
	begun   chan struct{}
}

func (o *pastOwner) Snapshots(context.Context, control.SnapshotsRequest, func(control.PastProgress)) (control.SnapshotsReport, error) {
	return control.SnapshotsReport{Snapshots: o.moments}, nil
}

func (o *pastOwner) Diff(ctx context.Context, r control.DiffRequest, _ func(control.PastProgress)) (control.DiffReport, error) {
	if hold := o.hold[r.To]; hold != nil {
		o.begun <- struct{}{}
		select {
		case <-hold:
		case <-ctx.Done():
			return control.DiffReport{}, ctx.Err()
		}
	}
	since := "the beginning"
	if !r.From.IsZero() {
		since = "the " + r.From.Format("2 January")
	}
	return control.DiffReport{Changes: []control.DiffChange{{What: control.DiffAdded, Path: []byte("/since " + since + "/a")}}}, nil
}

// pastOf serves a past with a moment at noon of each of those days of November.
func pastOf(t *testing.T, days ...int) (*browser, *pastOwner) {
	t.Helper()
	s, _ := serve(t, Options{})
	o := &pastOwner{begun: make(chan struct{}, 1)}
	for _, d := range days {
		o.moments = append(o.moments, momentAt(d))
	}
	s.Owner = o
	return enter(t, s), o
}

func momentAt(day int) control.Snapshot {
	at := time.Date(2026, 11, day, 12, 0, 0, 0, time.Local)
	return control.Snapshot{Name: at.UTC().Format("2006-01-02T15-04-05Z"), Time: at, Added: 1}
}

// TestNightAfterPrune: what a night changed is told anew when a prune took away the one
// before it, also if another came in the meantime.
func TestNightAfterPrune(t *testing.T) {
	b, o := pastOf(t, 3, 4, 5)
	if got := b.get("/time/2026-11-05").text; !strings.Contains(got, "since the 4 November") {
		t.Fatalf("the page of the 5th does not tell of the change since the 4th:\n%s", got)
	}
	o.moments = []control.Snapshot{momentAt(3), momentAt(5), momentAt(6)}
	if got := b.get("/time/2026-11-05").text; !strings.Contains(got, "since the 3 November") || !strings.Contains(got, "/time/2026-11-06") {
		t.Errorf("the page of the 5th tells what it told before the prune:\n%s", got)
	}
}

// TestSlowNight: while what one night changed is looked for, the others are shown, and
// who wants the same waits for no second search.
func TestSlowNight(t *testing.T) {
	b, o := pastOf(t, 3, 4, 5)
	slow := make(chan struct{})
	o.hold = map[time.Time]chan struct{}{momentAt(5).Time: slow}
	answers := make(chan answer, 2)
	ask := func() { answers <- b.get("/time/2026-11-05") }
	go ask()
	<-o.begun
	go ask()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(b.s.URL(), "/")+"/time/2026-11-04", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := b.http.Do(r); err != nil {
		t.Errorf("another night waits for the slow one: %v", err)
	} else if got.Body.Close(); got.StatusCode != http.StatusOK {
		t.Errorf("another night: %s", got.Status)
	}
	close(slow)
	for range 2 {
		if got := <-answers; !strings.Contains(got.text, "since the 4 November") {
			t.Errorf("the slow night is told as:\n%s", got.text)
		}
	}
	if n := len(o.begun); n > 0 {
		t.Error("the same night was looked for twice")
	}
}
