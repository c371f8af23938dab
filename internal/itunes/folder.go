package itunes

import (
	"os"
	"path"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// folder finds files that another computer wrote down. macOS decomposes names,
// other systems compose them, and neither it nor Windows minds their case: so a
// name that is not there is looked for among those that are.
type folder struct {
	root *os.Root
	dirs map[string]string // what was asked for, and what is there; empty for nothing
	last string            // folder last listed
	list map[string]string // its names, folded
}

func newFolder(root *os.Root) *folder {
	return &folder{root: root, dirs: map[string]string{}}
}

// file returns the path of a file as the folder has it. p is relative and clean.
func (f *folder) file(p string) (string, bool) {
	dir, ok := f.dir(path.Dir(p))
	if !ok {
		return "", false
	}
	return f.entry(dir, path.Base(p))
}

// dir does so of a folder, and remembers it.
func (f *folder) dir(p string) (string, bool) {
	if p == "." {
		return p, true
	}
	if found, ok := f.dirs[p]; ok {
		return found, found != ""
	}
	found, ok := f.dir(path.Dir(p))
	if ok {
		found, ok = f.entry(found, path.Base(p))
	}
	if !ok {
		found = ""
	}
	f.dirs[p] = found
	return found, ok
}

// entry finds a name in a folder that is there.
func (f *folder) entry(dir, name string) (string, bool) {
	if name == ".." || name == "." || strings.IndexByte(name, 0) >= 0 {
		return "", false
	}
	for _, form := range []string{name, norm.NFC.String(name), norm.NFD.String(name)} {
		if p := path.Join(dir, form); f.there(p) {
			return p, true
		}
	}
	if f.list == nil || f.last != dir {
		f.last, f.list = dir, f.names(dir)
	}
	found, ok := f.list[fold(name)]
	return path.Join(dir, found), ok
}

func (f *folder) there(p string) bool {
	_, err := f.root.Lstat(p)
	return err == nil
}

// names lists a folder by folded names. What cannot be read has none.
func (f *folder) names(dir string) map[string]string {
	m := map[string]string{}
	d, err := f.root.Open(dir)
	if err != nil {
		return m
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1) // those that could be read
	for _, n := range names {
		m[fold(n)] = n
	}
	return m
}

func fold(name string) string { return strings.ToLower(norm.NFC.String(name)) }

// mapping leads from the paths of a library to those of a folder.
type mapping struct {
	*folder
	roots    []string // the folder's own absolute paths
	prefixes []prefix // as learned
	misses   map[string]bool
}

// prefix is what the library has before the paths in the folder, and what the
// folder has before them.
type prefix struct{ library, here string }

// mediaFolders are where iTunes and Music keep their files, below a folder that
// somebody may back up.
var mediaFolders = []string{"", "Music", "iTunes Media/Music", "iTunes Media", "iTunes Music", "Media.localized/Music", "Media/Music",
	"iTunes/iTunes Media/Music", "iTunes/iTunes Media", "iTunes/iTunes Music", "Music/Media.localized/Music", "Music/Media/Music"}

// find returns the path, relative to the folder, of what the library calls p. It
// is known, even if the file is not there, if p lies under what is known to be
// the folder.
func (m *mapping) find(p string) (found string, there, known bool) {
	for _, root := range m.roots {
		if rest, ok := below(p, root); ok {
			found, there = m.file(rest)
			return found, there, true
		}
	}
	for _, prefix := range m.prefixes {
		if rest, ok := below(p, prefix.library); ok {
			if found, there = m.file(path.Join(prefix.here, rest)); there {
				return found, true, true
			}
			known = true
		}
	}
	if known {
		return "", false, true
	}
	if found, ok := m.learn(p); ok {
		return found, true, true
	}
	return "", false, false
}

// learn looks for the end of p in the folder: at least a folder and a file must
// agree.
func (m *mapping) learn(p string) (string, bool) {
	dir := path.Dir(p)
	if m.misses[dir] {
		return "", false
	}
	for i := 0; ; {
		n := strings.IndexByte(p[i:], '/')
		if n < 0 {
			break
		}
		i += n + 1
		rest := p[i:]
		if rest == "" || !strings.Contains(rest, "/") {
			break
		}
		for _, here := range mediaFolders {
			if found, ok := m.file(path.Join(here, strings.TrimLeft(rest, "/"))); ok {
				m.prefixes = append(m.prefixes, prefix{p[:i-1], here})
				return found, true
			}
		}
	}
	if len(m.misses) < maxMisses {
		m.misses[dir] = true
	}
	return "", false
}

// maxMisses bounds how many folders are remembered not to be here.
const maxMisses = 1 << 16

// below returns what of p lies below dir.
func below(p, dir string) (string, bool) {
	rest, ok := strings.CutPrefix(p, dir)
	if !ok || len(rest) < 2 || rest[0] != '/' {
		return "", false
	}
	return rest[1:], true
}
