package fs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ring is an io_uring(7), by which players such as mpd read: the kernel does it
// on its own, several at once, and tries again where it got less than was asked
// for. Its layout is <linux/io_uring.h>'s.
type ring struct {
	fd             int
	sq, cq, sqes   []byte
	p              ringParams
	pinned         runtime.Pinner
	queued, reaped uint32
}

type ringParams struct {
	SQEntries, CQEntries, Flags, ThreadCPU, ThreadIdle, Features, WQ uint32
	_                                                                [3]uint32
	SQ                                                               struct {
		Head, Tail, Mask, Entries, Flags, Dropped, Array, _ uint32
		_                                                   uint64
	}
	CQ struct {
		Head, Tail, Mask, Entries, Overflow, CQEs, Flags, _ uint32
		_                                                   uint64
	}
}

type ringEntry struct {
	Op, Flags uint8
	_         uint16
	FD        int32
	Off, Addr uint64
	Len, _    uint32
	Data      uint64
	_         [3]uint64
}

type ringResult struct {
	Data uint64
	Res  int32
	_    uint32
}

const (
	ringRead  = 22 // IORING_OP_READ
	ringWrite = 23 // IORING_OP_WRITE

	ringFiles     = 2 // IORING_REGISTER_FILES
	ringFixedFile = 1 // IOSQE_FIXED_FILE
)

func newRing(t *testing.T) *ring {
	t.Helper()
	r := &ring{}
	fd, _, no := unix.Syscall(unix.SYS_IO_URING_SETUP, 16, uintptr(unsafe.Pointer(&r.p)), 0)
	if no == unix.ENOSYS || no == unix.EPERM {
		lacking(t, fmt.Sprint("no io_uring here: ", no))
	}
	if no != 0 {
		t.Fatal(no)
	}
	r.fd = int(fd)
	for _, m := range []struct {
		to   *[]byte
		at   int64
		size uint32
	}{
		{&r.sq, 0, r.p.SQ.Array + 4*r.p.SQEntries},
		{&r.cq, 0x8000000, r.p.CQ.CQEs + r.p.CQEntries*uint32(unsafe.Sizeof(ringResult{}))},
		{&r.sqes, 0x10000000, r.p.SQEntries * uint32(unsafe.Sizeof(ringEntry{}))},
	} {
		b, err := unix.Mmap(r.fd, m.at, int(m.size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
		check(t, err)
		*m.to = b
		t.Cleanup(func() { unix.Munmap(b) })
	}
	t.Cleanup(func() { unix.Close(r.fd); r.pinned.Unpin() })
	return r
}

func shared32(b []byte, at uint32) *uint32 { return (*uint32)(unsafe.Pointer(&b[at])) }

// queue adds a request, which do makes.
func (r *ring) queue(op uint8, f *os.File, b []byte, off int64) *ringEntry {
	r.pinned.Pin(&b[0])
	slot := r.queued & *shared32(r.sq, r.p.SQ.Mask)
	e := (*ringEntry)(unsafe.Pointer(&r.sqes[slot*uint32(unsafe.Sizeof(ringEntry{}))]))
	*e = ringEntry{
		Op: op, FD: int32(f.Fd()), Off: uint64(off), Addr: uint64(uintptr(unsafe.Pointer(&b[0]))),
		Len: uint32(len(b)), Data: uint64(r.queued),
	}
	*shared32(r.sq, r.p.SQ.Array+4*slot) = slot
	r.queued++
	atomic.StoreUint32(shared32(r.sq, r.p.SQ.Tail), r.queued)
	return e
}

// do makes what was queued, all at once, and returns the results in the order
// of queueing.
func (r *ring) do(t *testing.T) []int {
	t.Helper()
	n := r.queued - r.reaped
	for submit := n; atomic.LoadUint32(shared32(r.cq, r.p.CQ.Tail)) != r.queued; {
		done, _, no := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), uintptr(submit), uintptr(n), 1, 0, 0)
		if no != 0 && no != unix.EINTR {
			t.Fatal(no)
		}
		if no == 0 {
			submit -= uint32(done)
		}
	}
	results := make([]int, n)
	for i := range n {
		slot := (r.reaped + i) & *shared32(r.cq, r.p.CQ.Mask)
		e := (*ringResult)(unsafe.Pointer(&r.cq[r.p.CQ.CQEs+slot*uint32(unsafe.Sizeof(ringResult{}))]))
		results[uint32(e.Data)-r.reaped] = int(e.Res)
	}
	r.reaped += n
	atomic.StoreUint32(shared32(r.cq, r.p.CQ.Head), r.reaped)
	return results
}

