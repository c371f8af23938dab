package web

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/web"
)

// years is an owner of a library that grew for long, which no test has the time for.
type years struct{ control.Owner }

func (years) Status(context.Context) (control.Status, error) {
	now := time.Now()
	since, last, next := now.Add(-40*24*time.Hour), now.Add(-9*time.Hour), now.Add(11*time.Hour)
	return control.Status{
		PID: 1, SafeWord: "safe", Store: "s3://my-music/library", SafeFiles: 21_430, SafeBytes: 412e9, LabourSince: &since, AudioBytes: 410e9, AudioSafe: 410e9,
		Agent: &control.AgentStatus{Runs: true, Windows: []string{"22:00-06:00"}, LastScan: &last, Next: &next, Why: "outside its windows"},
	}, nil
}

func (years) Trends(context.Context, control.TrendsRequest, func(control.PastProgress)) (control.Trends, error) {
	var t control.Trends
	const days = 420
	for i := range days {
		share := 1 - math.Exp(-float64(i)/60)
		d := control.TrendDay{
			Day: time.Now().AddDate(0, 0, i+1-days).Format(time.DateOnly), Bytes: int64(share * 412e9), Month: share * 412 * .006,
			Added: (i * 7919) % 23, Changed: (i * 104729) % 61, Removed: (i * 31) % 9,
			Unread: int64(20000 * math.Exp(-float64(i)/40)),
		}
		d.Recent = int64(share*21000) - d.Unread/2
		d.Older = int64(share * 3000 * (1 + math.Sin(float64(i)/30)))
		if d.Recent < 0 {
			d.Recent = 0
		}
		if i > 200 && i < 230 {
			d.Damaged = 900
		}
		t.Days = append(t.Days, d)
	}
	t.Cost = &control.TrendsCost{Supplier: "Backblaze B2", Class: "standard", Currency: "USD", Date: "2026-11-01", Month: 2.47, Stored: 409e9}
	return t, nil
}

// TestPlots draws the plots of a library that grew for more than a year.
func TestPlots(t *testing.T) {
	b := open(t)
	l, err := web.Listen(t.Context(), web.Where{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := web.New(web.Options{Owner: years{}, Version: "1.0"}, l.At)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		<-served
	})
	link, _ := s.Link()
	b.visit(link)
	b.says("Everything is safe.")
	b.await("document.querySelectorAll('.plot svg').length === 4")
	for _, empty := range value[[]bool](b, "[...document.querySelectorAll('.plot svg')].map(s => s.querySelectorAll('.area').length === 0 || !s.getAttribute('aria-label'))") {
		if empty {
			t.Error("a plot is empty, or says nothing")
		}
	}
	b.look("safe-years")
}
