package nightly

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/tests/tools"
)

// mutator changes a folder as people and their programs do, and worse. A change
// that cannot be made is none.
type mutator struct {
	t    testing.TB
	rng  *rand.Rand
	root string

	log   strings.Builder
	steps int

	files, dirs []string // absolute, as of the last look
}

func newMutator(t testing.TB, root string, seed uint64) *mutator {
	return &mutator{t: t, rng: rand.New(rand.NewPCG(seed, 5)), root: root}
}

// change is one of the kinds of change; it says what it did.
type change struct {
	weight int
	name   string
	do     func(m *mutator)
}

var changes []change

func init() { // they refer to themselves
	changes = []change{
		{8, "new", func(m *mutator) { m.write(m.fresh(), m.body()) }},
		{2, "new summed", func(m *mutator) { m.replace(m.fresh()+summed, withSum(m.body())) }},
		{3, "replace summed", func(m *mutator) { m.replace(m.anyWith(summed), withSum(m.body())) }},
		{3, "replace", func(m *mutator) { m.replace(m.plain(), m.body()) }},
		{4, "retag", func(m *mutator) { m.retag(false, false) }},
		{2, "retag by a copy", func(m *mutator) { m.retag(true, false) }},
		{2, "retag and keep the time", func(m *mutator) { m.retag(false, true) }},
		{4, "rename", func(m *mutator) { m.rename(m.file(), m.fresh()+filepath.Ext(m.file())) }},
		{3, "rename over", func(m *mutator) { m.rename(m.plain(), m.plain()) }},
		{3, "rename a folder", func(m *mutator) { m.rename(m.dir(), m.fresh()) }},
		{2, "rename a folder, and a new one in its name", (*mutator).supplant},
		{2, "exchange files", func(m *mutator) { m.exchange(m.plain(), m.plain()) }},
		{1, "exchange folders", func(m *mutator) { m.exchange(m.dir(), m.dir()) }},
		{1, "exchange a file and a folder", func(m *mutator) { m.exchange(m.plain(), m.dir()) }},
		{3, "other bytes, the same size and time", func(m *mutator) { m.secretly(m.soundless()) }},
		{2, "the same, and renamed", func(m *mutator) { p := m.soundless(); m.secretly(p); m.rename(p, m.fresh()+filepath.Ext(p)) }},
		{2, "the same, and another mode", func(m *mutator) { p := m.soundless(); m.secretly(p); m.chmod(p) }},
		{2, "the same, and an attribute", func(m *mutator) { p := m.soundless(); m.secretly(p); m.xattr(p) }},
		{2, "remove", func(m *mutator) { _ = os.Remove(m.file()) }},
		{1, "remove a folder", func(m *mutator) { m.removeSmall(m.dir()) }},
		{2, "link", func(m *mutator) { _ = os.Link(m.plain(), m.fresh()) }},
		{1, "symbolic link", func(m *mutator) { _ = os.Symlink(fmt.Sprint("to ", m.rng.Uint64()), m.fresh()) }},
		{1, "fifo", func(m *mutator) { _ = unix.Mkfifo(m.fresh(), 0o640) }},
		{2, "mode", func(m *mutator) { m.chmod(m.file()) }},
		{1, "mode of a folder", func(m *mutator) { _ = os.Chmod(m.dir(), os.FileMode(0o700|m.rng.IntN(0o100))) }},
		{2, "attribute", func(m *mutator) { m.xattr(pick(m.rng, []string{m.file(), m.dir()})) }},
		{1, "no attribute", func(m *mutator) { _ = unix.Lremovexattr(m.file(), "user.note") }},
		{2, "shorter", func(m *mutator) { m.truncate(m.plain(), -1) }},
		{1, "longer", func(m *mutator) { m.truncate(m.plain(), 1<<16) }},
		{2, "append slowly", (*mutator).appendSlowly},
		{1, "a file turned folder", (*mutator).fileToFolder},
		{1, "a folder turned link", (*mutator).folderToLink},
		{1, "a link turned file", (*mutator).linkToFile},
		{1, "another case", func(m *mutator) { m.otherCase(pick(m.rng, []string{m.file(), m.dir()})) }},
		{2, "touch", func(m *mutator) { m.touch(pick(m.rng, []string{m.file(), m.dir()})) }},
		{1, "sparse", (*mutator).sparse},
		{1, "empty", func(m *mutator) { m.write(m.fresh(), nil) }},
		{1, "owner", func(m *mutator) { _ = os.Lchown(m.file(), m.rng.IntN(1000), m.rng.IntN(1000)) }},
		{2, "copy and remove", (*mutator).copyAndRemove},
		{1, "new folder", func(m *mutator) { _ = os.MkdirAll(filepath.Join(m.fresh(), "a", "b"), 0o755) }},
	}
}

