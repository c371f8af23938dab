package main

import (
	"strconv"
	"strings"
	"time"
)

// whenForms are the ways to write a moment, in local time unless it says otherwise.
var whenForms = []string{
	time.RFC3339, "2006-01-02T150405Z", "2006-01-02T15:04:05", "2006-01-02T15:04",
	time.DateTime, "2006-01-02 15:04", time.DateOnly,
}

// parseWhen reads a moment: a day, a time, or how long ago: 90m, 12h, 7d, 2w.
func parseWhen(text string, now time.Time) (time.Time, error) {
	text = strings.TrimSpace(text)
	for _, form := range whenForms {
		zone := time.Local
		if form == "2006-01-02T150405Z" { // the name of a snapshot
			zone = time.UTC
		}
		if t, err := time.ParseInLocation(form, text, zone); err == nil {
			return t, nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for unit, days := range map[string]int{"d": 1, "w": 7} {
		if number, ok := strings.CutSuffix(text, unit); ok {
			if n, err := strconv.Atoi(number); err == nil && n >= 0 && n < 100_000 {
				return now.AddDate(0, 0, -n*days), nil
			}
		}
	}
	return time.Time{}, misuse("%q is no time; write it as 2026-11-21, \"2026-11-21 18:30\", 12h or 7d", text)
}
