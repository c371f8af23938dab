package crash

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// writer is a program that works in a folder of its own, one step after another,
// and keeps account of what was acknowledged.
type writer struct {
	root string
	rng  *rand.Rand
	stop *atomic.Bool
	next int // of inodes and of names

	now    *tree                   // by what was acknowledged
	flight *tree                   // the same with the step under way; nil if none is
	what   string                  // that step
	tornID int                     // the inode that it writes,
	torn   func(got []byte) bool   // and what may be found in it if it was cut short
	steps  atomic.Int64            // acknowledged, since the world began
	done   []string                // the steps, with their times
	wrong  []string                // what was read amiss
	amiss  int                     // how much the last settle found other than acknowledged
	ops    []func(w *writer) error // what it does
}

var errAmiss = errors.New("read amiss")

// most is how many files a writer keeps.
const most = 12

// attributes are the extended attributes that writers set.
var attributes = []string{"user.rating", "user.mood"}

func newWriter(root string, seed uint64, stop *atomic.Bool) *writer {
	return &writer{root: root, rng: rand.New(rand.NewPCG(seed, 7)), stop: stop, now: newTree(), ops: []func(*writer) error{
		(*writer).create, (*writer).create, (*writer).create, (*writer).appendTo, (*writer).appendTo, (*writer).overwrite,
		(*writer).replace, (*writer).replace, (*writer).replace, (*writer).mapped, (*writer).truncate, (*writer).truncate,
		(*writer).setXattr, (*writer).link, (*writer).rename, (*writer).rename, (*writer).exchange, (*writer).remove, (*writer).mkdir,
		(*writer).renameDir, (*writer).rmdir, (*writer).attr, (*writer).syncDir, (*writer).read, (*writer).read,
	}}
}

// run works until it is told to stop, or an operation fails.
func (w *writer) run() error {
	debug.SetPanicOnFault(true) // a page of a mapping may be gone with the drive
	for !w.stop.Load() {
		if err := w.ops[w.rng.IntN(len(w.ops))](w); err != nil {
			return fmt.Errorf("%s: %w", w.what, err)
		}
		time.Sleep(time.Duration(w.rng.IntN(3000)) * time.Microsecond)
	}
	return nil
}

// step does one thing; then says what the folder holds once it has returned.
func (w *writer) step(what string, do func() error, then func(*tree)) error {
	w.what = what
	w.flight = w.now.clone()
	then(w.flight)
	if err := do(); err != nil {
		return err
	}
	w.now, w.flight, w.torn = w.flight, nil, nil
	w.steps.Add(1)
	w.done = append(w.done, fmt.Sprintf("%s %s", time.Now().UTC().Format("15:04:05.000"), what))
	return nil
}

func unchanged(*tree) {}

func (w *writer) path(p string) string { return filepath.Join(w.root, p) }

// pick chooses one of the paths, "" if there is none.
func (w *writer) pick(paths []string) string {
	if len(paths) == 0 {
		return ""
	}
	return paths[w.rng.IntN(len(paths))]
}

// name makes a new name in some folder.
func (w *writer) name() string {
	w.next++
	return path.Join(w.pick(append(w.now.list(true), "")), fmt.Sprintf("%04d", w.next))
}

// bytes makes up to n bytes, mostly few.
func (w *writer) bytes(n int) []byte {
	n = 1 + w.rng.IntN(n)
	if w.rng.IntN(8) > 0 {
		n = 1 + n/16
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(w.rng.Uint32())
	}
	return b
}

// open opens a file that is there.
func (w *writer) open(p string, flags int) (f *os.File, id int, err error) {
	err = w.step("open "+p, func() (err error) { f, err = os.OpenFile(w.path(p), flags, 0); return err }, unchanged)
	return f, w.now.names[p], err
}

// add makes a file and leaves it open.
func (w *writer) add(p string) (f *os.File, id int, err error) {
	w.next++
	id = w.next
	err = w.step("create "+p, func() (err error) {
		f, err = os.OpenFile(w.path(p), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o640)
		return err
	}, func(t *tree) {
		t.names[p] = id
		t.inodes[id] = inode{perm: 0o640}
	})
	return f, id, err
}

// writeAt writes, and what was written counts from then on.
func (w *writer) writeAt(f *os.File, id, off int, p []byte, appending bool) error {
	w.age(id)
	old := w.now.inodes[id].data
	w.tornID, w.torn = id, func(got []byte) bool { return partly(old, got, off, p) }
	return w.step(fmt.Sprintf("write %d bytes at %d of %s", len(p), off, f.Name()), func() (err error) {
		if appending {
			_, err = f.Write(p)
		} else {
			_, err = f.WriteAt(p, int64(off))
		}
		return err
	}, func(t *tree) { t.set(id, overwrite(old, off, p)) })
}

// age forgets the time set by hand, before something that changes it begins.
func (w *writer) age(id int) { w.now.set(id, w.now.inodes[id].data) }

