package model

import (
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// draws are the kinds of operation, each as often as its weight says. One that
// needs an open file and finds none opens one.
var draws = []struct {
	weight int
	draw   func(*world, *rapid.T) op
}{
	{8, (*world).drawOpen},
	{4, (*world).drawMkdir},
	{3, (*world).drawSave},
	{3, (*world).drawPut},
	{3, (*world).drawRetag},
	{4, (*world).drawUnlink},
	{2, (*world).drawRmdir},
	{6, (*world).drawRename},
	{3, (*world).drawLink},
	{3, (*world).drawSymlink},
	{1, (*world).drawMkfifo},
	{2, (*world).drawLook},
	{3, (*world).drawChmod},
	{2, (*world).drawChown},
	{4, (*world).drawUtimes},
	{4, (*world).drawXattr},
	{3, (*world).drawTruncate},
	{2, (*world).drawOpendir},
	{3, (*world).drawInDir},
	{10, (*world).drawWrite},
	{6, (*world).drawRead},
	{2, (*world).drawSeek},
	{4, (*world).drawFtruncate},
	{4, (*world).drawFallocate},
	{3, (*world).drawCopyRange},
	{2, (*world).drawHoles},
	{4, (*world).drawMap},
	{2, (*world).drawFstat},
	{1, (*world).drawFsync},
	{6, (*world).drawClose},
	{1, (*world).drawTree},
	{7, (*world).drawEvent},
}

func (w *world) draw(t *rapid.T) op {
	var kinds []int
	for i, d := range draws {
		for range d.weight {
			kinds = append(kinds, i)
		}
	}
	return draws[pick(t, "kind", kinds)].draw(w, t)
}

func pick[T any](t *rapid.T, label string, of []T) T { return rapid.SampledFrom(of).Draw(t, label) }

// chance is true once in n times.
func chance(t *rapid.T, n int) bool { return rapid.IntRange(0, n-1).Draw(t, "chance") == n-1 }

// fresh draws a name in some directory, which may be taken.
func (w *world) fresh(t *rapid.T) string {
	all, dirs := w.names()
	if chance(t, 10) {
		dirs = append(dirs, all...) // below what is no directory
	}
	return path.Join(pick(t, "in", dirs), pick(t, "name", []string{"a", "b", "c"}))
}

// existing draws a name that exists, mostly.
func (w *world) existing(t *rapid.T) string {
	all, _ := w.names()
	if len(all) == 0 || chance(t, 10) {
		return w.fresh(t)
	}
	return pick(t, "path", all)
}

// file is existing, but a file's name if there is one, and often the one before.
func (w *world) file(t *rapid.T) (name string) {
	defer func() { w.recent = name }()
	if fi, err := os.Lstat(w.plain.path(w.recent)); err == nil && fi.Mode().IsRegular() && chance(t, 2) {
		return w.recent
	}
	all, _ := w.names()
	var files []string
	for _, n := range all {
		if fi, err := os.Lstat(w.plain.path(n)); err == nil && fi.Mode().IsRegular() {
			files = append(files, n)
		}
	}
	if len(files) == 0 || chance(t, 10) {
		return w.existing(t)
	}
	return pick(t, "file", files)
}

// handle draws an open file, often the last one; ok is false if there is none.
func (w *world) handle(t *rapid.T) (id int, ok bool) {
	open := handles(w.plain.files)
	if len(open) == 0 {
		return 0, false
	}
	if chance(t, 2) {
		return open[len(open)-1], true
	}
	return pick(t, "handle", open), true
}

// offset draws a place in a file: near its beginning, its end, a page's or a
// window's border.
func (w *world) offset(t *rapid.T, size int64) int64 {
	switch rapid.IntRange(0, 3).Draw(t, "where") {
	case 0:
		return int64(rapid.IntRange(0, 300).Draw(t, "offset"))
	case 1:
		return max(0, size+int64(rapid.IntRange(-300, 300).Draw(t, "offset")))
	case 2:
		at := pick(t, "border", []int64{4 << 10, 64 << 10, 128 << 10, 256 << 10, 400_000, 512 << 10})
		return at + int64(rapid.IntRange(-2, 2).Draw(t, "offset"))
	}
	return rapid.Int64Range(0, max(size, 1)).Draw(t, "offset")
}

func length(t *rapid.T) int64 {
	if chance(t, 4) {
		return int64(rapid.IntRange(0, 300_000).Draw(t, "length"))
	}
	return int64(rapid.IntRange(0, 9000).Draw(t, "length"))
}

// size is that of an open file.
func (w *world) size(id int) int64 {
	var st unix.Stat_t
	_ = unix.Fstat(w.plain.files[id], &st) // 0 if there is none
	return st.Size
}

func (w *world) drawOpen(t *rapid.T) op {
	p := w.file(t)
	access := pick(t, "access", []int{unix.O_RDWR, unix.O_WRONLY, unix.O_RDONLY})
	flags, text := access, map[int]string{unix.O_RDWR: "rw", unix.O_WRONLY: "w", unix.O_RDONLY: "r"}[access]
	for _, f := range []struct {
		flag  int
		often int
		name  string
	}{
		{unix.O_CREAT, 2, "creat"}, {unix.O_TRUNC, 6, "trunc"}, {unix.O_EXCL, 10, "excl"},
		{unix.O_APPEND, 5, "append"}, {unix.O_NOFOLLOW, 10, "nofollow"}, {unix.O_DIRECTORY, 30, "directory"},
	} {
		if chance(t, f.often) {
			flags |= f.flag
			text += " " + f.name
		}
	}
	w.opened++
	id := w.opened
	return op{text: fmt.Sprintf("h%d = open %s %s", id, p, text), both: func(s *side) string { return s.open(id, p, flags) }}
}

func (w *world) drawMkdir(t *rapid.T) op {
	p, mode := w.fresh(t), pick(t, "mode", []uint32{0o755, 0o700, 0o2775, 0o1777})
	return op{text: fmt.Sprintf("mkdir %s %04o", p, mode), both: func(s *side) string {
		return do(func() error { return unix.Mkdir(s.path(p), mode) })
	}}
}

func (w *world) drawSave(t *rapid.T) op {
	p, n, salt := w.fresh(t), length(t), len(w.done)
	return op{text: fmt.Sprintf("save %d bytes as %s", n, p), both: func(s *side) string { return s.save(p, pattern(salt, n)) }}
}

func (w *world) drawPut(t *rapid.T) op {
	p, i := w.fresh(t), rapid.IntRange(0, len(w.tracks)-1).Draw(t, "track")
	return op{text: fmt.Sprintf("save track %d as %s", i, p), both: func(s *side) string { return s.save(p, w.tracks[i]) }}
}

func (w *world) drawRetag(t *rapid.T) op {
	p, more := w.file(t), rapid.IntRange(1, 5000).Draw(t, "bytes")
	over := !chance(t, 3)
	text := fmt.Sprintf("retag %s with %d bytes", p, more)
	if over {
		text += ", renamed over"
	}
	return op{text: text, both: func(s *side) string { return s.retag(p, more, over) }}
}

func (w *world) drawUnlink(t *rapid.T) op {
	p := w.existing(t)
	return op{text: "unlink " + p, both: func(s *side) string { return do(func() error { return unix.Unlink(s.path(p)) }) }}
}

func (w *world) drawRmdir(t *rapid.T) op {
	p := w.existing(t)
	return op{text: "rmdir " + p, both: func(s *side) string { return do(func() error { return unix.Rmdir(s.path(p)) }) }}
}

func (w *world) drawRename(t *rapid.T) op {
	from := w.existing(t)
	to := w.fresh(t)
	if chance(t, 2) {
		to = w.existing(t)
	}
	flags := pick(t, "flags", []uint{0, 0, 0, unix.RENAME_NOREPLACE, unix.RENAME_EXCHANGE})
	text := fmt.Sprintf("rename %s to %s", from, to)
	switch flags {
	case unix.RENAME_NOREPLACE:
		text += ", noreplace"
	case unix.RENAME_EXCHANGE:
		text += ", exchange"
	}
	return op{text: text, both: func(s *side) string {
		return do(func() error { return unix.Renameat2(unix.AT_FDCWD, s.path(from), unix.AT_FDCWD, s.path(to), flags) })
	}}
}

func (w *world) drawLink(t *rapid.T) op {
	from, to := w.existing(t), w.fresh(t)
	return op{text: fmt.Sprintf("link %s as %s", from, to), both: func(s *side) string {
		return do(func() error { return unix.Link(s.path(from), s.path(to)) })
	}}
}

func (w *world) drawSymlink(t *rapid.T) op {
	target, p := pick(t, "target", []string{"a", "b", "b/c", "a/b", ".", "nowhere"}), w.fresh(t)
	return op{text: fmt.Sprintf("symlink %s to %s", p, target), both: func(s *side) string {
		return do(func() error { return unix.Symlink(target, s.path(p)) })
	}}
}

func (w *world) drawMkfifo(t *rapid.T) op {
	p := w.fresh(t)
	return op{text: "mkfifo " + p, both: func(s *side) string { return do(func() error { return unix.Mkfifo(s.path(p), 0o640) }) }}
}

func (w *world) drawLook(t *rapid.T) op {
	p := w.existing(t)
	if chance(t, 2) {
		return op{text: "lstat " + p, both: func(s *side) string { return s.stat(p, unix.AT_SYMLINK_NOFOLLOW) }}
	}
	return op{text: "read all of " + p, both: func(s *side) string { return s.readAll(p) }}
}

// mode draws permissions; a plain user keeps the right to clean up.
func mode(t *rapid.T) uint32 {
	m := pick(t, "mode", []uint32{0o644, 0o600, 0o755, 0o777, 0o444, 0o4755, 0o2755, 0o1777, 0})
	if os.Geteuid() != 0 {
		m |= 0o700
	}
	return m
}

func (w *world) drawChmod(t *rapid.T) op {
	m := mode(t)
	if id, ok := w.handle(t); ok && chance(t, 3) {
		return op{needs: []int{id}, text: fmt.Sprintf("fchmod h%d %04o", id, m), both: func(s *side) string {
			return do(func() error { return unix.Fchmod(s.files[id], m) })
		}}
	}
	p := w.existing(t)
	return op{text: fmt.Sprintf("chmod %s %04o", p, m), both: func(s *side) string {
		return do(func() error { return unix.Chmod(s.path(p), m) })
	}}
}

func (w *world) drawChown(t *rapid.T) op {
	if os.Geteuid() != 0 {
		return w.drawChmod(t)
	}
	p, uid, gid := w.existing(t), pick(t, "uid", []int{-1, 0, 1000}), pick(t, "gid", []int{-1, 0, 1001})
	return op{text: fmt.Sprintf("lchown %s %d:%d", p, uid, gid), both: func(s *side) string {
		return do(func() error { return unix.Lchown(s.path(p), uid, gid) })
	}}
}

func (w *world) drawUtimes(t *rapid.T) op {
	at := unix.Timespec{
		Sec:  pick(t, "s", []int64{1_000_000_000, 1_234_567_890, 1_500_000_001}),
		Nsec: pick(t, "ns", []int64{0, 1, 123_456_789, 999_999_999}),
	}
	times := []unix.Timespec{at, at}
	p := w.existing(t)
	return op{text: fmt.Sprintf("set times of %s to %d.%09d", p, at.Sec, at.Nsec), both: func(s *side) string {
		return do(func() error { return unix.UtimesNanoAt(unix.AT_FDCWD, s.path(p), times, unix.AT_SYMLINK_NOFOLLOW) })
	}}
}

func (w *world) drawXattr(t *rapid.T) op {
	p, name := w.existing(t), pick(t, "attribute", []string{"user.a", "user.b", "user.c"})
	switch rapid.IntRange(0, 3).Draw(t, "what") {
	case 0:
		return op{text: fmt.Sprintf("remove %s of %s", name, p), both: func(s *side) string {
			return do(func() error { return unix.Lremovexattr(s.path(p), name) })
		}}
	case 1:
		return op{text: fmt.Sprintf("get %s of %s", name, p), both: func(s *side) string { return getxattr(s.path(p), name) }}
	}
	value := strings.Repeat("v", rapid.IntRange(0, 500).Draw(t, "bytes"))
	flags := pick(t, "flags", []int{0, 0, unix.XATTR_CREATE, unix.XATTR_REPLACE})
	return op{text: fmt.Sprintf("set %s of %s to %d bytes, flags %d", name, p, len(value), flags), both: func(s *side) string {
		return do(func() error { return unix.Lsetxattr(s.path(p), name, []byte(value), flags) })
	}}
}

func (w *world) drawTruncate(t *rapid.T) op {
	p := w.file(t)
	var size int64
	if fi, err := os.Stat(w.plain.path(p)); err == nil {
		size = fi.Size()
	}
	to := w.offset(t, size)
	return op{text: fmt.Sprintf("truncate %s to %d", p, to), both: func(s *side) string {
		return do(func() error { return unix.Truncate(s.path(p), to) })
	}}
}

func (w *world) drawOpendir(t *rapid.T) op {
	_, dirs := w.names()
	p := pick(t, "directory", dirs)
	w.opened++
	id := w.opened
	return op{text: fmt.Sprintf("d%d = opendir %s", id, p), both: func(s *side) string { return s.opendir(id, p) }}
}

// drawInDir uses an open directory, which may be gone or elsewhere by now.
func (w *world) drawInDir(t *rapid.T) op {
	open := handles(w.plain.dirs)
	if len(open) == 0 {
		return w.drawOpendir(t)
	}
	id := pick(t, "handle", open)
	switch rapid.IntRange(0, 3).Draw(t, "what") {
	case 0:
		return op{needs: []int{id}, text: fmt.Sprintf("list d%d", id), both: func(s *side) string { return s.list(id) }}
	case 1:
		name := pick(t, "name", []string{"a", "b", "c"})
		return op{needs: []int{id}, text: fmt.Sprintf("mkdir %s in d%d", name, id), both: func(s *side) string {
			return do(func() error { return unix.Mkdirat(s.dirs[id], name, 0o755) })
		}}
	case 2:
		name := pick(t, "name", []string{"a", "b", "c"})
		return op{needs: []int{id}, text: fmt.Sprintf("unlink %s in d%d", name, id), both: func(s *side) string {
			return do(func() error { return unix.Unlinkat(s.dirs[id], name, 0) })
		}}
	}
	return op{needs: []int{id}, text: fmt.Sprintf("close d%d", id), both: func(s *side) string { return s.closedir(id) }}
}

func (w *world) drawWrite(t *rapid.T) op {
	id, ok := w.handle(t)
	if !ok {
		return w.drawOpen(t)
	}
	n, salt := length(t), len(w.done)
	if chance(t, 3) {
		return op{needs: []int{id}, text: fmt.Sprintf("write h%d %d bytes", id, n), both: func(s *side) string { return s.write(id, pattern(salt, n)) }}
	}
	off := w.offset(t, w.size(id))
	return op{needs: []int{id}, text: fmt.Sprintf("pwrite h%d %d bytes at %d", id, n, off), both: func(s *side) string { return s.pwrite(id, pattern(salt, n), off) }}
}

func (w *world) drawRead(t *rapid.T) op {
	id, ok := w.handle(t)
	if !ok {
		return w.drawOpen(t)
	}
	n := length(t)
	if chance(t, 3) {
		return op{needs: []int{id}, text: fmt.Sprintf("read h%d %d bytes", id, n), both: func(s *side) string { return s.read(id, n) }}
	}
	off := w.offset(t, w.size(id))
	return op{needs: []int{id}, text: fmt.Sprintf("pread h%d %d bytes at %d", id, n, off), both: func(s *side) string { return s.pread(id, n, off) }}
}

func (w *world) drawSeek(t *rapid.T) op {
	id, ok := w.handle(t)
	if !ok {
		return w.drawOpen(t)
	}
	off, whence := int64(rapid.IntRange(-10, 5000).Draw(t, "offset")), rapid.IntRange(0, 2).Draw(t, "whence")
	return op{needs: []int{id}, text: fmt.Sprintf("seek h%d %d from %s", id, off, []string{"start", "here", "end"}[whence]), both: func(s *side) string {
		at, err := unix.Seek(s.files[id], off, whence)
		return fmt.Sprint(told(err), " ", at)
	}}
}

func (w *world) drawFtruncate(t *rapid.T) op {
	id, ok := w.handle(t)
	if !ok {
		return w.drawOpen(t)
	}
	to := w.offset(t, w.size(id))
	return op{needs: []int{id}, text: fmt.Sprintf("ftruncate h%d to %d", id, to), both: func(s *side) string {
		return do(func() error { return unix.Ftruncate(s.files[id], to) })
	}}
}

func (w *world) drawFallocate(t *rapid.T) op {
	id, ok := w.handle(t)
	if !ok {
		return w.drawOpen(t)
	}
	const keep, punch, zero = unix.FALLOC_FL_KEEP_SIZE, unix.FALLOC_FL_PUNCH_HOLE, unix.FALLOC_FL_ZERO_RANGE
	mode := pick(t, "mode", []uint32{0, keep, punch | keep, punch | keep, zero, zero | keep})
	off, n := w.offset(t, w.size(id)), length(t)
	return op{needs: []int{id}, text: fmt.Sprintf("fallocate h%d %s %d bytes at %d", id, map[uint32]string{
		0: "more", keep: "keep size", punch | keep: "punch hole", zero: "zero range", zero | keep: "zero range, keep size",
	}[mode], n, off), both: func(s *side) string {
		return do(func() error { return unix.Fallocate(s.files[id], mode, off, n) })
	}}
}

func (w *world) drawCopyRange(t *rapid.T) op {
	from, ok := w.handle(t)
	if !ok {
		return w.drawOpen(t)
	}
	to, _ := w.handle(t)
	at, into, n := w.offset(t, w.size(from)), w.offset(t, w.size(to)), length(t)
	return op{needs: []int{from, to}, text: fmt.Sprintf("copy_file_range h%d at %d to h%d at %d, %d bytes", from, at, to, into, n), both: func(s *side) string {
		return s.copyRange(from, to, at, into, n)
	}}
}

func (w *world) drawHoles(t *rapid.T) op {
	id, ok := w.handle(t)
	if !ok {
		return w.drawOpen(t)
	}
	off := w.offset(t, w.size(id))
	return op{needs: []int{id}, text: fmt.Sprintf("data and holes of h%d from %d", id, off), both: func(s *side) string { return s.holes(id, off) }}
}

func (w *world) drawMap(t *rapid.T) op {
	id, ok := w.handle(t)
	if !ok {
		return w.drawOpen(t)
	}
	off, n, salt := w.offset(t, w.size(id)), length(t), len(w.done)
	switch rapid.IntRange(0, 2).Draw(t, "how") {
	case 0:
		return op{needs: []int{id}, text: fmt.Sprintf("map h%d, read %d bytes at %d", id, n, off), both: func(s *side) string { return s.mapped(id, off, n, unix.MAP_SHARED, nil) }}
	case 1:
		return op{needs: []int{id}, text: fmt.Sprintf("map h%d privately, write %d bytes at %d", id, n, off), both: func(s *side) string {
			return s.mapped(id, off, n, unix.MAP_PRIVATE, pattern(salt, n))
		}}
	}
	return op{needs: []int{id}, text: fmt.Sprintf("map h%d, write %d bytes at %d", id, n, off), both: func(s *side) string {
		return s.mapped(id, off, n, unix.MAP_SHARED, pattern(salt, n))
	}}
}

func (w *world) drawFstat(t *rapid.T) op {
	id, ok := w.handle(t)
	if !ok {
		return w.drawOpen(t)
	}
	return op{needs: []int{id}, text: fmt.Sprintf("fstat h%d", id), both: func(s *side) string { return s.fstat(id) }}
}

func (w *world) drawFsync(t *rapid.T) op {
	id, ok := w.handle(t)
	if !ok {
		return w.drawOpen(t)
	}
	return op{needs: []int{id}, text: fmt.Sprintf("fsync h%d", id), both: func(s *side) string { return do(func() error { return unix.Fsync(s.files[id]) }) }}
}

func (w *world) drawClose(t *rapid.T) op {
	id, ok := w.handle(t)
	if !ok {
		return w.drawOpen(t)
	}
	return op{needs: []int{id}, text: fmt.Sprintf("close h%d", id), both: func(s *side) string { return s.close(id) }}
}

func (w *world) drawTree(*rapid.T) op {
	return op{text: "compare all", event: func(w *world) { w.compare("compare all", true) }}
}

func (w *world) drawEvent(t *rapid.T) op {
	return pick(t, "event", []op{
		{text: "evict", event: (*world).evict}, {text: "evict", event: (*world).evict},
		{text: "restart", event: func(w *world) { w.closeAll(); w.rig.restart() }},
		{text: "kill -9, restart", event: func(w *world) { w.rig.kill(); w.closeAll() }},
		{text: "lose the home", event: func(w *world) { w.closeAll(); w.rig.lose() }},
		{text: "go to the other machine", event: func(w *world) { w.closeAll(); w.rig.move() }},
	})
}
