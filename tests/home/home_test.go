// Package home takes a home through what a home can meet in its life: a full
// disk, a damaged file, a copy of itself, a bucket that is not what it was.
package home

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/tools"
)

func TestMain(m *testing.M) { os.Exit(drive.Main(m)) }

const settle = "--settle=100ms"

// eventually polls until ok.
func eventually(t testing.TB, what string, patience time.Duration, ok func() bool) {
	t.Helper()
	for begun := time.Now(); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Since(begun) > patience {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// must fails the test for what the test itself needs.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mustBeClean has the repository checked to the last byte.
func mustBeClean(t testing.TB, h *drive.Home) {
	t.Helper()
	if stdout, stderr, code := h.Try("check", "--read"); code != 0 {
		t.Errorf("check --read: exit code %d\n%s%s", code, stdout, stderr)
	}
}

// load is programs that use a drive: they make files, delete and rename some,
// and remember what the drive accepted.
type load struct {
	t    testing.TB
	at   string
	mu   sync.Mutex
	have map[string][32]byte // what must be on the drive
	rng  *rand.Rand
	next int

	refused int // makings
	moved   int // deletions and renames
}

func newLoad(t testing.TB, at string) *load {
	return &load{t: t, at: at, have: map[string][32]byte{}, rng: rand.New(rand.NewPCG(uint64(tools.Seed(t)), 1))}
}

// step does one thing. On a full disk only making may fail, and only with ENOSPC.
func (l *load) step() {
	switch l.rng.IntN(4) {
	case 0:
		l.remove()
	case 1:
		l.rename()
	default:
		l.make()
	}
}

func (l *load) make() {
	l.next++
	name := fmt.Sprintf("song %d.wav", l.next)
	p := make([]byte, 1+l.rng.IntN(300<<10))
	for i := 0; i+8 <= len(p); i += 8 {
		copy(p[i:], fmt.Appendf(nil, "%08x", l.rng.Uint32()))
	}
	path := filepath.Join(l.at, name)
	err := os.WriteFile(path, p, 0o644)
	if err == nil {
		l.have[name] = sha256.Sum256(p)
		return
	}
	l.refused++
	if !errors.Is(err, syscall.ENOSPC) {
		l.t.Errorf("making a file: %v, want ENOSPC", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		l.t.Errorf("removing what could not be written: %v", err)
	}
}

func (l *load) any() string {
	for name := range l.have {
		return name
	}
	return ""
}

func (l *load) remove() {
	name := l.any()
	if name == "" || len(l.have) < 40 {
		return
	}
	if err := os.Remove(filepath.Join(l.at, name)); err != nil {
		l.t.Errorf("removing on a full disk: %v", err)
	}
	l.moved++
	delete(l.have, name)
}

func (l *load) rename() {
	name := l.any()
	if name == "" {
		return
	}
	l.next++
	to := fmt.Sprintf("moved %d.wav", l.next)
	if err := os.Rename(filepath.Join(l.at, name), filepath.Join(l.at, to)); err != nil {
		l.t.Errorf("renaming on a full disk: %v", err)
		return
	}
	l.moved++
	l.have[to] = l.have[name]
	delete(l.have, name)
}

// mustBeAt compares a drive with what was accepted.
func (l *load) mustBeAt(at string) {
	l.t.Helper()
	entries, err := os.ReadDir(at)
	must(l.t, err)
	if len(entries) != len(l.have) {
		l.t.Errorf("%d names on the drive, %d were accepted", len(entries), len(l.have))
	}
	for name, sum := range l.have {
		p, err := os.ReadFile(filepath.Join(at, name))
		if err != nil {
			l.t.Error(err)
		} else if sha256.Sum256(p) != sum {
			l.t.Errorf("%s has other bytes (%d) than were accepted", name, len(p))
		}
	}
}

// mustSayFull checks what people are told; again fills the disk again.
func (l *load) mustSayFull(h *drive.Home, refused int, again func()) {
	l.t.Helper()
	if refused == 0 {
		l.t.Error("nothing was refused on a full disk")
	}
	eventually(l.t, "status says that the disk is full", 2*time.Minute, func() bool {
		again() // deletions, and contents that are safe, made room
		return h.Status().DiskFull
	})
	if out := h.Run("status"); !strings.Contains(out, "full: nothing new is accepted until there is room") {
		l.t.Errorf("status on a full disk:\n%s", out)
	}
	if !strings.Contains(h.Log(), "the disk is full") {
		l.t.Error("the log says nothing of a full disk")
	}
}

// smallDisk gives an installation whose home lies on a disk of its own, and that disk.
func smallDisk(t *testing.T, s *realserver.Server, options string) (*drive.Home, string) {
	t.Helper()
	h := drive.New(t, s)
	disk := filepath.Dir(h.Dir)
	tools.TmpfsAt(t, disk, options)
	must(t, os.Mkdir(h.At, 0o755))
	return h, disk
}

// fillUp takes the last byte of a disk, also when it did so before.
func fillUp(t testing.TB, disk string) (undo func()) {
	t.Helper()
	name := filepath.Join(disk, "ballast")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	defer f.Close()
	for n := 1 << 20; n >= 1<<12; {
		if _, err := f.Write(make([]byte, n)); errors.Is(err, syscall.ENOSPC) {
			n /= 2
		} else {
			must(t, err)
		}
	}
	return func() { must(t, os.Remove(name)) }
}

// takeInodes takes the last inode of a disk.
func takeInodes(t testing.TB, disk string) (undo func()) {
	t.Helper()
	dir := filepath.Join(disk, "many")
	must(t, os.Mkdir(dir, 0o700))
	for i := 0; ; i++ {
		err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600)
		if errors.Is(err, syscall.ENOSPC) {
			break
		}
		must(t, err)
	}
	return func() { must(t, os.RemoveAll(dir)) }
}

// TestFullDisk: the disk of the home has no byte, or no inode, left at random
// moments of a load. What is refused is refused with ENOSPC; deletions and
// renames go on, uploads are made and marked; with room all goes on, without a
// restart; nothing that was accepted is lost, here and in the bucket.
func TestFullDisk(t *testing.T) {
	for _, c := range []struct {
		name  string
		flags []string
		fill  func(testing.TB, string) func()
		stays bool // full: an inode comes free with each content that is evicted
	}{
		{"bytes", []string{settle}, fillUp, true},
		{"bytes, without passthrough", []string{settle, "--no-passthrough"}, fillUp, true},
		{"inodes", []string{settle}, takeInodes, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := realserver.StartEmbedded(t)
			h, disk := smallDisk(t, server, "size=96m,nr_inodes=2000")
			h.Init(server.Endpoint)
			h.Mount(c.flags...)
			l := newLoad(t, h.At)
			for round := range tools.Count(t, 1, 5, 30) {
				for range 20 + l.rng.IntN(40) {
					l.step()
				}
				undo := c.fill(t, disk)
				before := l.refused
				for range 120 {
					l.step()
				}
				if c.stays {
					l.mustSayFull(h, l.refused-before, func() { c.fill(t, disk) })
				}
				h.Run("wait", "--timeout", "2m") // all that waits is uploaded and marked, without a byte of room
				undo()
				eventually(t, "the drive accepts again", 2*time.Minute, func() bool { return !h.Status().DiskFull })
				before = l.refused
				l.make()
				if l.refused != before {
					t.Errorf("round %d: refused with room on the disk", round)
				}
				if t.Failed() {
					t.Fatalf("round %d", round)
				}
			}
			t.Logf("figure: %d files accepted, %d refused with ENOSPC, %d deleted or renamed", len(l.have), l.refused, l.moved)
			l.mustBeAt(h.At)
			h.Run("wait", "--timeout", "2m")
			mustBeClean(t, h)
			h.Run("unmount", h.At)
			key := h.Lose()
			cold := drive.New(t, server)
			cold.Adopt(server.Endpoint, key)
			cold.Mount()
			l.mustBeAt(cold.At)
		})
	}
}

// TestMountOnFullDisk: a drive that was killed is mounted again on a disk that
// has filled up meanwhile, with what waits in the journal.
func TestMountOnFullDisk(t *testing.T) {
	server := realserver.StartEmbedded(t)
	h, disk := smallDisk(t, server, "size=96m,nr_inodes=2000")
	h.Init(server.Endpoint)
	h.Mount("--settle=1h")
	l := newLoad(t, h.At)
	for range 100 {
		l.step()
	}
	h.Signal(h.Pid(), syscall.SIGKILL)
	undo := fillUp(t, disk)
	h.Mount(settle)
	l.mustBeAt(h.At)
	h.Run("wait", "--timeout", "2m")
	h.Run("unmount", h.At)
	h.Mount(settle)
	undo()
	l.mustBeAt(h.At)
	mustBeClean(t, h)
}

// TestFullDiskEvicts: what the bucket has goes before anything new is refused.
func TestFullDiskEvicts(t *testing.T) {
	server := realserver.StartEmbedded(t)
	h, _ := smallDisk(t, server, "size=96m,nr_inodes=2000")
	h.Init(server.Endpoint)
	h.Mount(settle, "--cache-size", "10GiB")
	want := map[string][]byte{}
	for i := range tools.Count(t, 20, 30, 60) { // at least 120 MB through a disk of 96 MiB
		p := bytes.Repeat(fmt.Appendf(nil, "%06d", i), 1_000_000)
		name := filepath.Join(h.At, fmt.Sprintf("%d.bin", i))
		must(t, os.WriteFile(name, p, 0o644))
		h.Run("wait", "--timeout", "2m")
		want[name] = p
	}
	for name, p := range want {
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, p) {
			t.Fatalf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}