// end closes a file, now and then after fsync.
func (w *writer) end(f *os.File) error {
	if w.rng.IntN(3) == 0 {
		if err := w.step("fsync "+f.Name(), f.Sync, unchanged); err != nil {
			f.Close()
			return err
		}
	}
	return w.step("close "+f.Name(), f.Close, unchanged)
}

// failed closes a file after an error.
func failed(f *os.File, err error) error {
	f.Close()
	return err
}

func (w *writer) create() error {
	if len(w.now.list(false)) >= most {
		return w.remove()
	}
	f, id, err := w.add(w.name())
	if err != nil {
		return err
	}
	for off, n := 0, w.rng.IntN(4); n > 0; n-- {
		p := w.bytes(300_000)
		if err := w.writeAt(f, id, off, p, false); err != nil {
			return failed(f, err)
		}
		off += len(p)
	}
	return w.end(f)
}

func (w *writer) appendTo() error {
	return w.edit(os.O_WRONLY|os.O_APPEND, func(f *os.File, id int) error {
		return w.writeAt(f, id, len(w.now.inodes[id].data), w.bytes(20_000), true)
	})
}

func (w *writer) overwrite() error {
	return w.edit(os.O_RDWR, func(f *os.File, id int) error {
		return w.writeAt(f, id, w.rng.IntN(len(w.now.inodes[id].data)+1), w.bytes(20_000), false)
	})
}

// edit opens a file, has it changed, and closes it.
func (w *writer) edit(flags int, change func(f *os.File, id int) error) error {
	p := w.pick(w.now.list(false))
	if p == "" {
		return nil
	}
	f, id, err := w.open(p, flags)
	if err != nil {
		return err
	}
	if err := change(f, id); err != nil {
		return failed(f, err)
	}
	return w.end(f)
}

// replace writes a new file and renames it over the old one, as taggers do.
func (w *writer) replace() error {
	p := w.pick(w.now.list(false))
	if p == "" {
		return nil
	}
	return w.replaceBy(p, w.bytes(300_000))
}

func (w *writer) replaceBy(p string, data []byte) error {
	w.next++
	tmp := path.Join(path.Dir(p), fmt.Sprintf(".tmp-%d", w.next))
	f, id, err := w.add(tmp)
	if err != nil {
		return err
	}
	if err := w.writeAt(f, id, 0, data, false); err != nil {
		return failed(f, err)
	}
	if err := w.end(f); err != nil {
		return err
	}
	return w.renameTo(tmp, p)
}

func (w *writer) renameTo(from, to string) error {
	return w.step(fmt.Sprintf("rename %s to %s", from, to), func() error {
		return os.Rename(w.path(from), w.path(to))
	}, func(t *tree) { t.move(from, to) })
}

