package schedule

import (
	"fmt"
	"strings"
	"time"
)

// Minutes of a day and a week.
const (
	day  = 24 * 60
	week = 7 * day
)

// Days are days of the week, a bit each, Sunday the lowest.
type Days uint8

const everyDay Days = 1<<7 - 1

func (d Days) has(w time.Weekday) bool { return d&(1<<w) != 0 }

// Window is a span of each of some days. One that ends at or before the time at
// which it begins ends on the next day.
type Window struct {
	Days     Days // on which it begins
	From, To int  // minutes after midnight; To may be 1,440
}

// Windows are open where any of them is; without any, always.
type Windows []Window

// Parse reads "22:00-06:00", "mon-fri 22:00-06:00" or "sat,sun 00:00-24:00".
func Parse(text string) (Window, error) {
	w := Window{Days: everyDay}
	fields := strings.Fields(strings.ToLower(text))
	var err error
	switch len(fields) {
	case 2:
		if w.Days, err = parseDays(fields[0]); err != nil {
			return Window{}, fmt.Errorf("%q: %w", text, err)
		}
	case 1:
	default:
		return Window{}, fmt.Errorf("%q is no window; write it as 22:00-06:00, or mon-fri 22:00-06:00", text)
	}
	from, to, ok := strings.Cut(fields[len(fields)-1], "-")
	if !ok {
		return Window{}, fmt.Errorf("%q is no window; write it as 22:00-06:00", text)
	}
	if w.From, err = parseClock(from); err == nil {
		w.To, err = parseClock(to)
	}
	switch {
	case err != nil:
		return Window{}, fmt.Errorf("%q: %w", text, err)
	case w.From == w.To || w.From == day:
		return Window{}, fmt.Errorf("%q is no window: the whole day is 00:00-24:00", text)
	}
	return w, nil
}

// ParseAll reads some windows.
func ParseAll(texts []string) (Windows, error) {
	var all Windows
	for _, text := range texts {
		w, err := Parse(text)
		if err != nil {
			return nil, err
		}
		all = append(all, w)
	}
	return all, nil
}

func parseClock(text string) (int, error) {
	var h, m int
	if n, err := fmt.Sscanf(text, "%2d:%2d", &h, &m); err != nil || n != 2 || len(text) != len("22:00") && len(text) != len("6:00") {
		return 0, fmt.Errorf("%q is no time of day; write it as 22:00", text)
	}
	if h < 0 || m < 0 || m > 59 || h*60+m > day {
		return 0, fmt.Errorf("%q is no time of day", text)
	}
	return h*60 + m, nil
}

// parseDays reads "mon-fri", "sat,sun", "fri-mon,wed".
func parseDays(text string) (Days, error) {
	var d Days
	for part := range strings.SplitSeq(text, ",") {
		first, last, span := strings.Cut(part, "-")
		from, ok := parseDay(first)
		to := from
		if ok && span {
			to, ok = parseDay(last)
		}
		if !ok {
			return 0, fmt.Errorf("%q names no days; write them as mon-fri or sat,sun", part)
		}
		for w := from; ; w = (w + 1) % 7 {
			d |= 1 << w
			if w == to {
				break
			}
		}
	}
	return d, nil
}

// shortest is how many letters of a day's name tell it.
const shortest = 3

func parseDay(text string) (time.Weekday, bool) {
	for w := time.Sunday; w <= time.Saturday; w++ {
		if len(text) >= shortest && strings.HasPrefix(strings.ToLower(w.String()), text) {
			return w, true
		}
	}
	return 0, false
}

// String is how Parse reads it.
func (w Window) String() string {
	span := fmt.Sprintf("%02d:%02d-%02d:%02d", w.From/60, w.From%60, w.To/60, w.To%60)
	if w.Days == everyDay {
		return span
	}
	return w.Days.String() + " " + span
}

// String is how Parse reads it.
func (d Days) String() string {
	var parts []string
	for i := range 7 {
		from := (time.Monday + time.Weekday(i)) % 7
		if !d.has(from) || i > 0 && d.has((from+6)%7) {
			continue // or it is told with the day before
		}
		to := from
		for to != time.Sunday && d.has((to+1)%7) {
			to = (to + 1) % 7
		}
		switch to {
		case from:
			parts = append(parts, name(from))
		default:
			parts = append(parts, name(from)+"-"+name(to))
		}
	}
	return strings.Join(parts, ",")
}

func name(w time.Weekday) string { return strings.ToLower(w.String()[:shortest]) }

// String joins them for people.
func (ws Windows) String() string {
	var texts []string
	for _, w := range ws {
		texts = append(texts, w.String())
	}
	return strings.Join(texts, ", ")
}

// openAt tells of a minute of the week, from Sunday's midnight.
func (w Window) openAt(minute int) bool {
	today, at := time.Weekday(minute/day), minute%day
	if w.From < w.To {
		return w.Days.has(today) && w.From <= at && at < w.To
	}
	return w.Days.has(today) && at >= w.From || w.Days.has((today+6)%7) && at < w.To
}

func (ws Windows) openAt(minute int) bool {
	for _, w := range ws {
		if w.openAt(minute) {
			return true
		}
	}
	return len(ws) == 0
}

// HoursPerDay is how long it is open, on the average of a week.
func (ws Windows) HoursPerDay() float64 {
	open := 0
	for minute := range week {
		if ws.openAt(minute) {
			open++
		}
	}
	return float64(open) / 60 / 7
}

// Open tells whether it is open at t.
func (ws Windows) Open(t time.Time) bool {
	return ws.openAt(int(t.Weekday())*day + t.Hour()*60 + t.Minute())
}

// horizon is how far ahead a change is looked for: a window of one day in the
// week may fall into a skipped hour.
const horizon = 15 * 24 * time.Hour

// Next is when, after t, it opens or closes; zero if it does neither.
func (ws Windows) Next(t time.Time) time.Time {
	if len(ws) == 0 {
		return time.Time{}
	}
	open, end := ws.Open(t), t.Add(horizon)
	for at := t; at.Before(end); {
		_, zoneEnd := at.ZoneBounds()
		if zoneEnd.IsZero() || zoneEnd.After(end) {
			zoneEnd = end
		}
		if next := ws.nextIn(at, zoneEnd, open); !next.IsZero() {
			return next
		}
		if at = zoneEnd.In(t.Location()); at.Before(end) && ws.Open(at) != open {
			return at
		}
	}
	return time.Time{}
}

// nextIn finds the change after t and before end, between which the clock is
// not moved.
func (ws Windows) nextIn(t, end time.Time, open bool) time.Time {
	into := time.Duration(t.Second())*time.Second + time.Duration(t.Nanosecond())
	minute := int(t.Weekday())*day + t.Hour()*60 + t.Minute()
	for at := t.Add(time.Minute - into); at.Before(end); at = at.Add(time.Minute) {
		minute = (minute + 1) % week
		if ws.openAt(minute) != open {
			return at
		}
	}
	return time.Time{}
}