// fill adds to the library what libraries have beside music.
func (m *mutator) fill() {
	for _, name := range []string{"Bj\xf6rk/not \xff text", "new\nline", strings.Repeat("n", 255), "-rf", " ", "quote\"'`$(x)\\",
		"nested/a/b/c/d/e/f/g/h/i/j/k/leaf", "long/" + strings.Repeat(strings.Repeat("d", 200)+"/", 15) + "leaf"} {
		p := filepath.Join(m.root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			m.t.Fatal(err)
		}
		m.write(p, m.body())
	}
	for i := range 120 {
		m.look()
		switch c := changes[m.rng.IntN(len(changes))]; {
		case i%2 == 0:
			m.write(m.fresh(), m.body())
		case strings.HasPrefix(c.name, "re") || strings.Contains(c.name, "turned"): // it needs more than names
		default:
			c.do(m)
		}
	}
}

// begin changes the folder until stop.
func (m *mutator) begin() (stop func()) {
	quit := make(chan struct{})
	var w sync.WaitGroup
	w.Go(func() {
		for {
			select {
			case <-quit:
				return
			case <-time.After(time.Duration(m.rng.Int64N(int64(120 * time.Millisecond)))):
				m.step()
			}
		}
	})
	return func() { close(quit); w.Wait() }
}

func (m *mutator) step() {
	sum := 0
	for _, c := range changes {
		sum += c.weight
	}
	at := m.rng.IntN(sum)
	for _, c := range changes {
		if at -= c.weight; at < 0 {
			m.look()
			m.note("- %s", c.name)
			c.do(m)
			m.steps++
			return
		}
	}
}

func (m *mutator) note(format string, args ...any) { fmt.Fprintf(&m.log, format+"\n", args...) }

func (m *mutator) look() {
	m.files, m.dirs = nil, nil
	_ = filepath.WalkDir(m.root, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || p == m.root:
		case d.IsDir():
			m.dirs = append(m.dirs, p)
		default:
			m.files = append(m.files, p)
		}
		return nil
	})
}

func pick(rng *rand.Rand, list []string) string {
	if len(list) == 0 {
		return "/nonexistent/none"
	}
	return list[rng.IntN(len(list))]
}

// file is any that is no folder; dir is any folder below the top.
func (m *mutator) file() string { return m.picked(pick(m.rng, m.files)) }
func (m *mutator) dir() string  { return m.picked(pick(m.rng, m.dirs)) }

func (m *mutator) picked(p string) string {
	m.note("  %q", strings.ReplaceAll(strings.TrimPrefix(p, m.root), strings.Repeat("d", 190), "…"))
	return p
}

// plain is a regular file that is not summed.
func (m *mutator) plain() string {
	for range 20 {
		p := pick(m.rng, m.files)
		if info, err := os.Lstat(p); err == nil && info.Mode().IsRegular() && !strings.HasSuffix(p, summed) {
			return m.picked(p)
		}
	}
	return "/nonexistent/plain"
}