// mapped stores into a mapping; what was stored counts once msync returned.
func (w *writer) mapped() error {
	return w.edit(os.O_RDWR, func(f *os.File, id int) (err error) {
		old := w.now.inodes[id].data
		if len(old) == 0 {
			return nil
		}
		off := w.rng.IntN(len(old))
		p := w.bytes(9000)
		p = p[:min(len(p), len(old)-off)]
		want := overwrite(old, off, p)
		w.age(id)
		w.tornID, w.torn = id, func(got []byte) bool { return eitherByte(got, old, want) }
		return w.step(fmt.Sprintf("store %d bytes at %d of %s", len(p), off, f.Name()), func() (err error) {
			m, err := unix.Mmap(int(f.Fd()), 0, len(old), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
			if err != nil {
				return err
			}
			defer func() {
				if r := recover(); r != nil {
					err = fmt.Errorf("fault: %v", r)
				}
				err = errors.Join(err, unix.Munmap(m))
			}()
			copy(m[off:], p)
			return unix.Msync(m, unix.MS_SYNC)
		}, func(t *tree) { t.set(id, want) })
	})
}

func eitherByte(got, a, b []byte) bool {
	if len(got) != len(a) || len(a) != len(b) {
		return false
	}
	for i := range got {
		if got[i] != a[i] && got[i] != b[i] {
			return false
		}
	}
	return true
}

func (w *writer) truncate() error {
	p := w.pick(w.now.list(false))
	if p == "" {
		return nil
	}
	id := w.now.names[p]
	old := w.now.inodes[id].data
	size := w.rng.IntN(len(old) + 5000)
	if w.rng.IntN(4) == 0 {
		size = 0
	}
	data := append([]byte(nil), old[:min(size, len(old))]...)
	data = append(data, make([]byte, size-len(data))...)
	w.age(id)
	return w.step(fmt.Sprintf("truncate %s to %d", p, size), func() error {
		return os.Truncate(w.path(p), int64(size))
	}, func(t *tree) { t.set(id, data) })
}

func (w *writer) setXattr() error {
	p := w.pick(append(w.now.list(false), w.now.list(true)...))
	if p == "" {
		return nil
	}
	id := w.now.names[p]
	k, v := w.pick(attributes), fmt.Sprint(w.rng.IntN(1000))
	_, has := w.now.inodes[id].xattrs[k]
	gone := has && w.rng.IntN(3) == 0
	return w.step("xattr of "+p, func() error {
		if gone {
			return unix.Lremovexattr(w.path(p), k)
		}
		return unix.Lsetxattr(w.path(p), k, []byte(v), 0)
	}, func(t *tree) {
		n := t.inodes[id]
		x := map[string]string{}
		for old, value := range n.xattrs {
			x[old] = value
		}
		x[k] = v
		if gone {
			delete(x, k)
		}
		n.xattrs = x
		t.inodes[id] = n
	})
}

// attr sets mode or time.
func (w *writer) attr() error {
	p := w.pick(w.now.list(false))
	if p == "" {
		return nil
	}
	id := w.now.names[p]
	if w.rng.IntN(2) == 0 {
		perm := fs.FileMode(0o600 | w.rng.IntN(0o100))
		return w.step("chmod "+p, func() error { return os.Chmod(w.path(p), perm) }, func(t *tree) {
			n := t.inodes[id]
			n.perm = perm
			t.inodes[id] = n
		})
	}
	w.age(id)
	at := time.Unix(1e9+w.rng.Int64N(5e8), w.rng.Int64N(1e9))
	return w.step("utimes "+p, func() error { return os.Chtimes(w.path(p), time.Time{}, at) }, func(t *tree) {
		n := t.inodes[id]
		n.mtime = at
		t.inodes[id] = n
	})
}

func (w *writer) link() error {
	p, to := w.pick(w.now.list(false)), w.name()
	if p == "" {
		return nil
	}
	return w.step(fmt.Sprintf("link %s to %s", p, to), func() error { return os.Link(w.path(p), w.path(to)) },
		func(t *tree) { t.names[to] = t.names[p] })
}

// rename moves a file to a new name, or over another.
func (w *writer) rename() error {
	p, to := w.pick(w.now.list(false)), w.name()
	if w.rng.IntN(2) == 0 {
		to = w.pick(w.now.list(false))
	}
	if p == "" || w.now.names[p] == w.now.names[to] { // two names of one file: nothing is done
		return nil
	}
	return w.renameTo(p, to)
}

func (w *writer) exchange() error {
	a, b := w.pick(w.now.list(false)), w.pick(w.now.list(false))
	if a == b {
		return nil
	}
	return w.step(fmt.Sprintf("exchange %s and %s", a, b), func() error {
		return unix.Renameat2(unix.AT_FDCWD, w.path(a), unix.AT_FDCWD, w.path(b), unix.RENAME_EXCHANGE)
	}, func(t *tree) { t.names[a], t.names[b] = t.names[b], t.names[a] })
}

func (w *writer) remove() error {
	p := w.pick(w.now.list(false))
	if p == "" {
		return nil
	}
	return w.step("unlink "+p, func() error { return os.Remove(w.path(p)) }, func(t *tree) { delete(t.names, p) })
}

func (w *writer) mkdir() error {
	if len(w.now.list(true)) > 4 {
		return w.rmdir()
	}
	p := w.name()
	w.next++
	id := w.next
	return w.step("mkdir "+p, func() error { return os.Mkdir(w.path(p), 0o750) }, func(t *tree) {
		t.names[p] = id
		t.inodes[id] = inode{dir: true, perm: 0o750}
	})
}

func (w *writer) renameDir() error {
	p := w.pick(w.now.list(true))
	if p == "" {
		return nil
	}
	w.next++
	return w.renameTo(p, fmt.Sprintf("%04d", w.next)) // at the top: not below itself
}

func (w *writer) rmdir() error {
	p := w.pick(w.now.list(true))
	if p == "" || slices.ContainsFunc(append(w.now.list(false), w.now.list(true)...), func(q string) bool { return path.Dir(q) == p }) {
		return nil
	}
	return w.step("rmdir "+p, func() error { return os.Remove(w.path(p)) }, func(t *tree) { delete(t.names, p) })
}

// syncDir is fsync of a folder.
func (w *writer) syncDir() error {
	p := w.pick(append(w.now.list(true), ""))
	return w.step("fsync of folder "+p, func() error {
		d, err := os.Open(w.path(p))
		if err != nil {
			return err
		}
		return errors.Join(d.Sync(), d.Close())
	}, unchanged)
}

// read compares a file with what it must be.
func (w *writer) read() error {
	p := w.pick(w.now.list(false))
	if p == "" {
		return nil
	}
	return w.step("read "+p, func() error {
		got, err := os.ReadFile(w.path(p))
		if want := w.now.inodes[w.now.names[p]].data; err == nil && !bytes.Equal(got, want) {
			w.wrong = append(w.wrong, fmt.Sprintf("read %s: %s", p, where(want, got)))
			return errAmiss
		}
		return err
	}, unchanged)
}
