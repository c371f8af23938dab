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
