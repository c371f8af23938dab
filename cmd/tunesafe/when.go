package main

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/tunesafe/tunesafe/fs"
)

// timeForms are how people write a time of their own clock.
var timeForms = []string{
	"2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02T15:04",
}

// ago is a time that has gone by: "90m", "36h", "3d", "2w", each with "ago" or without.
var ago = regexp.MustCompile(`^([0-9]{1,6}) ?(s|m|min|h|hours?|d|days?|w|weeks?)( ago)?$`)

var units = map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}

// timesHelp says what parseTime reads.
const timesHelp = `A time is one of this computer's clock, as "2026-11-21 18:30", 2026-11-21, 18:30 of today, yesterday, 3d or
"2 hours ago"; or a snapshot's name, as 2026-11-21T183000Z, or RFC 3339; or now.`

// parseWhen reads a time from which on something counts.
func parseWhen(text string, now time.Time) (time.Time, error) { return parseTime(text, now, true) }

// parseBefore reads the time of a state: what came later is to be undone. A snapshot's name is that
// snapshot, with all of its second.
func parseBefore(text string, now time.Time) (time.Time, error) {
	_, err := time.Parse(fs.SnapshotName, strings.TrimSpace(text))
	return parseTime(text, now, err != nil)
}

// parseTime reads a moment. Of a second all of it counts, as a snapshot's name says no
// more; a day is its end, or its beginning where one counts from it.
func parseTime(text string, now time.Time, since bool) (time.Time, error) {
	text = strings.TrimSpace(text)
	local := now.Location()
	day := func(t time.Time) time.Time {
		t = time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, local)
		if !since {
			t = t.AddDate(0, 0, 1).Add(-time.Millisecond)
		}
		return t
	}
	second := func(t time.Time) time.Time {
		if since {
			return t
		}
		return t.Add(time.Second - time.Millisecond)
	}
	switch text {
	case "now":
		return now, nil
	case "today":
		return day(now), nil
	case "yesterday":
		return day(now.AddDate(0, 0, -1)), nil
	}
	if t, err := time.Parse(fs.SnapshotName, text); err == nil {
		return second(t), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		if t.Nanosecond() == 0 {
			t = second(t)
		}
		return t, nil
	}
	if m := ago.FindStringSubmatch(text); m != nil {
		n, _ := strconv.Atoi(m[1])
		return now.Add(-time.Duration(n) * units[m[2][0]]), nil
	}
	clock := strings.Replace(text, "yesterday", now.AddDate(0, 0, -1).Format(time.DateOnly), 1)
	clock = strings.Replace(clock, "today", now.Format(time.DateOnly), 1)
	for _, form := range timeForms {
		if t, err := time.ParseInLocation(form, clock, local); err == nil {
			return second(t), nil
		}
	}
	if t, err := time.ParseInLocation(time.DateOnly, text, local); err == nil {
		return day(t), nil
	}
	for _, form := range []string{"15:04", "15:04:05"} {
		if t, err := time.ParseInLocation(time.DateOnly+" "+form, now.Format(time.DateOnly)+" "+text, local); err == nil {
			return second(t), nil
		}
	}
	return time.Time{}, misuse("%q is no time; write it as \"2006-01-02 15:04\", 2006-01-02, yesterday, 3d, or a snapshot's name", text)
}