// soundless is a plain file that is no music: the sound of a file that has another
// name and its size and mtime still is taken for what it was, and any name may become
// another, with a folder above it, before the next backup.
func (m *mutator) soundless() string {
	p := m.plain()
	f, err := os.Open(p)
	if err != nil {
		return p
	}
	defer f.Close()
	head := make([]byte, 8)
	_, _ = f.Read(head)
	for _, magic := range []string{"ID3", "fLaC", "OggS", "RIFF", "\xff", "\x00\x00\x00"} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return "/nonexistent/soundless"
		}
	}
	return p
}

func (m *mutator) anyWith(ext string) string {
	return m.picked(pick(m.rng, slices.DeleteFunc(slices.Clone(m.files), func(p string) bool { return filepath.Ext(p) != ext })))
}

// fresh is a name that may be free.
func (m *mutator) fresh() string {
	dir := pick(m.rng, append(slices.Clone(m.dirs), m.root))
	name := string(rune('a' + m.rng.IntN(20)))
	if m.rng.IntN(4) == 0 {
		name += fmt.Sprintf("%c\xfe%d", 'A'+m.rng.IntN(26), m.rng.IntN(100))
	}
	return m.picked(filepath.Join(dir, name))
}

// body is text, or noise.
func (m *mutator) body() []byte {
	b := make([]byte, m.rng.IntN(1<<m.rng.IntN(17)))
	for i := range b {
		b[i] = byte(m.rng.Uint32())
	}
	return b
}

func (m *mutator) write(p string, b []byte) {
	if info, err := os.Lstat(p); err == nil && !info.Mode().IsRegular() {
		return // a fifo would wait
	}
	_ = os.WriteFile(p, b, 0o644)
}

// replace is how careful programs write: by a new file that takes the name.
func (m *mutator) replace(p string, b []byte) {
	if os.WriteFile(p+".new", b, 0o644) == nil {
		_ = os.Rename(p+".new", p)
	}
}

func (m *mutator) rename(from, to string) {
	if strings.HasSuffix(from, summed) != strings.HasSuffix(to, summed) {
		return
	}
	_ = os.Rename(from, to)
}

func (m *mutator) exchange(a, b string) {
	_ = unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
}

func (m *mutator) supplant() {
	dir := m.dir()
	if os.Rename(dir, filepath.Join(m.dir(), "inner")) == nil && os.Mkdir(dir, 0o755) == nil {
		for _, name := range []string{"a", "b", "01.mp3"} {
			m.write(filepath.Join(dir, name), m.body())
		}
	}
}

// retag has mutagen edit some tracks.
func (m *mutator) retag(byCopy, keepTime bool) {
	p := m.picked(pick(m.rng, slices.DeleteFunc(slices.Clone(m.files), func(p string) bool {
		return !slices.Contains([]string{".mp3", ".flac", ".m4a", ".ogg", ".opus"}, filepath.Ext(p))
	})))
	info, err := os.Lstat(p)
	if err != nil || !info.Mode().IsRegular() {
		return
	}
	job, _ := json.Marshal(map[string]any{"root": m.root, "files": []string{strings.TrimPrefix(p, m.root+"/")}, "from": "",
		"to": fmt.Sprint("Artist ", m.rng.IntN(1e6)), "limit": 1, "copy": byCopy})
	cmd := tools.TagsCommand(m.t.Context(), "retag")
	cmd.Stdin = bytes.NewReader(job)
	_ = cmd.Run() // it may be no music
	if keepTime {
		_ = os.Chtimes(p, time.Time{}, info.ModTime())
	}
}

// secretly changes bytes so that neither size nor mtime tell.
func (m *mutator) secretly(p string) {
	info, err := os.Lstat(p)
	if err != nil || info.Size() == 0 || !info.Mode().IsRegular() {
		return
	}
	f, err := os.OpenFile(p, os.O_WRONLY, 0)
	if err != nil {
		return
	}
	_, _ = f.WriteAt([]byte{byte(m.rng.Uint32())}, m.rng.Int64N(info.Size()))
	f.Close()
	_ = os.Chtimes(p, time.Time{}, info.ModTime())
}