// readFull reads on after an answer that was short, until nothing more comes.
func (r *ring) readFull(t *testing.T, f *os.File, b []byte, off int64) (n int) {
	t.Helper()
	for n < len(b) {
		r.queue(ringRead, f, b[n:], off+int64(n))
		k := r.do(t)[0]
		if k < 0 {
			t.Fatalf("%d bytes at %d: %v", len(b), off, unix.Errno(-k))
		}
		if n += k; k == 0 {
			break
		}
	}
	return n
}

// inBothModes runs a test on a drive of its own without passthrough, and on one
// with it.
func inBothModes(t *testing.T, test func(t *testing.T, c *child)) {
	for _, pass := range []bool{false, true} {
		t.Run(fmt.Sprint("passthrough=", pass), func(t *testing.T) {
			if pass && os.Geteuid() != 0 {
				t.Skip("for root: the kernel grants passthrough to no one else")
			}
			test(t, mounted(t, mode{Passthrough: pass}))
		})
	}
}

// A read by io_uring ends at the end of the file, whether the bytes have to be
// fetched or are here, and reads that are under way at once do not mix.
func TestRingReads(t *testing.T) {
	inBothModes(t, func(t *testing.T, c *child) {
		r := newRing(t)
		for i, at := range []struct {
			size, off int64
			n         int
		}{
			{391, 0, 256 << 10}, {391, 0, 4096}, {391, 0, 392}, {391, 0, 391}, {391, 0, 390}, {391, 100, 8192}, {391, 391, 4096},
			{391, 5000, 4096}, {4096, 0, 8192}, {songSize, 0, 256 << 10}, {songSize, songSize - 1000, 256 << 10},
			{songSize, songSize - 200<<10, 256 << 10}, {songSize, 1 << 20, songSize},
		} {
			name := fmt.Sprint("song", i)
			c.tell(t, fmt.Sprint("plant ", name, " ", at.size))
			want := soundOf(at.off, max(0, int(min(int64(at.n), at.size-at.off))))
			for _, when := range []string{"to be fetched", "fetched", "opened anew", "evicted"} {
				if when == "evicted" {
					c.tell(t, "evict")
				}
				f, err := os.Open(filepath.Join(c.Dir, name))
				check(t, err)
				got := bytes.Repeat([]byte{0xee}, at.n)
				if n := r.readFull(t, f, got, at.off); n != len(want) || !bytes.Equal(got[:n], want) {
					t.Errorf("%d bytes at %d of %d, %s: got %d, want %d", at.n, at.off, at.size, when, n, len(want))
				}
				check(t, f.Close())
			}
		}

		c.tell(t, fmt.Sprint("plant long ", songSize))
		f, err := os.Open(filepath.Join(c.Dir, "long"))
		check(t, err)
		defer f.Close()
		const piece = songSize/8 + 1000
		got := make([][]byte, 8)
		for i := range got {
			got[i] = make([]byte, piece)
			r.queue(ringRead, f, got[i], int64(i)*piece)
		}
		for i, n := range r.do(t) {
			want := soundOf(int64(i)*piece, min(piece, songSize-i*piece))
			if n > 0 {
				n += r.readFull(t, f, got[i][n:], int64(i*piece+n))
			}
			if n != len(want) || !bytes.Equal(got[i][:max(n, 0)], want) {
				t.Errorf("piece %d: got %d, want %d", i, n, len(want))
			}
		}

		c.tell(t, fmt.Sprint("plant away ", songSize))
		c.tell(t, "bucket fail")
		away, err := os.Open(filepath.Join(c.Dir, "away"))
		check(t, err)
		defer away.Close()
		r.queue(ringRead, away, make([]byte, 4096), 0)
		if n := r.do(t)[0]; n != -int(unix.EIO) {
			t.Errorf("without the line: got %d, want %d", n, -int(unix.EIO))
		}
	})
}

