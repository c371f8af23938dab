package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tunesafe/tunesafe/internal/catalog"
	"github.com/tunesafe/tunesafe/internal/itunes"
	"github.com/tunesafe/tunesafe/internal/web"
	"github.com/tunesafe/tunesafe/sync/feed"
)

// mediaRoots is where desktops mount removable disks.
var mediaRoots = []string{"/media", "/run/media", "/Volumes"}

// musicNames are what people and programs call a folder with music.
var musicNames = []string{"music", "musik", "musique", "música", "musica", "muziek", "musiikki", "itunes", "audio", "songs"}

// Found implements [web.Setup].
func (u *setUp) Found(context.Context) []web.MusicFolder {
	user, err := os.UserHomeDir()
	if err != nil {
		user = ""
	}
	var list []web.MusicFolder
	add := func(dir, note string) {
		f, err := musicFolder(dir, string(u.home))
		if err != nil || slices.ContainsFunc(list, func(g web.MusicFolder) bool { return within(f.Path, g.Path) }) {
			return
		}
		f.Note = note
		if lib := libraryIn(dir); lib != "" {
			f.Note = strings.TrimPrefix(note+", with the library "+lib, ", ")
		}
		list = append(list, f)
	}
	if user != "" {
		if dir := xdgMusic(user); dir != "" {
			add(dir, "")
		}
		for _, dir := range namedMusic(user) {
			add(dir, "")
		}
		for _, dir := range libraryFolders(user) {
			add(dir, "named by an iTunes library")
		}
	}
	for _, disk := range removable() {
		dirs := namedMusic(disk)
		if len(dirs) == 0 && libraryIn(disk) != "" {
			dirs = []string{disk}
		}
		for _, dir := range dirs {
			add(dir, "on a removable disk")
		}
	}
	return list
}

// xdgMusic reads user-dirs.dirs(5).
func xdgMusic(user string) string {
	config := os.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(config) {
		config = filepath.Join(user, ".config")
	}
	text, err := os.ReadFile(filepath.Join(config, "user-dirs.dirs"))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		value, ok := strings.CutPrefix(strings.TrimSpace(line), "XDG_MUSIC_DIR=")
		if !ok {
			continue
		}
		dir := strings.Replace(strings.Trim(value, `"`), "$HOME", user, 1)
		if filepath.Clean(dir) != user { // which it is, where somebody has none
			return dir
		}
	}
	return ""
}

// namedMusic lists the folders in one that are called as folders with music are.
func namedMusic(dir string) (list []string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if e.IsDir() && slices.Contains(musicNames, strings.ToLower(e.Name())) {
			list = append(list, filepath.Join(dir, e.Name()))
		}
	}
	return list
}

// removable lists the disks that are mounted where desktops do so.
func removable() (list []string) {
	for _, root := range mediaRoots {
		for _, pattern := range []string{root + "/*", root + "/*/*"} {
			found, _ := filepath.Glob(pattern)
			for _, dir := range found {
				if m, err := mountedAt(dir); err == nil && m != "" && m != mountType {
					list = append(list, dir)
				}
			}
		}
	}
	return list
}

// librariesNear lists the libraries of iTunes and Music in a folder and two below.
func librariesNear(dir string) (list []string) {
	for _, pattern := range []string{"*", "*/*", "*/*/*"} {
		found, _ := filepath.Glob(filepath.Join(escapeGlob(dir), pattern))
		for _, name := range found {
			if itunes.IsLibrary(filepath.Base(name)) {
				list = append(list, name)
			}
		}
	}
	return list
}

func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

func libraryIn(dir string) string {
	if found := librariesNear(dir); len(found) > 0 {
		return filepath.Base(found[0])
	}
	return ""
}

// headOfLibrary is how much of a library is read for the name of its folder, which
// stands before the tracks.
const headOfLibrary = 64 << 10

// libraryFolders are the folders that libraries say their music is in.
func libraryFolders(user string) (list []string) {
	for _, top := range namedMusic(user) {
		for _, name := range librariesNear(top) {
			if !itunes.IsXML(filepath.Base(name)) {
				continue
			}
			f, err := os.Open(name)
			if err != nil {
				continue
			}
			lib, _ := itunes.Read(bufio.NewReader(&limited{f, headOfLibrary}), nil, nil) // cut off, and the head is there
			f.Close()
			if dir := itunes.Path(lib.MusicFolder); dir != "" {
				list = append(list, filepath.Clean(dir))
			}
		}
	}
	return list
}

// limited ends a file early.
type limited struct {
	f    *os.File
	left int
}

// Read implements [io.Reader].
func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errors.New("enough")
	}
	n, err := l.f.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}

// systemFolders hold no music of a person; what is below some of them may.
var systemFolders = []string{"/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/sbin", "/sys", "/usr", "/System", "/Library", "/private/etc"}

