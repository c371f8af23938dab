package home

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// taker is a program that saves files one after another, as editors do: each is
// written, synced, and renamed over the one before.
type taker struct {
	t    testing.TB
	name string
	rng  *rand.Rand

	mu     sync.Mutex
	synced []byte // what fsync said is on the disk
	tried  [][]byte
}

// save saves once. A read-only disk may be told as EROFS, or as EIO.
func (k *taker) save() error {
	p := bytes.Repeat(fmt.Appendf(nil, "%016x", k.rng.Uint64()), 1+k.rng.IntN(4000))
	k.mu.Lock()
	k.tried = append(k.tried, p)
	k.mu.Unlock()
	f, err := os.Create(k.name + ".new")
	if err != nil {
		return err
	}
	_, err = f.Write(p)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(k.name+".new", k.name)
	}
	if err == nil {
		err = syncName(k.name)
	}
	if err == nil {
		k.mu.Lock()
		k.synced, k.tried = p, nil
		k.mu.Unlock()
	}
	return err
}

func syncName(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// mustHave compares what is on the drive: the file that was synced last, or one
// of which the save was not answered.
func (k *taker) mustHave() {
	k.t.Helper()
	got, err := os.ReadFile(k.name)
	if err != nil && (k.synced != nil || !errors.Is(err, os.ErrNotExist)) {
		k.t.Error(err)
		return
	}
	for _, p := range append(k.tried, k.synced) {
		if bytes.Equal(got, p) {
			return
		}
	}
	k.t.Errorf("%s: %d bytes that nobody saved last", k.name, len(got))
}

// TestDiskTurnsReadOnly: the kernel turns the disk of the home read-only, under
// load, as it does after an error of the disk. From then on every change is refused
// at once with EROFS or EIO, and reading goes on; status, log and a mount say what
// to do. With the disk mounted anew all that was synced is there, and all goes on.
func TestDiskTurnsReadOnly(t *testing.T) {
	for _, flags := range [][]string{{settle}, {settle, "--no-passthrough"}} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			server := realserver.StartEmbedded(t)
			h := drive.New(t, server)
			disk := tools.Ext4At(t, filepath.Dir(h.Dir), 128<<20)
			must(t, os.Mkdir(h.At, 0o755))
			h.Init(server.Endpoint)
			logs := t.TempDir() // elsewhere: what cannot be written tells nothing
			must(t, errors.Join(os.RemoveAll(filepath.Join(h.Dir, "log")), os.Symlink(logs, filepath.Join(h.Dir, "log"))))
			for range tools.Count(t, 1, 3, 20) {
				turnReadOnly(t, h, disk, flags)
				if t.Failed() {
					break
				}
			}
			mustBeClean(t, h)
		})
	}
}

func turnReadOnly(t *testing.T, h *drive.Home, disk *tools.Disk, flags []string) {
	h.Mount(flags...)
	seed := uint64(tools.Seed(t))
	var over atomic.Bool // the disk is read-only
	var load sync.WaitGroup
	stop := make(chan struct{})
	takers := make([]*taker, 4)
	var refused, accepted atomic.Int64
	for i := range takers {
		k := &taker{t: t, name: filepath.Join(h.At, fmt.Sprintf("saved %d.bin", i)), rng: rand.New(rand.NewPCG(seed, uint64(i)))}
		takers[i] = k
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				before, begun := over.Load(), time.Now()
				err := k.save()
				switch {
				case err == nil && before:
					t.Errorf("%s was saved on a read-only disk", k.name)
				case err == nil:
					accepted.Add(1)
				case !errors.Is(err, syscall.EROFS) && !errors.Is(err, syscall.EIO):
					t.Errorf("saving: %v, want EROFS or EIO", err)
				default:
					refused.Add(1)
				}
				if d := time.Since(begun); d > 2*time.Minute {
					t.Errorf("saving was answered after %v", d)
				}
			}
		})
	}
	eventually(t, "the load runs", 2*time.Minute, func() bool { return accepted.Load() > 40+int64(seed%40) })
	disk.Abort()
	over.Store(true)
	before := refused.Load()
	eventually(t, "changes are refused", 2*time.Minute, func() bool { return refused.Load() > before+100 })
	for what, change := range map[string]func() error{
		"mkdir":  func() error { return os.Mkdir(filepath.Join(h.At, "folder"), 0o755) },
		"chmod":  func() error { return os.Chmod(takers[0].name, 0o600) },
		"remove": func() error { return os.Remove(takers[0].name) },
	} {
		if err := change(); !errors.Is(err, syscall.EROFS) && !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: %v, want EROFS or EIO", what, err)
		}
	}
	close(stop)
	load.Wait()
	t.Logf("figure: %d saves accepted, %d refused", accepted.Load(), refused.Load())
	for _, k := range takers {
		k.mustHave()
	}
	eventually(t, "status tells", 2*time.Minute, func() bool {
		out := h.Run("status")
		return strings.Contains(out, "read-only") && strings.Contains(out, "hint: ")
	})
	if _, stderr, code := h.Try("wait", "--timeout", "3s"); code == 0 {
		t.Errorf("wait: exit code 0, %s", stderr)
	}
	eventually(t, "the log tells", 2*time.Minute, func() bool { return strings.Contains(h.Log(), "read-only file system") })
	pid := h.Pid()
	h.Run("unmount", h.At)
	h.AwaitEnd(pid)
	if _, stderr, code := h.Try("mount", settle, h.At); code != 1 || !strings.Contains(stderr, "read-only") || !strings.Contains(stderr, "hint: ") {
		t.Errorf("mount on a read-only disk: exit code %d, %s", code, stderr)
	}
	disk.Renew()
	h.Mount(flags...)
	for _, k := range takers {
		k.mustHave()
		must(t, k.save())
	}
	h.Run("wait", "--timeout", "2m")
	h.Run("unmount", h.At)
}
