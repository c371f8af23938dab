package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
	"github.com/mattn/go-isatty"
	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/control"
)

// progress draws what goes on in place, at the end of a terminal. Elsewhere it
// prints nothing but warnings. Safe to use at once from many goroutines.
type progress struct {
	w        io.Writer
	terminal bool

	mu    sync.Mutex
	drawn int // lines on the screen that will be drawn over
}

func newProgress(w io.Writer) *progress { return &progress{w: w, terminal: isTerminal(w)} }

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// draw shows text, of any number of lines, instead of what was shown before.
func (p *progress) draw(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.terminal {
		return
	}
	p.erase()
	text = strings.TrimRight(text, "\n")
	fmt.Fprint(p.w, text, "\n")
	p.drawn = rows(text, p.width())
}

// width is the terminal's, in columns; 0 if it does not tell.
func (p *progress) width() int {
	f, ok := p.w.(*os.File)
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}

// rows counts the lines that text takes on a screen that wraps at width.
func rows(text string, width int) (n int) {
	for line := range strings.SplitSeq(text, "\n") {
		n++
		if columns := utf8.RuneCountInString(line); width > 0 && columns > width {
			n += (columns - 1) / width
		}
	}
	return n
}

// clear takes away what was shown.
func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
}

// erase uses the sequences of ECMA-48: cursor up, erase to the end.
func (p *progress) erase() {
	if p.drawn > 0 {
		fmt.Fprintf(p.w, "\x1b[%dA\x1b[J", p.drawn)
	}
	p.drawn = 0
}

// start shows a report of a mount's start.
func (p *progress) start(r startReport) {
	switch {
	case r.Warning != nil:
		p.clear()
		warn(p.w, r.Warning)
	case r.Note != "":
		p.draw(r.Note)
	case r.Ready, r.Fault != nil:
		p.clear()
	}
}

// uploading shows how an upload goes.
func (p *progress) uploading(s control.Status) { p.draw(uploadLine(s)) }

// uploadLine is one line on what waits.
func uploadLine(s control.Status) string {
	line := fmt.Sprintf("waiting: %s", waitingText(s))
	if s.Safe() {
		return line
	}
	if s.Rate > 0 {
		line += fmt.Sprintf(", %s/s", size(int64(s.Rate)))
	}
	if left := leftText(s); left != "" {
		line += ", " + left
	}
	return line
}

// leftText estimates when all is safe; "" if that is not known. Where uploads go
// on for some hours of a day only, days are counted as nights.
func leftText(s control.Status) string {
	days := math.Ceil(s.DaysLeft)
	switch {
	case s.LeftSeconds <= 0 || s.Safe():
		return ""
	case s.HoursPerDay < 24 && s.DaysLeft > 1:
		return fmt.Sprintf("about %s left, of %s each", count(int64(days), "night"), count(int64(math.Round(s.HoursPerDay)), "hour"))
	case s.DaysLeft > 2:
		return "about " + count(int64(days), "day") + " left"
	}
	return "about " + duration(s.LeftSeconds) + " left"
}

func waitingText(s control.Status) string {
	if s.Safe() {
		return "nothing"
	}
	if s.WaitingFiles == 0 {
		return count(s.WaitingRows, "change") + " of names and attributes"
	}
	text := fmt.Sprintf("%s (%s)", count(s.WaitingFiles, "file"), size(s.WaitingBytes))
	if s.OpenFiles > 0 {
		text += fmt.Sprintf(", %d of them open", s.OpenFiles)
	}
	return text
}

// count is "1 file", "2,000 files".
func count(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return humanize.Comma(n) + " " + thing + "s"
}

// size is in powers of ten, as disks and providers count.
func size(n int64) string { return humanize.Bytes(uint64(max(n, 0))) }

// duration is rounded to what a person wants to know.
func duration(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d >= time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	case d >= time.Minute:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	}
	return fmt.Sprintf("%d s", max(int(d.Seconds()), 1))
}
