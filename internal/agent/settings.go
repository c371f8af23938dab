package agent

import (
	"fmt"
	"time"

	"github.com/tunesafe/tunesafe/internal/schedule"
)

// Settings say when and how an agent works. The zero value always works, watches
// nothing and scans nothing by itself.
type Settings struct {
	Windows  schedule.Windows
	Upload   schedule.Rates
	Download schedule.Rates
	WhenIdle bool
	OnMains  bool

	Watch     bool
	ScanEvery time.Duration // 0: never by itself
	Quiet     time.Duration // without a change before a place is scanned; default 30 s
	WarnAfter time.Duration // without a backup until a person is told; 0: never
}

const defaultQuiet = 30 * time.Second

func (s Settings) quiet() time.Duration {
	if s.Quiet > 0 {
		return s.Quiet
	}
	return defaultQuiet
}

// Moment is what a verdict depends on beside settings and state.
type Moment struct {
	Now         time.Time // local
	RunNow      bool
	Mains, Idle bool
}

// Verdict is whether to work now.
type Verdict struct {
	Work     bool
	Inside   bool   // of a window
	Up, Down int64  // bytes a second; 0 is no limit
	Why      string // there is no work; "" if there is
	Next     time.Time
}

// Why there is no work.
const (
	whyPaused  = "paused"
	whyOutside = "outside the window"
	whyBattery = "on battery"
	whyBusy    = "the machine is in use"
)

// Verdict decides. Next is when the clock alone will change it, zero for never.
func (s Settings) Verdict(st State, m Moment) Verdict {
	v := Verdict{Inside: s.Windows.Open(m.Now), Next: s.Windows.Next(m.Now)}
	if v.Inside || m.RunNow {
		v.Up, v.Down = s.Upload.Inside, s.Download.Inside
	} else {
		v.Up, v.Down = s.Upload.Outside, s.Download.Inside
		if s.Download.HasOutside {
			v.Down = s.Download.Outside
		}
	}
	switch {
	case st.Paused:
		v.Why, v.Next = whyPaused, st.Until
	case m.RunNow:
		v.Next = time.Time{}
	case !v.Inside && !s.Upload.HasOutside:
		v.Why = whyOutside
	case s.OnMains && !m.Mains:
		v.Why = whyBattery
	case s.WhenIdle && !m.Idle:
		v.Why = whyBusy
	}
	v.Work = v.Why == ""
	return v
}

// Overdue tells that there was no backup for too long.
func (s Settings) Overdue(st State, now time.Time) (Need, bool) {
	if s.WarnAfter <= 0 || st.Progress.IsZero() || now.Sub(st.Progress) < s.WarnAfter {
		return Need{}, false
	}
	n := Need{Key: "overdue", Text: fmt.Sprintf("nothing was backed up since %s", st.Progress.Local().Format(time.DateOnly)), Hint: "tunesafe status says why"}
	if st.Paused {
		n.Text, n.Hint = n.Text+": it is paused", "tunesafe resume"
	}
	return n, true
}
