// Package machine is what a quiet program asks of the machine it runs on: is it
// on mains, does anybody use it, did it sleep; and what it asks for: to be the
// last in every queue, and a word on the screen.
//
// Whatever a machine does not tell counts as what lets work go on: one without a
// battery is on mains, one that knows no sessions has nobody at it.
package machine

import (
	"os"
	"path/filepath"
	"strings"
	"time"
)

// powerDir is where Linux tells of supplies, sysfs-class-power of its
// documentation.
const powerDir = "/sys/class/power_supply"

// OnMains tells whether the machine runs on mains: a supply that is no battery
// is online, or no battery is being discharged.
func OnMains() bool { return onMains(powerDir) }

func onMains(dir string) bool {
	supplies, err := os.ReadDir(dir)
	if err != nil {
		return true
	}
	discharging := false
	for _, s := range supplies {
		read := func(name string) string {
			b, _ := os.ReadFile(filepath.Join(dir, s.Name(), name)) // what is missing is ""
			return strings.TrimSpace(string(b))
		}
		if read("scope") == "Device" {
			continue // of a mouse
		}
		if read("type") != "Battery" && read("online") == "1" {
			return true
		}
		if read("type") == "Battery" && read("status") == "Discharging" {
			discharging = true
		}
	}
	return !discharging
}

// SleepWatch notices that the machine slept: the clock on the wall went on, the
// other did not.
type SleepWatch struct {
	wall time.Time
	ran  time.Duration
}

// slept is by how much the clocks must differ: people and NTP set them, too.
const slept = 20 * time.Second

// started is a moment of the clock that stands still in sleep.
var started = time.Now()

// Slept tells whether it slept since it was last asked.
func (s *SleepWatch) Slept(now time.Time) bool { return s.look(now.Round(0), now.Sub(started)) }

func (s *SleepWatch) look(wall time.Time, ran time.Duration) bool {
	last := *s
	s.wall, s.ran = wall, ran
	return !last.wall.IsZero() && wall.Sub(last.wall)-(ran-last.ran) > slept
}
