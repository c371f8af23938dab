package zipstream

import (
	"fmt"
	"hash/fnv"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	longestName = 255    // bytes of one name, on most systems
	longestPath = 60_000 // bytes; the format has 65,535
)

// Names gives entries names that can be unpacked anywhere: none leads out of the folder
// it is unpacked in, none is reserved by Windows, and no two are the same to a system
// that does not tell capitals apart. The zero value is ready.
type Names struct {
	taken map[uint64]struct{}
}

// Below names a file or folder in a folder, which is "" at the top and else what Below
// gave for it. Called in the same order it gives the same names.
func (n *Names) Below(dir, name string, folder bool) string {
	name = safe(name)
	if len(dir)+len(name) > longestPath {
		dir = "too deep/"
	}
	if n.taken == nil {
		n.taken = map[uint64]struct{}{}
	}
	end := path.Ext(name)
	if folder || len(end) > 16 || end == name {
		end = ""
	}
	free := name
	for i := 2; ; i++ {
		key := fold(dir + free)
		if _, ok := n.taken[key]; !ok {
			n.taken[key] = struct{}{}
			break
		}
		more := fmt.Sprintf(" (%d)%s", i, end)
		free = cut(strings.TrimSuffix(name, end), longestName-len(more)) + more
	}
	if folder {
		free += "/"
	}
	return dir + free
}

// fold is the same for names that some system takes for one. Others may have it by
// chance, and get a number that they do not need.
func fold(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(norm.NFC.String(strings.ToLower(norm.NFC.String(name)))))
	return h.Sum64()
}

// safe makes one name of a path harmless.
func safe(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError, unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), strings.ContainsRune(`/\:*?"<>|`, r):
			return '_'
		}
		return r
	}, name)
	name = cut(name, longestName)
	if trimmed := strings.TrimRight(name, ". "); len(trimmed) < len(name) { // Windows leaves them out; ".." is all dots
		name = trimmed + "_"
	}
	if name == "" {
		return "_"
	}
	if reserved(name) {
		return "_" + cut(name, longestName-1)
	}
	return name
}

// cut shortens a name to whole characters.
func cut(name string, most int) string {
	if len(name) <= most {
		return name
	}
	for most > 0 && !utf8.RuneStart(name[most]) {
		most--
	}
	return name[:most]
}

// reserved reports whether Windows takes a name for a device, whatever its ending.
func reserved(name string) bool {
	base, _, _ := strings.Cut(name, ".")
	base = strings.ToUpper(strings.TrimRight(base, " "))
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	port, ok := strings.CutPrefix(base, "COM")
	if !ok {
		port, ok = strings.CutPrefix(base, "LPT")
	}
	return ok && utf8.RuneCountInString(port) == 1 && strings.Contains("0123456789¹²³", port)
}
