package model

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/tools"
)

const (
	fsxMost = 700_000 // bytes of a file
	fsxLast = 40      // operations printed with a mismatch
)

// TestFsx does to files what fsx of the Linux test suites does: random reads,
// writes, mappings, truncations, holes and copies, compared with buffers in
// memory. Now and then the drive is evicted, restarted or killed, so that most
// of them begin with bytes that are not here.
func TestFsx(t *testing.T) {
	drive.NeedFUSE(t)
	seed := uint64(tools.Seed(t))
	rounds, operations := tools.Count(t, 4, 60, 2000), tools.Count(t, 200, 300, 1000)
	drive.Program(t)
	for i, way := range ways {
		for _, crew := range []int{1, 4} {
			t.Run(fmt.Sprintf("%s, %d at once", way.name, crew), func(t *testing.T) {
				t.Parallel()
				rig := &rig{t: t, flags: way.flags}
				defer rig.close()
				rig.prepare()
				rng := rand.New(rand.NewPCG(seed, uint64(i*10+crew)))
				var all []*exerciser
				for n := range crew {
					all = append(all, newExerciser(n, rng.Uint64()))
				}
				for range rounds {
					exercise(t, rig, all, operations)
					disturb(t, rig, all, rng)
				}
				t.Logf("figure: %d operations in %d rounds on %d files", crew*rounds*operations, rounds, 2*crew)
			})
		}
	}
}

// exercise lets all work at once, and compares everything in the end.
func exercise(t *testing.T, rig *rig, all []*exerciser, operations int) {
	t.Helper()
	var wg sync.WaitGroup
	for _, x := range all {
		wg.Go(func() {
			x.open(rig.home().At)
			defer x.close()
			for range operations {
				if x.step(); x.problem != "" {
					return
				}
			}
		})
	}
	wg.Wait()
	report(t, all)
}

// disturb has something befall the drive, after which all files are the same.
func disturb(t *testing.T, rig *rig, all []*exerciser, rng *rand.Rand) {
	t.Helper()
	what := []string{"evict", "evict", "evict", "restart", "kill", "lose", "move"}[rng.IntN(7)]
	if what != "evict" || rng.IntN(2) == 0 {
		for _, x := range all {
			x.compare(rig.home().At)
		}
		report(t, all)
	}
	for _, x := range all {
		x.log = append(x.log, what)
	}
	switch what {
	case "restart":
		rig.restart()
	case "kill":
		rig.kill()
	case "lose":
		rig.lose()
	case "move":
		rig.move()
	case "evict":
		var inos []uint64
		for _, x := range all {
			inos = append(inos, x.inos(t, rig.home().At)...)
		}
		rig.evicted(inos)
	}
}

func report(t *testing.T, all []*exerciser) {
	t.Helper()
	for _, x := range all {
		if x.problem != "" {
			t.Fatalf("%s: %s\nthe last operations:\n  %s", x.dir, x.problem, strings.Join(x.log[max(0, len(x.log)-fsxLast):], "\n  "))
		}
	}
}

// exerciser works on two files that nobody else uses.
type exerciser struct {
	dir     string
	rng     *rand.Rand
	files   [2]exercised
	log     []string
	problem string
}

// exercised is a file: what it must hold, and two descriptors, of which one is
// for reading only.
type exercised struct {
	name     string
	want     []byte
	rw, read int
}

func newExerciser(n int, seed uint64) *exerciser {
	x := &exerciser{dir: fmt.Sprintf("x%d", n), rng: rand.New(rand.NewPCG(seed, 1))}
	for i := range x.files {
		x.files[i].name = filepath.Join(x.dir, []string{"f", "g"}[i])
	}
	return x
}

func (x *exerciser) fail(format string, args ...any) {
	if x.problem == "" {
		x.problem = fmt.Sprintf(format, args...)
	}
}

func (x *exerciser) open(root string) {
	if err := unix.Mkdir(filepath.Join(root, x.dir), 0o755); err != nil && err != unix.EEXIST {
		x.fail("mkdir: %v", err)
	}
	for i := range x.files {
		x.openFile(&x.files[i], root)
	}
}

func (x *exerciser) openFile(f *exercised, root string) {
	p := filepath.Join(root, f.name)
	for _, o := range []struct {
		fd    *int
		flags int
	}{{&f.rw, unix.O_RDWR | unix.O_CREAT}, {&f.read, unix.O_RDONLY}} {
		fd, err := again(func() (int, error) { return unix.Open(p, o.flags|unix.O_CLOEXEC, 0o644) })
		if err != nil {
			x.fail("open %s: %v", f.name, err)
		}
		*o.fd = fd
	}
}