// onlyBelow are folders that are too much as a whole.
var onlyBelow = []string{"/", "/home", "/Users", "/media", "/run", "/run/media", "/mnt", "/srv", "/opt", "/var", "/tmp", "/root", "/Volumes"}

// Folder implements [web.Setup].
func (u *setUp) Folder(typed string) (web.MusicFolder, error) {
	dir := typed
	if user, err := os.UserHomeDir(); err == nil {
		if typed == "~" || strings.HasPrefix(typed, "~/") {
			dir = user + typed[1:]
		}
	}
	f, err := musicFolder(dir, string(u.home))
	if err != nil {
		return f, &web.Mistake{Field: "path", Text: err.Error(), Hint: "Nothing was changed. Type the name of the folder with your music."}
	}
	return f, nil
}

// checkTyped refuses names that mean nothing to a process, or not what they say.
func checkTyped(dir string) error {
	switch {
	case !filepath.IsAbs(dir):
		return fmt.Errorf("%q is not the whole name of a folder: it begins with a slash", dir)
	case strings.ContainsRune(dir, 0):
		return fmt.Errorf("%q is no name", dir)
	}
	return nil
}

// musicFolder tells whether a folder may be backed up; the errors are for people.
func musicFolder(dir, homeDir string) (f web.MusicFolder, err error) {
	if err := checkTyped(dir); err != nil {
		return f, err
	}
	dir = filepath.Clean(dir)
	user, _ := os.UserHomeDir()
	switch {
	case slices.Contains(onlyBelow, dir) || dir == user:
		return f, fmt.Errorf("%s holds much more than music: choose a folder in it", dir)
	case slices.ContainsFunc(systemFolders, func(s string) bool { return within(dir, s) }):
		return f, fmt.Errorf("%s belongs to the system", dir)
	case within(dir, homeDir):
		return f, fmt.Errorf("%s is a folder of Tunesafe itself", dir)
	}
	info, err := os.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return f, fmt.Errorf("there is no folder %s on this computer", dir)
	case errors.Is(err, fs.ErrPermission):
		return f, fmt.Errorf("%s may not be read by you", dir)
	case err != nil:
		return f, fmt.Errorf("%s cannot be looked at: %w", dir, err)
	case info.Mode()&fs.ModeSymlink != 0:
		return f, leadsElsewhere(dir)
	case !info.IsDir():
		return f, fmt.Errorf("%s is a file, and not a folder", dir)
	}
	if real, err := filepath.EvalSymlinks(dir); err != nil || real != dir {
		return f, leadsElsewhere(dir)
	}
	d, err := os.Open(dir)
	if err == nil {
		_, err = d.Readdirnames(1)
		if errors.Is(err, io.EOF) { // it is empty
			err = nil
		}
		err = errors.Join(err, d.Close())
	}
	if err != nil {
		return f, fmt.Errorf("%s may not be read by you", dir)
	}
	for _, drive := range drivesMounted() {
		if within(dir, drive) {
			return f, fmt.Errorf("%s is on a drive of Tunesafe itself", dir)
		}
	}
	return web.MusicFolder{Path: dir}, nil
}

func leadsElsewhere(dir string) error {
	to, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return fmt.Errorf("%s is a link that leads nowhere", dir)
	}
	return fmt.Errorf("%s is a link: the folder itself is %s", dir, to)
}

// The bounds of counting a folder.
const (
	countTime  = time.Minute
	countNames = 1_000_000
	countTell  = 200 * time.Millisecond
)

// Count implements [web.Setup]. What cannot be read is passed over: nothing is backed
// up yet.
func (u *setUp) Count(ctx context.Context, dir string, told func(web.Count)) {
	var n web.Count
	began, last, names := time.Now(), time.Now(), 0
	_ = filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		names++
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case names > countNames || time.Since(began) > countTime:
			n.More = true
			return fs.SkipAll
		case err != nil:
			return nil //nolint:nilerr // passed over
		}
		if e.Type().IsRegular() && catalog.FormatOf(name) != "" {
			if info, err := e.Info(); err == nil {
				n.Tracks++
				n.Bytes += info.Size()
			}
		}
		if time.Since(last) > countTell {
			last = time.Now()
			told(n)
		}
		return nil
	})
	n.Done = true
	told(n)
}

// placeNames are the names under which a folder may lie on the drive, the best first:
// its own, and others for when that is taken.
func placeNames(dir string) []string {
	base, above := filepath.Base(dir), filepath.Base(filepath.Dir(dir))
	names := []string{"", fmt.Sprintf("%s (%s)", base, above)}
	if host, err := os.Hostname(); err == nil {
		names = append(names, fmt.Sprintf("%s (%s)", base, host))
	}
	for i := 2; i < 100; i++ {
		names = append(names, fmt.Sprintf("%s (%d)", base, i))
	}
	return names
}

func nameIsTaken(err error) bool { return errors.Is(err, feed.ErrNameTaken) }
