package mapped

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
)

// area is a part of the process's memory.
type area struct{ at, length uintptr }

// program is where the program's own file is mapped, as far as none of it can be written
// or was: its code, and what is constant. Half of what is resident of it is what only its
// start needed.
var program = sync.OnceValue(func() []area {
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return nil
	}
	defer f.Close()
	name, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil
	}
	return unwritten(f, name)
})

// unwritten lists, of smaps (proc(5)), the mappings of a file that are for reading only and
// have no page of the process's own in them: those are not as the file has them, and would be
// lost.
func unwritten(smaps io.Reader, file string) (list []area) {
	var now area
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		text := lines.Text()
		if rest, ok := strings.CutPrefix(text, "Anonymous:"); ok && now.length > 0 && strings.Fields(rest)[0] == "0" {
			list = append(list, now)
		}
		if name, _, _ := strings.Cut(text, " "); strings.HasSuffix(name, ":") {
			continue // a figure of the mapping, which are most lines
		}
		var from, to uintptr
		var rights string
		if n, _ := fmt.Sscanf(text, "%x-%x %s", &from, &to, &rights); n == 3 {
			now = area{}
			if strings.HasSuffix(text, " "+file) && (rights == "r-xp" || rights == "r--p") {
				now = area{from, to - from}
			}
		}
	}
	return list
}