func (x *exerciser) close() {
	for i := range x.files {
		unix.Close(x.files[i].rw)
		unix.Close(x.files[i].read)
	}
}

// compare reads both files whole.
func (x *exerciser) compare(root string) {
	for _, f := range x.files {
		got, err := readFile(filepath.Join(root, f.name))
		if err != nil {
			x.fail("reading all of %s: %v", f.name, err)
		} else if !bytes.Equal(got, f.want) {
			x.fail("%s, drive and buffer: %s", f.name, differBytes(got, f.want))
		}
	}
}

func (x *exerciser) inos(t *testing.T, root string) (inos []uint64) {
	for _, f := range x.files {
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(root, f.name), &st); err != nil {
			t.Fatal(err)
		}
		if st.Size > 1 { // the cache may keep one byte
			inos = append(inos, st.Ino)
		}
	}
	return inos
}

// fsxSteps are the operations, each as often as its weight says.
var fsxSteps = []struct {
	weight int
	step   func(*exerciser, *exercised)
}{
	{20, (*exerciser).read}, {20, (*exerciser).write}, {10, (*exerciser).mapRead}, {10, (*exerciser).mapWrite},
	{8, (*exerciser).truncate}, {8, (*exerciser).allocate}, {8, (*exerciser).copyRange}, {4, (*exerciser).reopen}, {1, (*exerciser).sync},
}

func (x *exerciser) step() {
	var kinds []int
	for i, s := range fsxSteps {
		kinds = append(kinds, slices.Repeat([]int{i}, s.weight)...)
	}
	f := &x.files[x.rng.IntN(2)]
	fsxSteps[kinds[x.rng.IntN(len(kinds))]].step(x, f)
	var st unix.Stat_t
	if err := unix.Fstat(f.rw, &st); err != nil || st.Size != int64(len(f.want)) {
		x.fail("%s is %d bytes large, want %d (%v)", f.name, st.Size, len(f.want), err)
	}
}

func (x *exerciser) note(f *exercised, format string, args ...any) {
	x.log = append(x.log, fmt.Sprintf("%d: %s ", len(x.log), f.name)+fmt.Sprintf(format, args...))
}

// span draws a range: mostly small, its beginning anywhere, or where the file
// ends or a page does.
func (x *exerciser) span(size int) (off, n int64) {
	n = int64(1 + x.rng.IntN(20_000))
	if x.rng.IntN(8) == 0 {
		n = int64(1 + x.rng.IntN(300_000))
	}
	off = x.rng.Int64N(int64(size) + 1)
	switch x.rng.IntN(6) {
	case 0:
		off = int64(size)
	case 1:
		off &^= 4095
	case 2:
		off = x.rng.Int64N(fsxMost)
	}
	return off, max(0, min(n, fsxMost-off))
}

// put changes the buffer.
func (f *exercised) put(p []byte, off int64) {
	f.grow(off + int64(len(p)))
	copy(f.want[off:], p)
}

func (f *exercised) grow(size int64) {
	if more := size - int64(len(f.want)); more > 0 {
		f.want = append(f.want, make([]byte, more)...)
	}
}

func (x *exerciser) read(f *exercised) {
	off, n := x.span(len(f.want))
	x.note(f, "read %d bytes at %d", n, off)
	fd := f.rw
	if x.rng.IntN(2) == 0 {
		fd = f.read
	}
	buf := make([]byte, n)
	k, err := again(func() (int, error) { return unix.Pread(fd, buf, off) })
	want := f.want[min(off, int64(len(f.want))):min(off+n, int64(len(f.want)))]
	if err != nil || !bytes.Equal(buf[:max(k, 0)], want) {
		x.fail("read %d bytes at %d of %s: %v, %s", n, off, f.name, err, differBytes(buf[:max(k, 0)], want))
	}
}

func (x *exerciser) write(f *exercised) {
	off, n := x.span(len(f.want))
	if n == 0 {
		return
	}
	x.note(f, "write %d bytes at %d", n, off)
	p := pattern(len(x.log), n)
	if k, err := again(func() (int, error) { return unix.Pwrite(f.rw, p, off) }); err != nil || k != len(p) {
		x.fail("wrote %d of %d bytes: %v", k, n, err)
	}
	f.put(p, off)
}

