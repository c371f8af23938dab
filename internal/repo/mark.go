package repo

import (
	"fmt"
	"strconv"
	"strings"
)

// Mark is the head of a device as people keep it outside the bucket: printed
// on the recovery kit, or given to `tunesafe log verify --head`. A bucket that
// was rolled back behind it no longer has its commit.
//
// Its text is DEVICE:NUMBER:SHA256, of which the first markDigits digits are
// printed: nobody but the device can sign another commit of that number, so
// they need only tell its own commits apart.
type Mark struct {
	Device string
	Seq    uint64
	SHA    string // of the commit's object: its first 32 digits or more
}

// markDigits of a SHA-256 are printed, and no fewer are taken.
const markDigits = 32

// MarkOf is what to print of the head h of a device.
func MarkOf(device string, h Head) Mark {
	return Mark{device, h.Seq, h.SHA[:min(len(h.SHA), markDigits)]}
}

// String gives the text that [ParseMark] reads.
func (m Mark) String() string { return fmt.Sprintf("%s:%d:%s", m.Device, m.Seq, m.SHA) }

// ParseMark reads a mark as typed from paper: the case, and white space within
// it, do not count.
func ParseMark(text string) (Mark, error) {
	f := strings.Split(strings.ToLower(strings.Join(strings.Fields(text), "")), ":")
	if len(f) != 3 {
		return Mark{}, fmt.Errorf("%.120q is no head; it is written DEVICE:NUMBER:SHA256", text)
	}
	seq, err := strconv.ParseUint(f[1], 10, 63)
	switch {
	case !isHex(f[0], 16):
		return Mark{}, fmt.Errorf("%.120q is no head: %.40q is no device, which has 16 hexadecimal digits", text, f[0])
	case err != nil || seq == 0:
		return Mark{}, fmt.Errorf("%.120q is no head: %.40q is no number of a commit", text, f[1])
	case len(f[2]) < markDigits || len(f[2]) > 64 || strings.Trim(f[2], "0123456789abcdef") != "":
		return Mark{}, fmt.Errorf("%.120q is no head: %.80q is no SHA-256, of which at least %d hexadecimal digits are needed", text, f[2], markDigits)
	}
	return Mark{f[0], seq, f[2]}, nil
}

// Is tells whether the mark is of that commit.
func (m Mark) Is(device string, h Head) bool {
	return m.Device == device && m.Seq == h.Seq && len(m.SHA) >= markDigits && strings.HasPrefix(h.SHA, m.SHA)
}
