package main

import (
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/health"
)

// TestCalendar: each day once, also those on which clocks change, and each object in
// one state a day.
func TestCalendar(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("needs the time zones of the system (Debian: apt install tzdata): ", err)
	}
	defer func(was *time.Location) { time.Local = was }(time.Local)
	time.Local = zone
	day := func(m time.Month, d, hour int) time.Time { return time.Date(2026, m, d, hour, 30, 0, 0, zone) }
	c := newCalendar(day(3, 1, 23), day(12, 31, 0))
	if len(c.days) != 306 || c.days[0].Day != "2026-03-01" || c.days[305].Day != "2026-12-31" {
		t.Fatalf("%d days, %s to %s", len(c.days), c.days[0].Day, c.days[len(c.days)-1].Day)
	}
	for at := day(3, 1, 0); at.Before(day(12, 31, 23)); at = at.Add(30 * time.Minute) {
		if got := c.days[c.at(at)].Day; got != at.Format(time.DateOnly) {
			t.Fatalf("%v is on %s", at, got)
		}
	}
	if c.at(day(1, 1, 0)) != 0 || c.at(day(12, 31, 23).AddDate(1, 0, 0)) != 305 {
		t.Error("what is outside is not at the ends")
	}
	c.addRecord(health.Record{Seen: day(3, 5, 1), Readings: []health.Reading{
		{Time: day(3, 10, 2), Result: health.Good}, {Time: day(5, 20, 2), Result: health.Good}, {Time: day(6, 1, 2), Result: health.Damaged}, {Time: day(6, 3, 2), Result: health.Good},
	}})
	c.sum()
	for _, w := range []struct {
		from, to string
		state    string
	}{
		{"2026-03-01", "2026-03-05", ""}, {"2026-03-05", "2026-03-10", "unread"}, {"2026-03-10", "2026-04-09", "recent"}, {"2026-04-09", "2026-05-20", "older"},
		{"2026-05-20", "2026-06-01", "recent"}, {"2026-06-01", "2026-06-03", "damaged"}, {"2026-06-03", "2026-07-03", "recent"}, {"2026-07-03", "2027-01-01", "older"},
	} {
		for _, d := range c.days {
			if d.Day < w.from || d.Day >= w.to {
				continue
			}
			got := map[[4]int64]string{{}: "", {1}: "unread", {0, 1}: "recent", {0, 0, 1}: "older", {0, 0, 0, 1}: "damaged"}[[4]int64{d.Unread, d.Recent, d.Older, d.Damaged}]
			if got != w.state {
				t.Fatalf("%s: %q, want %q", d.Day, got, w.state)
			}
		}
	}
}
