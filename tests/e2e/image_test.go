package e2e

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/s3proxy"
	"github.com/tunesafe/tunesafe/tests/tools"
)

const (
	imageBlock  = 4096
	imageMemory = 96 // MiB: what Go may use of it
)

// diskImage is an image of a disk: a file on the drive, and beside it what must be
// in it.
type diskImage struct {
	t       *testing.T
	size    int64
	at      string // on the drive
	beside  string
	changes *rand.Rand
	noise   *rand.ChaCha8
}

// TestDiskImage changes one of a hundred blocks of a large image at random, again
// and again: what goes up is little more, in bounded memory, and a cold home reads
// it bit for bit.
func TestDiskImage(t *testing.T) {
	size, generations := int64(256<<20), 3
	if tools.Tier() != "ci" {
		size, generations = 4<<30, 10
	}
	p, proxy := counted(t)
	h := drive.New(t, p.server)
	h.Setenv(fmt.Sprintf("GOMEMLIMIT=%dMiB", imageMemory))
	h.Run(append([]string{"init"}, p.flags...)...)
	h.Mount()
	seed := uint64(tools.Seed(t))
	m := &diskImage{t: t, size: size, at: filepath.Join(h.At, "image"), beside: filepath.Join(tempDir(t), "image"),
		changes: rand.New(rand.NewPCG(seed, 1)), noise: rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})}
	m.fill()
	peer := newRestic(t, p.server, proxy.URL)

	for generation := range generations + 1 {
		var changed int64
		if generation > 0 {
			changed = m.change()
		}
		proxy.Reset()
		began, cpu := time.Now(), cpuOf(t, h.Pid())
		wait(h)
		took, used := time.Since(began), cpuOf(t, h.Pid())-cpu
		s := proxy.Reset()
		if generation == 0 {
			figure(t, "image of %s, first: %s up, %d PUTs, CPU %.1f s, %.1f s", size1(size), size1(s.Up), s.Ops["PutObject"].Requests, used.Seconds(), took.Seconds())
		} else {
			over := float64(s.Up)/float64(changed) - 1
			figure(t, "image of %s, generation %d: %s changed (%.2f %%), %s up (%.3f %%), %.2f %% over, %d PUTs, CPU %.1f s, %.1f s", size1(size), generation,
				size1(changed), 100*float64(changed)/float64(size), size1(s.Up), 100*float64(s.Up)/float64(size), 100*over,
				s.Ops["PutObject"].Requests, used.Seconds(), took.Seconds())
			if over > 0.15 {
				t.Errorf("generation %d: %d bytes went up for %d that changed", generation, s.Up, changed)
			}
		}
		if generation < 2 { // it takes minutes
			peer.backup(m.beside, generation, proxy)
		}
	}
	peak := highWater(t, h.Pid())
	figure(t, "image of %s: peak memory of the drive's process %d MiB with GOMEMLIMIT=%dMiB", size1(size), peak, imageMemory)
	if peak > 3*imageMemory {
		t.Errorf("peak memory is %d MiB", peak)
	}

	key := lose(h)
	cold := coldDrive(t, p, key)
	proxy.Reset()
	began := time.Now()
	m.same(filepath.Join(cold.At, "image"))
	s := proxy.Reset()
	figure(t, "image of %s after %d generations, read cold: %s down, %.2f times its size, %d requests, %.1f s", size1(size), generations,
		size1(s.Down), float64(s.Down)/float64(size), s.Requests, time.Since(began).Seconds())
	if s.Down > size*3/2 {
		t.Errorf("%d bytes were fetched of a file of %d", s.Down, size)
	}
}

func size1(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// fill writes noise.
func (m *diskImage) fill() {
	m.t.Helper()
	m.both(func(f [2]*os.File) error {
		p := make([]byte, 1<<20)
		for off := int64(0); off < m.size; off += int64(len(p)) {
			m.noise.Read(p)
			for _, f := range f {
				if _, err := f.WriteAt(p, off); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// change writes one of a hundred blocks, and returns how many bytes these are.
func (m *diskImage) change() (n int64) {
	m.t.Helper()
	m.both(func(f [2]*os.File) error {
		p := make([]byte, imageBlock)
		blocks := int(m.size / imageBlock)
		for _, at := range m.changes.Perm(blocks)[:blocks/100] {
			m.noise.Read(p)
			for _, f := range f {
				if _, err := f.WriteAt(p, int64(at)*imageBlock); err != nil {
					return err
				}
			}
			n += imageBlock
		}
		return nil
	})
	return n
}

func (m *diskImage) both(write func([2]*os.File) error) {
	m.t.Helper()
	var files [2]*os.File
	for i, name := range []string{m.at, m.beside} {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			m.t.Fatal(err)
		}
		files[i] = f
	}
	err := write(files)
	for _, f := range files {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

// same compares a file with what must be in it.
func (m *diskImage) same(name string) {
	m.t.Helper()
	got, err := os.Open(name)
	if err != nil {
		m.t.Fatal(err)
	}
	defer got.Close()
	want, err := os.Open(m.beside)
	if err != nil {
		m.t.Fatal(err)
	}
	defer want.Close()
	a, b := make([]byte, 1<<20), make([]byte, 1<<20)
	for off := int64(0); off < m.size; off += int64(len(a)) {
		_, err1 := io.ReadFull(got, a)
		_, err2 := io.ReadFull(want, b)
		if err1 != nil || err2 != nil || !bytes.Equal(a, b) {
			m.t.Fatalf("at %d: other bytes, %v, %v", off, err1, err2)
		}
	}
}

// restic is the peer of that name; nil where it is not installed.
type restic struct {
	t   *testing.T
	env []string
}

func newRestic(t *testing.T, s *realserver.Server, endpoint string) *restic {
	if _, err := exec.LookPath("restic"); err != nil || tools.Tier() == "ci" {
		return nil
	}
	r := &restic{t, append(os.Environ(), "RESTIC_REPOSITORY=s3:"+endpoint+"/"+strings.Split(strings.TrimPrefix(drive.Store, "s3://"), "/")[0]+"/restic", "RESTIC_PASSWORD=x",
		"RESTIC_CACHE_DIR="+t.TempDir(), "AWS_ACCESS_KEY_ID="+s.AccessKey, "AWS_SECRET_ACCESS_KEY="+s.SecretKey, "AWS_REGION=us-east-1")}
	r.run("init")
	return r
}

func (r *restic) run(args ...string) {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), "restic", args...)
	cmd.Env = r.env
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Fatalf("restic %q: %v\n%s", args, err, out)
	}
}

// backup tells what a generation of the image costs.
func (r *restic) backup(name string, generation int, proxy *s3proxy.Proxy) {
	if r == nil {
		return
	}
	r.t.Helper()
	proxy.Reset()
	began := time.Now()
	r.run("backup", "-q", name)
	s := proxy.Reset()
	figure(r.t, "restic, generation %d: %s up, %d requests, %.1f s", generation, size1(s.Up), s.Requests, time.Since(began).Seconds())
}

// highWater is the most memory that a process had, in MiB.
func highWater(t *testing.T, pid int) (mib int) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmHWM:" {
			if mib, err = strconv.Atoi(f[1]); err != nil {
				t.Fatal(err)
			}
		}
	}
	return mib / 1024
}

// cpuOf is the time that a process has used (proc(5): in hundredths of seconds).
func cpuOf(t *testing.T, pid int) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	var sum time.Duration
	for _, f := range strings.Fields(rest)[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		sum += time.Duration(n) * 10 * time.Millisecond
	}
	return sum
}
