package mapped

import (
	"slices"
	"strings"
	"testing"
)

const someSmaps = `00400000-01a00000 r-xp 00000000 fe:00 123 /usr/bin/tunesafe
Size:              22528 kB
Rss:               14212 kB
Anonymous:             0 kB
01a00000-02c00000 r--p 01600000 fe:00 123 /usr/bin/tunesafe
Rss:               16496 kB
Anonymous:             0 kB
02c00000-02d00000 r--p 02800000 fe:00 123 /usr/bin/tunesafe
Rss:                 400 kB
Anonymous:             4 kB
02d00000-02e00000 rw-p 02900000 fe:00 123 /usr/bin/tunesafe
Rss:                 744 kB
Anonymous:             0 kB
7f0000000000-7f0000100000 r--s 00000000 fe:00 456 /home/x/namespace.db
Anonymous:             0 kB
7f0000200000-7f0000300000 r-xp 00000000 fe:00 789 /usr/lib/libc.so.6
Anonymous:             0 kB
`

// TestProgramIsWhatWasNotWritten: only those mappings of the program count that are as the
// file is. This program has some, and lives on when they are given back.
func TestProgramIsWhatWasNotWritten(t *testing.T) {
	got := unwritten(strings.NewReader(someSmaps), "/usr/bin/tunesafe")
	if want := []area{{0x400000, 0x1600000}, {0x1a00000, 0x1200000}}; !slices.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
	if len(program()) == 0 {
		t.Fatal("nothing of this program was found")
	}
	before := residentFiles()
	for _, a := range program() {
		forgo(a.at, a.length)
	}
	if after := residentFiles(); after >= before {
		t.Errorf("%d bytes of files are in memory, %d before", after, before)
	}
}