// Who reads by io_uring gets what is here while the rest is awaited; who reads as ever
// gets all that it asked for.
func TestRingTakesWhatIsHere(t *testing.T) {
	c := mounted(t, mode{})
	r := newRing(t)
	c.tell(t, "plant-track song")
	want := trackContent()
	f, err := os.Open(filepath.Join(c.Dir, "song"))
	check(t, err)
	defer f.Close()
	c.tell(t, "bucket mute")
	got := make([]byte, 256<<10)
	r.queue(ringRead, f, got, 0)
	if n := r.do(t)[0]; n != trackTags+trackProbe || !bytes.Equal(got[:n], want[:n]) {
		t.Errorf("%d bytes while the sound is awaited, want %d", n, trackTags+trackProbe)
	}
	read := make(chan error, 1)
	go func() {
		n, err := f.ReadAt(got, 0)
		if err == nil && (n != len(got) || !bytes.Equal(got, want[:n])) {
			err = fmt.Errorf("%d bytes, or others", n)
		}
		read <- err
	}()
	select {
	case err := <-read:
		t.Errorf("read(2) did not wait for the sound: %v", err)
	case <-time.After(time.Second / 2):
	}
	c.tell(t, "bucket serve")
	check(t, <-read)
	if n := r.readFull(t, f, got, 1000); n != len(got) || !bytes.Equal(got, want[1000:][:n]) {
		t.Errorf("%d bytes in the end", n)
	}
}

// Who looks into a track by io_uring has the next bytes read for it while it looks at the
// first. When it closes the file soon, no sound was asked for; when it stays, it gets it.
func TestRingLooksFetchNoSound(t *testing.T) {
	c := mounted(t, mode{})
	r := newRing(t)
	want := trackContent()
	look := func(name string) (int, string) {
		c.tell(t, "plant-track "+name)
		f, err := os.Open(filepath.Join(c.Dir, name))
		check(t, err)
		got := make([]byte, 256<<10)
		r.queue(ringRead, f, got, 0)
		if n := r.do(t)[0]; n != trackTags+trackProbe || !bytes.Equal(got[:n], want[:n]) {
			t.Errorf("%d bytes at first, want %d", n, trackTags+trackProbe)
		}
		r.queue(ringRead, f, got, trackTags+trackProbe)
		ahead := make(chan int)
		go func() { ahead <- r.do(t)[0] }()
		time.Sleep(2 * time.Millisecond) // the kernel has it by then
		check(t, f.Close())
		return <-ahead, c.ask(t, "silent")
	}
	for i := range 10 { // on a busy machine it may close the file too late
		n, heard := look(fmt.Sprint("look", i))
		if n == -int(unix.EINTR) && heard == "ok" {
			break
		}
		if i == 9 {
			t.Errorf("what was read ahead got %d, and %s", n, heard)
		}
	}
	f, err := os.Open(filepath.Join(c.Dir, "look0"))
	check(t, err)
	defer f.Close()
	got := make([]byte, trackSize)
	if n := r.readFull(t, f, got, 0); n != trackSize || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d, or others", n, trackSize)
	}
}

// Who reads by io_uring, and has another way to the open file left, is told of no error when one
// of its descriptors is closed amid the reading, or another program's.
func TestRingSharesAnOpenFile(t *testing.T) {
	c := mounted(t, mode{})
	want := trackContent()
	for _, shared := range []struct {
		name       string
		tries      int // on a busy machine it may be closed too late
		registered bool
		share      func(r *ring, f *os.File) (leave func() error)
	}{
		{"duplicate", 5, false, func(_ *ring, f *os.File) func() error {
			second, err := unix.Dup(int(f.Fd()))
			check(t, err)
			return func() error { return unix.Close(second) }
		}},
		{"program", 5, false, func(_ *ring, f *os.File) func() error {
			p := exec.Command("cat") // until its input ends
			p.ExtraFiles = []*os.File{f}
			in, err := p.StdinPipe()
			check(t, err)
			check(t, p.Start())
			return func() error { return errors.Join(in.Close(), p.Wait()) }
		}},
		{"registered", 1, true, func(r *ring, f *os.File) func() error {
			fds := []int32{int32(f.Fd())}
			if _, _, no := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(r.fd), ringFiles, uintptr(unsafe.Pointer(&fds[0])), 1, 0, 0); no != 0 {
				t.Fatal(no)
			}
			return f.Close
		}},
	} {
		r := newRing(t)
		for i := range shared.tries {
			name := fmt.Sprint(shared.name, i)
			c.tell(t, "plant-track "+name)
			f, err := os.Open(filepath.Join(c.Dir, name))
			check(t, err)
			defer f.Close()
			leave := shared.share(r, f)
			got := make([]byte, 256<<10)
			e := r.queue(ringRead, f, got, trackTags+trackProbe)
			if shared.registered {
				e.FD, e.Flags = 0, ringFixedFile
			}
			read := make(chan int)
			go func() { read <- r.do(t)[0] }()
			time.Sleep(2 * time.Millisecond) // the kernel has it by then
			check(t, leave())
			if n := <-read; n <= 0 || !bytes.Equal(got[:n], want[trackTags+trackProbe:][:n]) {
				t.Errorf("%s: the reading got %d, or other bytes", name, n)
			}
		}
	}
}

