package schedule

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var zones = []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kathmandu"}

func in(t interface{ Fatal(...any) }, zone string) *time.Location {
	l, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func windows(t interface{ Fatal(...any) }, texts ...string) Windows {
	w, err := ParseAll(texts)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// TestClockChanges steps over the nights on which clocks change. What is
// expected is written in UTC, as the wall tells less.
func TestClockChanges(t *testing.T) {
	for _, test := range []struct {
		name, zone, window string
		from               string   // UTC
		changes            []string // UTC
	}{
		{
			"a night of 7 hours", "Europe/Berlin", "22:00-06:00",
			"2026-03-28T12:00Z", []string{"2026-03-28T21:00Z", "2026-03-29T04:00Z"},
		},
		{
			"a night of 9 hours", "Europe/Berlin", "22:00-06:00",
			"2026-10-24T12:00Z", []string{"2026-10-24T20:00Z", "2026-10-25T05:00Z"},
		},
		{
			"begins in the skipped hour", "Europe/Berlin", "02:30-05:00",
			"2026-03-28T12:00Z", []string{"2026-03-29T01:00Z", "2026-03-29T03:00Z"},
		},
		{
			"ends in the skipped hour", "Europe/Berlin", "01:00-02:30",
			"2026-03-28T12:00Z", []string{"2026-03-29T00:00Z", "2026-03-29T01:00Z"},
		},
		{
			"lies in the skipped hour", "Europe/Berlin", "02:10-02:50",
			"2026-03-28T12:00Z", []string{"2026-03-30T00:10Z", "2026-03-30T00:50Z"},
		},
		{
			"lies in the skipped hour, once a week", "Europe/Berlin", "sun 02:10-02:50",
			"2026-03-28T12:00Z", []string{"2026-04-05T00:10Z", "2026-04-05T00:50Z"},
		},
		{
			"lies in the doubled hour", "Europe/Berlin", "02:10-02:50",
			"2026-10-24T12:00Z", []string{"2026-10-25T00:10Z", "2026-10-25T00:50Z", "2026-10-25T01:10Z", "2026-10-25T01:50Z"},
		},
		{
			"begins in the doubled hour", "Europe/Berlin", "02:30-05:00",
			"2026-10-24T12:00Z", []string{"2026-10-25T00:30Z", "2026-10-25T01:00Z", "2026-10-25T01:30Z", "2026-10-25T04:00Z"},
		},
		{
			"an end that comes twice", "America/New_York", "22:00-01:30",
			"2026-10-31T12:00Z", []string{"2026-11-01T02:00Z", "2026-11-01T05:30Z", "2026-11-01T06:00Z", "2026-11-01T06:30Z"},
		},
		{
			"begins in the skipped hour", "America/New_York", "02:00-07:00",
			"2026-03-07T18:00Z", []string{"2026-03-08T07:00Z", "2026-03-08T11:00Z"},
		},
		{
			"half an hour skipped", "Australia/Lord_Howe", "02:15-03:00",
			"2026-10-03T03:00Z", []string{"2026-10-03T15:30Z", "2026-10-03T16:00Z"},
		},
		{
			"half an hour doubled", "Australia/Lord_Howe", "01:45-03:00",
			"2026-04-04T03:00Z", []string{"2026-04-04T14:45Z", "2026-04-04T15:00Z", "2026-04-04T15:15Z", "2026-04-04T16:30Z"},
		},
		{
			"over midnight on some days", "UTC", "mon-fri 22:00-06:00",
			"2026-11-20T12:00Z", []string{"2026-11-20T22:00Z", "2026-11-21T06:00Z", "2026-11-23T22:00Z"},
		},
		{
			"whole days", "UTC", "sat,sun 00:00-24:00",
			"2026-11-20T12:00Z", []string{"2026-11-21T00:00Z", "2026-11-23T00:00Z"},
		},
	} {
		t.Run(test.zone+"/"+test.name, func(t *testing.T) {
			ws, at := windows(t, test.window), stamp(t, test.from).In(in(t, test.zone))
			open := ws.Open(at)
			for _, want := range test.changes {
				next := ws.Next(at)
				if !next.Equal(stamp(t, want)) {
					t.Fatalf("after %v comes %v, want %s", at, next, want)
				}
				if at, open = next, !open; ws.Open(at) != open {
					t.Fatalf("open at %v is %t", at, !open)
				}
			}
		})
	}
}

func stamp(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02T15:04Z07:00", text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// wall is the plainest model: every minute of the week, written out.
type wall [7][24][60]bool

func model(ws Windows) (m wall) {
	for _, w := range ws {
		for first := range 7 {
			if w.Days&(1<<first) == 0 {
				continue
			}
			end := w.To
			if end <= w.From {
				end += 24 * 60
			}
			for minute := w.From; minute < end; minute++ {
				m[(first+minute/(24*60))%7][minute/60%24][minute%60] = true
			}
		}
	}
	return m
}

func (m *wall) open(t time.Time) bool { return m[t.Weekday()][t.Hour()][t.Minute()] }

func TestAgainstTheWall(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := in(t, rapid.SampledFrom(zones).Draw(t, "zone"))
		ws := rapid.SliceOfN(rapid.Custom(drawWindow), 1, 3).Draw(t, "windows")
		m := model(ws)
		at := time.Unix(rapid.Int64Range(1767225600, 1798761600).Draw(t, "in 2026"), 0).In(l)
		if rapid.Bool().Draw(t, "near a change of the clock") {
			if _, end := at.ZoneBounds(); !end.IsZero() {
				at = end.Add(time.Duration(rapid.IntRange(-48*60, 48*60).Draw(t, "minutes")) * time.Minute).In(l)
			}
		}
		if Windows(ws).Open(at) != m.open(at) {
			t.Fatalf("open at %v: %t", at, !m.open(at))
		}
		next := Windows(ws).Next(at)
		end := next
		if next.IsZero() {
			end = at.Add(14 * 24 * time.Hour)
		}
		for c := at.Truncate(time.Minute).Add(time.Minute); c.Before(end); c = c.Add(time.Minute) {
			if m.open(c) != m.open(at) {
				t.Fatalf("after %v it changes at %v and not at %v", at, c, next)
			}
		}
		if !next.IsZero() && m.open(next) == m.open(at) {
			t.Fatalf("after %v nothing changes at %v", at, next)
		}
	})
}

func drawWindow(t *rapid.T) Window {
	w := Window{
		Days: Days(rapid.IntRange(1, 127).Draw(t, "days")),
		From: rapid.IntRange(0, day-1).Draw(t, "from"),
		To:   rapid.IntRange(0, day).Draw(t, "to"),
	}
	if w.From == w.To {
		w.To++
	}
	return w
}

func TestTextOfWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWindow(t)
		got, err := Parse(w.String())
		if err != nil || got != w {
			t.Fatalf("%+v is written %q and read %+v, %v", w, w, got, err)
		}
	})
	for text, want := range map[string]string{
		"22:00-06:00":             "22:00-06:00",
		"MON-FRI 6:00-7:30":       "mon-fri 06:00-07:30",
		"fri-mon 22:00-24:00":     "mon,fri-sun 22:00-24:00",
		"sunday,sat  00:00-24:00": "sat-sun 00:00-24:00",
	} {
		if w := windows(t, text); w.String() != want {
			t.Errorf("%q is read %q, want %q", text, w, want)
		}
	}
	for _, text := range []string{"", "22:00", "22:00-22:00", "24:00-01:00", "25:00-01:00", "22:60-06:00", "-1:00-02:00", "1-2", "xyz 01:00-02:00", "mo 01:00-02:00", "mon fri 01:00-02:00", "010:00-11:00"} {
		if w, err := Parse(text); err == nil {
			t.Errorf("%q is read %v", text, w)
		}
	}
}

