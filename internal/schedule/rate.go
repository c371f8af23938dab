package schedule

import (
	"fmt"
	"strings"

	"github.com/dustin/go-humanize"
)

// Rates is a limit in bytes a second; 0 is none.
type Rates struct {
	Inside  int64
	Outside int64 // of the windows; nothing moves there if HasOutside is false
	// HasOutside: something may move outside the windows, too.
	HasOutside bool
}

// ParseRate reads "2MB/s", "300 kB/s", "4Mbit/s", and "0" for no limit.
func ParseRate(text string) (int64, error) {
	amount, _ := strings.CutSuffix(strings.TrimSpace(text), "/s")
	bits := int64(1)
	if number, ok := strings.CutSuffix(amount, "bit"); ok {
		amount, bits = number+"B", 8
	}
	n, err := humanize.ParseBytes(amount)
	if err != nil || n > 1<<50 {
		return 0, fmt.Errorf("%q is no rate; write it as 2MB/s or 16Mbit/s", text)
	}
	return int64(n) / bits, nil
}

// ParseRates reads a rate, or one and another for outside the windows:
// "2MB/s,outside 100kB/s".
func ParseRates(text string) (r Rates, err error) {
	inside, outside, both := strings.Cut(text, ",")
	if r.Inside, err = ParseRate(inside); err != nil || !both {
		return r, err
	}
	outside, ok := strings.CutPrefix(strings.TrimSpace(outside), "outside")
	if !ok {
		return Rates{}, fmt.Errorf("%q is no limit; write it as 2MB/s,outside 100kB/s", text)
	}
	r.HasOutside = true
	r.Outside, err = ParseRate(outside)
	return r, err
}
