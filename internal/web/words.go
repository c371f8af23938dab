package web

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html/template"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
)

// words are what templates put figures and times into words with.
var words = template.FuncMap{
	"bytes":   size,
	"comma":   humanize.Comma,
	"ago":     func(t any) string { return ago(timeOf(t), time.Now()) },
	"clock":   func(t any) string { return clock(timeOf(t)) },
	"day":     func(t time.Time) string { return t.Local().Format("2 January 2006") },
	"exact":   func(t time.Time) string { return t.Local().Format(time.DateTime) },
	"margins": func(n int) int { return n + 8 }, // of a QR code, 4 on each side
	"exactly": func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) },
	"iso":     func(t time.Time) string { return t.Format(time.RFC3339) },
	"count":   count,
	"capital": capital,
	"text":    func(b []byte) string { return string(b) },
	"clip":    clip,
	"brief":   func(s string) string { return clipTo(s, 400) },
	"glimpse": func(s string) string { return clipTo(s, 40) },
	"counted": func(n int, thing string) string { return count(int64(n), thing) },
	"len64":   func(list []string) int64 { return int64(len(list)) },
	"number":  func(n int) string { return humanize.Comma(int64(n)) },
	"long":    long,
	"spent":   spent,
	"short":   short,
	"onDrive": func(of string) string { return address("time", nowWord, of) },
}

// timeOf takes a time or a pointer to one, as the control calls have both.
func timeOf(t any) time.Time {
	if p, ok := t.(*time.Time); ok {
		return *p
	}
	at, _ := t.(time.Time)
	return at
}

// capital begins a sentence.
func capital(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}

// count is "1 file", "2,000 files".
func count(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return humanize.Comma(n) + " " + thing + "s"
}

// clock is a time of day, with the day if it is not today; of what is long ago, or
// far away, the day alone.
func clock(t time.Time) string {
	t, now := t.Local(), time.Now().Local()
	switch {
	case t.YearDay() == now.YearDay() && t.Year() == now.Year():
		return t.Format("15:04")
	case now.Sub(t).Abs() < 6*24*time.Hour:
		return t.Format("Mon 15:04")
	}
	return t.Format("2 January 2006")
}

// etag names bytes for a browser's cache.
func etag(b []byte) string {
	sum := sha256.Sum256(b)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}

func size(n int64) string { return humanize.Bytes(uint64(max(n, 0))) }

// ago is not of seconds, which would be new each second.
func ago(t, now time.Time) string {
	if now.Sub(t).Abs() < time.Minute {
		return "just now"
	}
	return humanize.RelTime(t, now, "ago", "from now")
}

// clip shortens what stands in a list: tags may hold novels.
func clip(s string) string {
	return clipTo(s, 80)
}

// clipTo leaves at most so many characters.
func clipTo(s string, most int) string {
	n := 0
	for i := range s {
		if n++; n > most {
			return s[:i] + "…"
		}
	}
	return s
}

// long is a length as players show it.
func long(seconds float64) string {
	n := int(seconds + .5)
	if n >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", n/3600, n/60%60, n%60)
	}
	return fmt.Sprintf("%d:%02d", n/60, n%60)
}

// spent is a length as people say it.
func spent(seconds float64) string {
	switch n := int64(seconds/60 + .5); {
	case n < 1:
		return "less than a minute"
	case n < 60:
		return fmt.Sprintf("%d min", n)
	case n < 100*60:
		return fmt.Sprintf("%d h %d min", n/60, n%60)
	default:
		return humanize.Comma(n/60) + " hours"
	}
}

// short is a count that fits into a small place: 12, 3k.
func short(n int) string {
	switch {
	case n >= 1_000_000:
		return strconv.Itoa(n/1_000_000) + "M"
	case n >= 1000:
		return strconv.Itoa(n/1000) + "k"
	}
	return strconv.Itoa(n)
}
