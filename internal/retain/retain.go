// Package retain chooses which moments of the past are kept, by the rules that
// restic's forget made common: the last so many, one an hour, a day, a week, a month, a
// year, and all within a time.
//
// It is pure: times in, choice out.
package retain

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Rules say what is kept. Each keeps what it chooses, whatever the others do; with none
// ([Rules.None]) everything is. A count of All is without end.
type Rules struct {
	Last    int    `toml:"last,omitempty" json:"last,omitempty"`       // the newest so many
	Hourly  int    `toml:"hourly,omitempty" json:"hourly,omitempty"`   // the newest of each of the last so many hours that have one
	Daily   int    `toml:"daily,omitempty" json:"daily,omitempty"`     // of each day
	Weekly  int    `toml:"weekly,omitempty" json:"weekly,omitempty"`   // of each week (ISO 8601)
	Monthly int    `toml:"monthly,omitempty" json:"monthly,omitempty"` // of each month
	Yearly  int    `toml:"yearly,omitempty" json:"yearly,omitempty"`   // of each year
	Within  string `toml:"within,omitempty" json:"within,omitempty"`   // all within so long before the newest, see [ParseSpan]
}

// All is a count without end.
const All = -1

// None reports whether there is no rule, so that all is kept.
func (r Rules) None() bool { return r == Rules{} }

// String names the rules that there are.
func (r Rules) String() string {
	var list []string
	for _, c := range []struct {
		name string
		n    int
	}{{"last", r.Last}, {"hourly", r.Hourly}, {"daily", r.Daily}, {"weekly", r.Weekly}, {"monthly", r.Monthly}, {"yearly", r.Yearly}} {
		switch {
		case c.n == All:
			list = append(list, c.name+" all")
		case c.n > 0:
			list = append(list, fmt.Sprint(c.name, " ", c.n))
		}
	}
	if r.Within != "" {
		list = append(list, "within "+r.Within)
	}
	return strings.Join(list, ", ")
}

// Check tells what of the rules cannot be followed.
func (r Rules) Check() error {
	for name, n := range map[string]int{"last": r.Last, "hourly": r.Hourly, "daily": r.Daily, "weekly": r.Weekly, "monthly": r.Monthly, "yearly": r.Yearly} {
		if n < All {
			return fmt.Errorf("%s %d: %w: a count, or -1 for all", name, n, ErrRule)
		}
	}
	_, err := ParseSpan(r.Within)
	return err
}

// ErrRule: a rule makes no sense.
var ErrRule = errors.New("is no rule of what to keep")

// Keep tells of each moment, oldest first, whether it is kept; the newest always is.
// Hours, days and the others begin as the clock of the times' location says.
func (r Rules) Keep(moments []time.Time) []bool {
	keep := make([]bool, len(moments))
	within, _ := ParseSpan(r.Within)
	slots := []slot{
		{n: r.Last, of: nil},
		{n: r.Hourly, of: func(t time.Time) string { return t.Format("2006-01-02 15 -0700") }},
		{n: r.Daily, of: func(t time.Time) string { return t.Format(time.DateOnly) }},
		{n: r.Weekly, of: func(t time.Time) string { y, w := t.ISOWeek(); return fmt.Sprint(y, w) }},
		{n: r.Monthly, of: func(t time.Time) string { return t.Format("2006-01") }},
		{n: r.Yearly, of: func(t time.Time) string { return t.Format("2006") }},
	}
	for i := len(moments) - 1; i >= 0; i-- {
		t := moments[i]
		newest := moments[len(moments)-1]
		keep[i] = r.None() || i == len(moments)-1 || !within.IsZero() && t.After(within.Before(newest))
		for s := range slots {
			if slots[s].takes(t, i == 0) {
				keep[i] = true
			}
		}
	}
	return keep
}

// slot keeps the newest of each of so many spans of time.
type slot struct {
	n    int
	of   func(time.Time) string // the span's name; nil: each moment is one
	last string
}

// takes reports whether the slot keeps a moment; they come newest first. The oldest is
// kept while there is room, as nothing tells yet which one its span will end with.
func (s *slot) takes(t time.Time, oldest bool) bool {
	if s.n == 0 {
		return false
	}
	if s.of != nil {
		name := s.of(t)
		if name == s.last && !oldest {
			return false
		}
		s.last = name
	}
	if s.n > 0 {
		s.n--
	}
	return true
}

// Span is a length of time by the calendar.
type Span struct{ Years, Months, Days, Hours int }

// IsZero reports whether it is none.
func (s Span) IsZero() bool { return s == Span{} }

// Before is so long before t.
func (s Span) Before(t time.Time) time.Time {
	return t.AddDate(-s.Years, -s.Months, -s.Days).Add(-time.Duration(s.Hours) * time.Hour)
}

// String gives what [ParseSpan] reads.
func (s Span) String() string {
	var b strings.Builder
	for _, u := range []struct {
		n    int
		unit string
	}{{s.Years, "y"}, {s.Months, "m"}, {s.Days, "d"}, {s.Hours, "h"}} {
		if u.n > 0 {
			fmt.Fprint(&b, u.n, u.unit)
		}
	}
	return b.String()
}

// ParseSpan reads "1y5m7d2h": years, months, days and hours, each of which may be left
// out; "" is none.
func ParseSpan(text string) (s Span, err error) {
	fail := func() (Span, error) {
		return Span{}, fmt.Errorf("%q %w: a time is written as 90d, or 1y6m", text, ErrRule)
	}
	for rest := text; rest != ""; {
		digits := strings.IndexFunc(rest, func(c rune) bool { return c < '0' || c > '9' })
		if digits < 1 {
			return fail()
		}
		n, err := strconv.Atoi(rest[:digits])
		if err != nil || n > 100_000 {
			return fail()
		}
		switch rest[digits] {
		case 'y':
			s.Years += n
		case 'm':
			s.Months += n
		case 'd':
			s.Days += n
		case 'h':
			s.Hours += n
		default:
			return fail()
		}
		rest = rest[digits+1:]
	}
	return s, nil
}