func (m *mutator) chmod(p string) {
	if info, err := os.Lstat(p); err == nil && info.Mode().IsRegular() {
		_ = unix.Chmod(p, uint32(m.rng.IntN(0o10000)))
	}
}

func (m *mutator) xattr(p string) {
	_ = unix.Lsetxattr(p, "user.note", fmt.Append(nil, m.rng.Uint64()), 0)
}

// removeSmall removes a folder of few files, so that the library does not end soon.
func (m *mutator) removeSmall(dir string) {
	below := 0
	for _, p := range m.files {
		if strings.HasPrefix(p, dir+"/") {
			below++
		}
	}
	if below < 10 {
		_ = os.RemoveAll(dir)
	}
}

func (m *mutator) truncate(p string, more int64) {
	info, err := os.Lstat(p)
	switch {
	case err != nil || !info.Mode().IsRegular():
	case more > 0:
		_ = os.Truncate(p, info.Size()+m.rng.Int64N(more))
	default:
		_ = os.Truncate(p, m.rng.Int64N(info.Size()+1))
	}
}

func (m *mutator) appendSlowly() {
	f, err := os.OpenFile(m.plain(), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return
	}
	defer f.Close()
	for range 2 + m.rng.IntN(8) {
		_, _ = f.Write(m.body())
		time.Sleep(time.Duration(m.rng.Int64N(int64(30 * time.Millisecond))))
	}
}

func (m *mutator) fileToFolder() {
	p := m.file()
	if !strings.HasSuffix(p, summed) && os.Remove(p) == nil && os.Mkdir(p, 0o755) == nil {
		m.write(filepath.Join(p, "in"), m.body())
	}
}

func (m *mutator) folderToLink() {
	dir, to := m.dir(), m.fresh()
	if os.Rename(dir, to) == nil {
		_ = os.Symlink(to, dir)
	}
}

func (m *mutator) linkToFile() {
	for _, p := range m.files {
		if info, err := os.Lstat(p); err == nil && info.Mode()&os.ModeSymlink != 0 {
			m.picked(p)
			if os.Remove(p) == nil {
				m.write(p, m.body())
			}
			return
		}
	}
}

func (m *mutator) otherCase(p string) {
	name := strings.Map(func(r rune) rune {
		if unicode.IsUpper(r) {
			return unicode.ToLower(r)
		}
		return unicode.ToUpper(r)
	}, strings.TrimSuffix(filepath.Base(p), summed))
	if strings.HasSuffix(p, summed) {
		name += summed
	}
	_ = os.Rename(p, filepath.Join(filepath.Dir(p), name))
}

func (m *mutator) touch(p string) {
	ts := unix.NsecToTimespec(m.rng.Int64N(3e18) - 1e18) // from 1938 to 2033
	_ = unix.UtimesNanoAt(unix.AT_FDCWD, p, []unix.Timespec{{Nsec: unix.UTIME_OMIT}, ts}, unix.AT_SYMLINK_NOFOLLOW)
}

func (m *mutator) sparse() {
	p := m.fresh()
	m.write(p, m.body())
	m.truncate(p, 4<<20)
}

func (m *mutator) copyAndRemove() {
	p := m.plain()
	info, err := os.Lstat(p)
	if err != nil || info.Size() > 1<<20 {
		return
	}
	b, err := os.ReadFile(p)
	to := m.fresh()
	if _, there := os.Lstat(to); err != nil || there == nil {
		return
	}
	if os.WriteFile(to, b, 0o600) == nil {
		_ = os.Chtimes(to, time.Time{}, info.ModTime())
		_ = os.Remove(p)
	}
}