func TestHoursPerDay(t *testing.T) {
	for want, texts := range map[float64][]string{
		24:                     nil,
		8:                      {"22:00-06:00"},
		9:                      {"22:00-06:00", "05:00-07:00"},
		(5*8 + 2*24) / 7.0:     {"mon-fri 00:00-08:00", "sat,sun 00:00-24:00"},
		(5*8 + 2*24 - 6) / 7.0: {"mon-fri 22:00-06:00", "sat,sun 00:00-24:00"},
	} {
		if got := windows(t, texts...).HoursPerDay(); got-want > 1e-9 || want-got > 1e-9 {
			t.Errorf("%q: %v hours a day, want %v", texts, got, want)
		}
	}
}

func TestAlwaysOpen(t *testing.T) {
	now := time.Date(2026, 3, 29, 0, 30, 0, 0, in(t, "Europe/Berlin"))
	for _, ws := range []Windows{nil, windows(t, "00:00-24:00"), windows(t, "12:00-24:00", "00:00-12:00")} {
		if next := ws.Next(now); !ws.Open(now) || !next.IsZero() {
			t.Errorf("%q: open %t, until %v", ws, ws.Open(now), next)
		}
	}
}

func TestRates(t *testing.T) {
	for text, want := range map[string]Rates{
		"0":                     {},
		"2MB/s":                 {Inside: 2e6},
		"300 kB/s":              {Inside: 300e3},
		"16Mbit/s":              {Inside: 2e6},
		"1MiB":                  {Inside: 1 << 20},
		"2MB/s,outside 100kB/s": {Inside: 2e6, Outside: 100e3, HasOutside: true},
		"0, outside 36000":      {Outside: 36000, HasOutside: true},
		"100kB/s,outside 0":     {Inside: 100e3, HasOutside: true},
	} {
		if got, err := ParseRates(text); err != nil || got != want {
			t.Errorf("%q is read %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "fast", "2MB/h", "2MB/s,1MB/s", "2MB/s,outside", "-1", "2MB/s,outside x"} {
		if got, err := ParseRates(text); err == nil {
			t.Errorf("%q is read %+v", text, got)
		}
	}
}