// Writes by io_uring to a file of missing bytes, within it and past its end.
func TestRingWrites(t *testing.T) {
	inBothModes(t, func(t *testing.T, c *child) {
		r := newRing(t)
		c.tell(t, fmt.Sprint("plant song ", songSize))
		path := filepath.Join(c.Dir, "song")
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		check(t, err)
		defer f.Close()
		want := soundOf(0, songSize)
		for i, off := range []int64{0, 1 << 20, 3<<20 + 5, songSize - 100} {
			b := bytes.Repeat([]byte{byte('a' + i)}, 100<<10)
			want = append(want[:off], append(b, want[min(off+int64(len(b)), int64(len(want))):]...)...)
			r.queue(ringWrite, f, b, off)
		}
		for i, n := range r.do(t) {
			if n != 100<<10 {
				t.Errorf("write %d: %d", i, n)
			}
		}
		if got := readAt(t, f, 0, len(want)+5); got != string(want) {
			t.Errorf("read %d bytes, want %d, first difference at %d", len(got), len(want), differs([]byte(got), want))
		}
		check(t, f.Close())
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("opened anew: %d bytes, want %d, %v, first difference at %d", len(got), len(want), err, differs(got, want))
		}
	})
}

// A page that was mapped while io_uring wrote it may stay the old one in the
// mapping. Whoever opens the file afterwards reads what was written.
func TestRingWritesWhileMapped(t *testing.T) {
	c := mounted(t, mode{})
	r := newRing(t)
	c.tell(t, fmt.Sprint("plant song ", songSize))
	path := filepath.Join(c.Dir, "song")
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	check(t, err)
	m, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ, unix.MAP_SHARED)
	check(t, err)
	var stop atomic.Bool
	looked := make(chan byte)
	go func() {
		var seen byte
		for !stop.Load() {
			seen ^= m[100]
			unix.Madvise(m, unix.MADV_DONTNEED)
		}
		looked <- seen
	}()
	page := make([]byte, 4096)
	for i := range 300 {
		page = bytes.Repeat([]byte{byte(i + 1)}, len(page))
		r.queue(ringWrite, f, page, 0)
		if n := r.do(t)[0]; n != len(page) {
			t.Fatal(n)
		}
		if m[100] != page[100] {
			t.Logf("the mapping stayed the old after %d writes", i+1)
			break
		}
	}
	stop.Store(true)
	<-looked
	want := soundOf(0, songSize)
	copy(want, page)
	if got := readAt(t, f, 0, songSize); got != string(want) {
		t.Errorf("read differs at %d", differs([]byte(got), want))
	}
	check(t, unix.Munmap(m))
	check(t, f.Close())
	for range 2 {
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("opened anew: %d bytes, %v, first difference at %d", len(got), err, differs(got, want))
		}
	}
}

// What is written and read with O_DIRECT goes as several requests at once.
func TestDirectInPieces(t *testing.T) {
	inBothModes(t, func(t *testing.T, c *child) {
		path := filepath.Join(c.Dir, "f")
		whole, err := unix.Mmap(-1, 0, 8<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		check(t, err)
		defer unix.Munmap(whole)
		want := soundOf(0, len(whole))
		copy(whole, want)
		for _, flags := range []int{unix.O_CREAT | unix.O_RDWR, unix.O_RDWR, unix.O_RDWR | unix.O_APPEND} {
			fd, err := unix.Open(path, flags|unix.O_DIRECT, 0o644)
			check(t, err)
			n, err := unix.Write(fd, whole)
			if err != nil || n != len(whole) {
				t.Errorf("wrote %d, %v", n, err)
			}
			clear(whole)
			n, err = unix.Pread(fd, whole, 0)
			if err != nil || n != len(whole) || !bytes.Equal(whole, want) {
				t.Errorf("read %d, %v, first difference at %d", n, err, differs(whole, want))
			}
			check(t, unix.Close(fd))
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, append(want, want...)) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
}

// differs is where a and b first differ.
func differs(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}