// mapping maps a file and calls use with the range drawn, inside the file.
func (x *exerciser) mapping(f *exercised, prot int, verb string, use func(m []byte, off int64)) {
	off, n := x.span(len(f.want))
	if n = min(n, int64(len(f.want))-off); n <= 0 {
		return
	}
	x.note(f, "map and %s %d bytes at %d", verb, n, off)
	m, err := unix.Mmap(f.rw, 0, len(f.want), prot, unix.MAP_SHARED)
	if err != nil {
		x.fail("mmap: %v", err)
		return
	}
	use(m[off:off+n:off+n], off)
	if err := unix.Munmap(m); err != nil {
		x.fail("munmap: %v", err)
	}
}

func (x *exerciser) mapRead(f *exercised) {
	x.mapping(f, unix.PROT_READ, "read", func(m []byte, off int64) {
		if want := f.want[off : off+int64(len(m))]; !bytes.Equal(m, want) {
			x.fail("mapped at %d: %s", off, differBytes(m, want))
		}
	})
}

// mapWrite stores to a mapping. What was not synced may be lost with the
// program, so it is synced each time.
func (x *exerciser) mapWrite(f *exercised) {
	x.mapping(f, unix.PROT_READ|unix.PROT_WRITE, "write", func(m []byte, off int64) {
		p := pattern(len(x.log), int64(len(m)))
		copy(m, p)
		f.put(p, off)
		if x.rng.IntN(2) == 0 {
			return
		}
		x.log[len(x.log)-1] += ", fsync"
		if err := unix.Fsync(f.rw); err != nil {
			x.fail("fsync: %v", err)
		}
	})
}

func (x *exerciser) truncate(f *exercised) {
	to := x.rng.IntN(fsxMost)
	switch x.rng.IntN(4) {
	case 0:
		to = max(0, len(f.want)-x.rng.IntN(9000))
	case 1:
		to = 0
	case 2:
		to &^= 4095
	}
	x.note(f, "truncate to %d", to)
	if err := unix.Ftruncate(f.rw, int64(to)); err != nil {
		x.fail("ftruncate: %v", err)
	}
	f.grow(int64(to))
	f.want = f.want[:to]
}

func (x *exerciser) allocate(f *exercised) {
	const keep, punch, zero = unix.FALLOC_FL_KEEP_SIZE, unix.FALLOC_FL_PUNCH_HOLE, unix.FALLOC_FL_ZERO_RANGE
	mode := []uint32{0, keep, punch | keep, punch | keep, zero, zero | keep}[x.rng.IntN(6)]
	off, n := x.span(len(f.want))
	if n == 0 {
		return
	}
	x.note(f, "fallocate mode %d, %d bytes at %d", mode, n, off)
	err := unix.Fallocate(f.rw, mode, off, n)
	if err != nil {
		x.fail("fallocate: %v", err)
	}
	if mode&keep == 0 {
		f.grow(off + n)
	}
	if size := int64(len(f.want)); mode&(punch|zero) != 0 && off < size {
		clear(f.want[off:min(off+n, size)])
	}
}

func (x *exerciser) copyRange(f *exercised) {
	to := &x.files[x.rng.IntN(2)]
	off, n := x.span(len(f.want))
	into, _ := x.span(len(to.want))
	n = max(0, min(n, int64(len(f.want))-off, fsxMost-into))
	if n == 0 || f == to && off < into+n && into < off+n {
		return // the kernel refuses ranges of one file that overlap
	}
	x.note(f, "copy %d bytes at %d to %s at %d", n, off, to.name, into)
	data := bytes.Clone(f.want[off : off+n])
	for at, dst, left := off, into, n; left > 0; {
		k, err := again(func() (int, error) { return unix.CopyFileRange(f.rw, &at, to.rw, &dst, int(left), 0) })
		if err != nil || k == 0 {
			x.fail("copy_file_range: %d of %d bytes left, %v", left, n, err)
			return
		}
		left -= int64(k)
	}
	to.put(data, into)
}

// reopen closes a file and opens it again; the other descriptor stays, at times.
func (x *exerciser) reopen(f *exercised) {
	x.note(f, "reopen")
	p := fmt.Sprintf("/proc/self/fd/%d", f.read)
	if x.rng.IntN(2) == 0 {
		p = fmt.Sprintf("/proc/self/fd/%d", f.rw)
	}
	rw, err := again(func() (int, error) { return unix.Open(p, unix.O_RDWR|unix.O_CLOEXEC, 0) })
	if err != nil {
		x.fail("opening again: %v", err)
		return
	}
	unix.Close(f.rw)
	f.rw = rw
}

func (x *exerciser) sync(f *exercised) {
	x.note(f, "fsync")
	if err := unix.Fsync(f.rw); err != nil {
		x.fail("fsync: %v", err)
	}
}
