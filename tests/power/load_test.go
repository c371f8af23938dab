package power

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Of the load: how many names each program works on.
const (
	filesEach   = 6
	foldersEach = 4
	largest     = 96 << 10 // bytes of a file
)

// program is one of those that use the drive: it makes, changes and removes its
// own files and keeps the ledger of them.
type program struct {
	rng  *rand.Rand
	dir  string
	all  []*entry
	done map[string]int // operations that succeeded
	slow time.Duration  // the longest of them in this cycle
}

func newProgram(seed uint64, dir string) *program {
	p := &program{rng: rand.New(rand.NewPCG(seed, 7)), dir: dir, done: map[string]int{}}
	for i := range filesEach {
		p.all = append(p.all, newEntry(file, filepath.Join(dir, fmt.Sprintf("track %d", i))))
	}
	for i := range foldersEach {
		p.all = append(p.all, newEntry(folder, filepath.Join(dir, fmt.Sprintf("album %d", i))))
	}
	p.all = append(p.all, newEntry(attribute, dir))
	return p
}

// run works until an operation fails, as it does without power; the error is
// of interest only while there is power.
func (p *program) run(powered func() bool) error {
	p.slow = 0
	for powered() {
		e := p.all[p.rng.IntN(len(p.all))]
		name, op := p.choose(e)
		begun := time.Now()
		if err := op(e); err != nil {
			return fmt.Errorf("%s %s: %w", name, e.path, err)
		}
		p.slow = max(p.slow, time.Since(begun))
		p.done[name]++
		if p.rng.IntN(3) == 0 {
			time.Sleep(time.Duration(p.rng.Int64N(int64(20 * time.Millisecond))))
		}
	}
	return nil
}

func (p *program) choose(e *entry) (string, func(*entry) error) {
	type op struct {
		name string
		run  func(*entry) error
	}
	ops := []op{{"fsync of the folder", p.syncFolder}}
	switch e.kind {
	case folder:
		ops = append(ops, op{"mkdir or rmdir", p.folder}, op{"mkdir or rmdir", p.folder})
	case attribute:
		ops = append(ops, op{"setxattr", p.attribute}, op{"setxattr", p.attribute})
	case file:
		ops = append(ops, op{"rename over", p.replace}, op{"rename over", p.replace}, op{"rename over", p.replace}, op{"create", p.create})
		if !e.now().absent {
			ops = append(ops, op{"write in place", p.patch}, op{"write in place", p.patch}, op{"truncate", p.truncate}, op{"unlink", p.unlink}, op{"read", p.read})
		}
	}
	o := ops[p.rng.IntN(len(ops))]
	return o.name, o.run
}

func (p *program) bytes() []byte {
	b := make([]byte, 1+p.rng.IntN(largest))
	for i := range b {
		b[i] = byte(1 + p.rng.IntN(255)) // zeros are what a lost page reads as
	}
	return b
}

// write writes in a few pieces and closes, with an fsync or without.
func (p *program) write(f *os.File, b []byte, off int64, sync bool) error {
	for len(b) > 0 {
		k := min(len(b), 1+p.rng.IntN(largest))
		if _, err := f.WriteAt(b[:k], off); err != nil {
			f.Close()
			return err
		}
		b, off = b[k:], off+int64(k)
	}
	if sync {
		if err := f.Sync(); err != nil {
			f.Close()
			return err
		}
	}
	return f.Close()
}

// create writes a file anew under its own name.
func (p *program) create(e *entry) error {
	b, sync := p.bytes(), p.rng.IntN(2) == 0
	e.begin(version{bytes: b})
	f, err := os.Create(e.path)
	if err == nil {
		err = p.write(f, b, 0, sync)
	}
	return p.end(e, sync, err)
}

func (p *program) end(e *entry, promised bool, err error) error {
	if err == nil {
		e.finish()
		if promised {
			e.promised()
		}
	}
	return err
}

// replace writes a file beside and renames it over, as most taggers do, most of
// them without fsync.
func (p *program) replace(e *entry) error {
	b, sync := p.bytes(), p.rng.IntN(3) == 0
	tmp := filepath.Join(p.dir, ".new")
	// One that a power loss left is not written anew in place: what another power
	// loss may make of its old bytes is not in the ledger.
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	if p.rng.IntN(4) == 0 { // renamed while open
		if _, err = f.Write(b); err == nil {
			e.begin(version{bytes: b, atomic: !e.now().absent})
			err = os.Rename(tmp, e.path)
		}
		if sync && err == nil {
			err = f.Sync()
		}
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return err
		}
		return p.end(e, sync, nil)
	}
	if err := p.write(f, b, 0, sync); err != nil {
		return err
	}
	e.begin(version{bytes: b, atomic: !e.now().absent}) // a new name may come before its bytes
	return p.end(e, false, os.Rename(tmp, e.path))
}

// patch writes a few bytes in place or behind the end.
func (p *program) patch(e *entry) error {
	old := e.now().bytes
	off := p.rng.IntN(len(old) + 1)
	b := p.bytes()
	b = b[:min(len(b), 1+p.rng.IntN(9000))]
	whole := append([]byte(nil), old[:off]...)
	whole = append(whole, b...)
	if len(whole) < len(old) {
		whole = append(whole, old[len(whole):]...)
	}
	sync := p.rng.IntN(2) == 0
	e.begin(version{bytes: whole})
	f, err := os.OpenFile(e.path, os.O_WRONLY, 0)
	if err == nil {
		err = p.write(f, b, int64(off), sync)
	}
	return p.end(e, sync, err)
}

func (p *program) truncate(e *entry) error {
	old := e.now().bytes
	b := old[:p.rng.IntN(len(old)+1)]
	e.begin(version{bytes: b})
	return p.end(e, false, os.Truncate(e.path, int64(len(b))))
}

func (p *program) unlink(e *entry) error {
	e.begin(version{absent: true, atomic: true})
	return p.end(e, false, os.Remove(e.path))
}

func (p *program) read(e *entry) error {
	got, err := e.see()
	if err == nil && !got.oneOf([]version{e.now()}) {
		err = fmt.Errorf("%w: read %v, wrote %v", errWrong, got, e.now())
	}
	return err
}

func (p *program) folder(e *entry) error {
	if e.now().absent {
		e.begin(version{atomic: true})
		return p.end(e, false, os.Mkdir(e.path, 0o755))
	}
	e.begin(version{absent: true, atomic: true})
	return p.end(e, false, os.Remove(e.path))
}

func (p *program) attribute(e *entry) error {
	v := fmt.Appendf(nil, "%d", p.rng.Uint64())
	e.begin(version{bytes: v, atomic: true})
	return p.end(e, false, unix.Setxattr(e.path, attributeName, v, 0))
}

// syncFolder makes everything that the program did so far durable.
func (p *program) syncFolder(*entry) error {
	d, err := os.Open(p.dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	for _, e := range p.all {
		if !e.now().done.IsZero() {
			e.promised()
		}
	}
	return nil
}
