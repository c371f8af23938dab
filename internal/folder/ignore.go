package folder

import (
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// IgnoreFile is the name of files that say what to leave out.
const IgnoreFile = ".tunesafeignore"

// DefaultPatterns leave out what programs keep while they run, and what a file
// manager makes anew by itself. "!.DS_Store" in an [IgnoreFile] brings one back.
var DefaultPatterns = []string{
	".DS_Store", "Thumbs.db",
	"*.part", "*.crdownload", // downloads under way
	".fuse_hidden*", ".nfs????????????????????????", // removed, and still open
}

// rules are the patterns that hold in a directory: those of one source, and
// those of less weight.
type rules struct {
	base     string    // the directory they hold below, "" is the folder
	patterns []pattern // later ones have more weight
	less     *rules
	first    []pattern // of most weight, from the top of the folder
}

func newRules(exclude []string) *rules {
	return &rules{patterns: parseAll(DefaultPatterns), first: parseAll(exclude)}
}

// below adds the text of an ignore file in dir.
func (r *rules) below(dir, text string) *rules {
	return &rules{base: dir, patterns: parseAll(strings.Split(text, "\n")), less: r, first: r.first}
}

// exclude tells whether a name in dir is left out. Whoever asks came there, so
// no directory above is.
func (r *rules) exclude(dir, name string, isDir bool) bool {
	if v := decide(r.first, dir, name, isDir); v != 0 {
		return v > 0
	}
	for ; r != nil; r = r.less {
		rel := strings.TrimPrefix(strings.TrimPrefix(dir, r.base), "/")
		if v := decide(r.patterns, rel, name, isDir); v != 0 {
			return v > 0
		}
	}
	return false
}

// decide gives the verdict of the last pattern that matches: 1 to leave out, -1
// to keep, 0 for none.
func decide(ps []pattern, rel, name string, isDir bool) int {
	for i := len(ps) - 1; i >= 0; i-- {
		p := &ps[i]
		if p.dirOnly && !isDir || !p.match(rel, name) {
			continue
		}
		if p.keep {
			return -1
		}
		return 1
	}
	return 0
}

// pattern is one line, in the words of gitignore(5).
type pattern struct {
	keep     bool   // "!" in front
	dirOnly  bool   // "/" at the end
	anchored bool   // a "/" elsewhere: it is of the path, not of the name
	literal  bool   // no character in it is special
	glob     string // for doublestar, or the literal text
}

func (p *pattern) match(rel, name string) bool {
	if p.anchored && rel != "" {
		name = rel + "/" + name
	}
	if p.literal {
		return p.glob == name
	}
	ok, err := doublestar.Match(p.glob, name)
	return ok && err == nil // a malformed pattern matches nothing
}

func parseAll(lines []string) (ps []pattern) {
	for _, line := range lines {
		if p, ok := parse(line); ok {
			ps = append(ps, p)
		}
	}
	return ps
}

// parse reads a line; ok is false for comments and empty ones.
func parse(line string) (p pattern, ok bool) {
	line = trimSpaces(strings.TrimSuffix(line, "\r"))
	if line == "" || line[0] == '#' {
		return p, false
	}
	if line[0] == '!' {
		p.keep, line = true, line[1:]
	}
	line, p.dirOnly = strings.CutSuffix(line, "/")
	if rest, ok := strings.CutPrefix(line, "/"); ok {
		p.anchored, line = true, rest
	}
	p.anchored = p.anchored || strings.Contains(line, "/")
	p.literal = !strings.ContainsAny(line, `*?[\`)
	p.glob = line
	if !p.literal {
		p.glob = toDoublestar(line)
	}
	return p, line != ""
}

// trimSpaces takes spaces from the end but for one behind a backslash.
func trimSpaces(line string) string {
	short := strings.TrimRight(line, " ")
	slashes := len(short) - len(strings.TrimRight(short, `\`))
	if slashes%2 == 1 && len(short) < len(line) {
		short += " "
	}
	return short
}

// toDoublestar says in the library's syntax, which has alternatives in braces and
// lets "a/**" match "a", what a pattern says in gitignore's.
func toDoublestar(line string) string {
	if strings.HasSuffix(line, "/**") {
		line += "/*"
	}
	var b strings.Builder
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && i+1 < len(line):
			b.WriteByte(c)
			i++
			b.WriteByte(line[i])
		case c == '{' || c == '}':
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
