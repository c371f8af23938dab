package main

import (
	"testing"
	"time"
)

func TestParseWhen(t *testing.T) {
	t.Setenv("TZ", "Europe/Berlin")
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	old := time.Local
	time.Local = berlin
	defer func() { time.Local = old }()
	now := time.Date(2026, 11, 21, 18, 30, 0, 0, berlin)
	for text, want := range map[string]string{
		"2026-11-20":           "2026-11-19T23:00:00Z",
		"2026-11-20 18:30":     "2026-11-20T17:30:00Z",
		"2026-07-20 18:30:05":  "2026-07-20T16:30:05Z", // in summer
		"2026-11-20T18:30":     "2026-11-20T17:30:00Z",
		"2026-11-20T18:30:05Z": "2026-11-20T18:30:05Z",
		"2026-11-20T183005Z":   "2026-11-20T18:30:05Z",
		"90m":                  "2026-11-21T16:00:00Z",
		"7d":                   "2026-11-14T17:30:00Z",
		"2w":                   "2026-11-07T17:30:00Z",
	} {
		got, err := parseWhen(text, now)
		if err != nil || got.UTC().Format(time.RFC3339) != want {
			t.Errorf("%s: %v, %v; want %s", text, got.UTC(), err, want)
		}
	}
	for _, bad := range []string{"", "noon", "2026-13-01", "-3h", "-3d", "d", "2026"} {
		if got, err := parseWhen(bad, now); err == nil {
			t.Errorf("%q is %v", bad, got)
		}
	}
}

func TestParseTime(t *testing.T) {
	zone := time.FixedZone("", 3600)
	now := time.Date(2026, 11, 22, 7, 30, 0, 0, zone)
	for _, c := range []struct {
		text  string
		since bool
		want  string // UTC
	}{
		{"now", false, "2026-11-22T06:30:00.000Z"},
		{"2026-11-21T183000Z", false, "2026-11-21T18:30:00.999Z"}, // a snapshot's name is UTC
		{"2026-11-21 18:30", false, "2026-11-21T17:30:00.999Z"},
		{" 2026-11-21T18:30:05 ", false, "2026-11-21T17:30:05.999Z"},
		{"2026-11-21T18:30:05Z", false, "2026-11-21T18:30:05.999Z"},
		{"2026-11-21T18:30:05.25+02:00", false, "2026-11-21T16:30:05.250Z"},
		{"2026-11-21", false, "2026-11-21T22:59:59.999Z"}, // the end of the day
		{"2026-11-21", true, "2026-11-20T23:00:00.000Z"},  // since its beginning
		{"yesterday", true, "2026-11-20T23:00:00.000Z"},
		{"yesterday 18:30", false, "2026-11-21T17:30:00.999Z"},
		{"today", true, "2026-11-21T23:00:00.000Z"},
		{"06:05", false, "2026-11-22T05:05:00.999Z"},
		{"3d", false, "2026-11-19T06:30:00.000Z"},
		{"2 hours ago", false, "2026-11-22T04:30:00.000Z"},
		{"90min", false, "2026-11-22T05:00:00.000Z"},
	} {
		got, err := parseTime(c.text, now, c.since)
		if err != nil || got.UTC().Format("2006-01-02T15:04:05.000Z") != c.want {
			t.Errorf("%q (since %v) is %v, %v, want %s", c.text, c.since, got.UTC(), err, c.want)
		}
	}
	for text, want := range map[string]string{"2026-11-21T183000Z": "18:30:00.999", "2026-11-21T18:30:00Z": "18:30:00.000", "2026-11-21": "23:00:00.000"} {
		if got, err := parseBefore(text, now); err != nil || got.UTC().Format("15:04:05.000") != want {
			t.Errorf("before %q is %v, %v, want %s", text, got.UTC(), err, want)
		}
	}
	for _, text := range []string{"", "then", "2026-13-01", "5 moons", "25:00"} {
		if got, err := parseTime(text, now, false); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}
