package model

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/drive"
)

// renewal is how many sequences share a repository before its log has grown
// enough to slow the rest.
const renewal = 20

// patience is how long a sequence's little may take to become safe, and then to
// be evicted.
const patience = 2 * time.Minute

// reporter is a testing.TB for [drive.Home] that outlives a sequence.
type reporter struct {
	testing.TB
	random bool // a failure is one of the sequence, which is shortened then
	undo   []func()
}

// failure is what a reporter panics with.
type failure string

func (r *reporter) Cleanup(f func()) { r.undo = append(r.undo, f) }
func (r *reporter) Failed() bool     { return false }
func (r *reporter) Fatal(args ...any) {
	r.TB.Helper()
	r.Fatalf("%s", fmt.Sprint(args...))
}

func (r *reporter) Fatalf(format string, args ...any) {
	r.TB.Helper()
	if r.random {
		panic(failure(fmt.Sprintf(format, args...)))
	}
	r.TB.Fatalf(format, args...)
}

// caught does f and returns how it failed, "" if it did not.
func caught(f func()) (problem string) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case failure:
			problem = string(r)
		default:
			panic(r)
		}
	}()
	f()
	return ""
}

func (r *reporter) TempDir() string {
	dir, err := os.MkdirTemp("", "tunesafe-model")
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// rig is two machines with one repository, of which one has its drive mounted,
// and the plain directory. It is made when first needed, and anew after a
// failure.
type rig struct {
	t       *testing.T
	flags   []string          // of mount
	random  bool              // see reporter
	reports map[string]string // of failures, by operations

	tb     *reporter // nil while there is no rig
	server *realserver.Server
	homes  [2]*drive.Home
	at     int    // index of the one that is mounted
	used   int    // sequences
	past   []op   // what was done in them
	key    string // file with the recovery key
	plain  string
}

func (r *rig) home() *drive.Home { return r.homes[r.at] }

// prepare makes the rig if there is none.
func (r *rig) prepare() {
	if r.tb != nil {
		return
	}
	r.tb, r.at, r.used, r.past = &reporter{TB: r.t, random: r.random}, 0, 0, nil
	r.server = realserver.StartEmbedded(r.tb)
	r.homes[0], r.homes[1] = drive.New(r.tb, r.server), drive.New(r.tb, r.server)
	r.plain = r.tb.TempDir()
	r.home().Init(r.server.Endpoint)
	r.key = filepath.Join(r.tb.TempDir(), "recovery.key")
	key, err := os.ReadFile(filepath.Join(r.home().Dir, "recovery.key"))
	if err := errors.Join(err, os.WriteFile(r.key, key, 0o600)); err != nil {
		r.tb.Fatal(err)
	}
	r.mount()
	// Each machine makes the root of an empty drive itself, until somebody
	// changes it.
	for _, root := range []string{r.home().At, r.plain} {
		if err := os.Chmod(root, 0o755); err != nil {
			r.tb.Fatal(err)
		}
	}
}

// close takes everything down.
func (r *rig) close() {
	if r.tb == nil {
		return
	}
	r.tb.random = false
	for _, f := range slices.Backward(r.tb.undo) {
		f()
	}
	r.tb = nil
}

func (r *rig) mount() { r.home().Mount(r.flags...) }

// unmount tries again while the drive is in use: a process that another test
// forks holds our descriptors until it has become another program.
func (r *rig) unmount() {
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		_, problem, code := r.home().Try("unmount", r.home().At)
		if code == 0 {
			return
		}
		if !strings.Contains(problem, "is in use") || time.Since(begun) > patience {
			r.tb.Fatalf("unmount: exit code %d\n%s", code, problem)
		}
	}
}

// wait returns when all is safe. Nothing is open for writing.
func (r *rig) wait() { r.home().Run("wait", "--timeout", patience.String()) }

func (r *rig) restart() {
	r.unmount()
	r.mount()
}

func (r *rig) kill() {
	r.home().Signal(r.home().Pid(), syscall.SIGKILL)
	r.mount()
}

// lose makes the home anew from what is in the bucket.
func (r *rig) lose() {
	r.wait()
	r.unmount()
	if err := os.RemoveAll(r.home().Dir); err != nil {
		r.tb.Fatal(err)
	}
	r.home().Adopt(r.server.Endpoint, r.key)
	r.mount()
}

// move goes to the other machine.
func (r *rig) move() {
	r.wait()
	r.unmount()
	r.at = 1 - r.at
	if _, err := os.Stat(r.home().Dir); os.IsNotExist(err) {
		r.home().Adopt(r.server.Endpoint, r.key)
	}
	r.mount()
}

// evicted waits until the bucket alone holds the contents of the files with
// these inode numbers. Room without data may stay, and one block: the smallest
// cache there is keeps a byte. A content is not opened before it had time to go: what
// somebody has open just then is not evicted, and looked at again much later.
func (r *rig) evicted(inos []uint64) {
	r.wait()
	room := int64(0) // of the last content looked at
	pause := 20 * time.Millisecond
	for begun := time.Now(); ; time.Sleep(pause) {
		inTime := time.Since(begun) < time.Second
		inos = slices.DeleteFunc(inos, func(ino uint64) bool {
			path := filepath.Join(r.home().Dir, "cache", "content", fmt.Sprintf("%02x/%016x", byte(ino), ino))
			var st unix.Stat_t
			if err := unix.Stat(path, &st); err != nil || st.Blocks == 0 || inTime {
				return err == unix.ENOENT || err == nil && st.Blocks == 0
			}
			room = st.Blocks * 512
			f, err := os.Open(path)
			if err != nil {
				return os.IsNotExist(err)
			}
			defer f.Close()
			_, err = unix.Seek(int(f.Fd()), 0, unix.SEEK_DATA)
			return err == unix.ENXIO
		})
		if !inTime {
			pause = time.Second
		}
		if len(inos) == 0 {
			return
		}
		if time.Since(begun) > patience {
			if len(inos) == 1 && room <= int64(os.Getpagesize()) {
				return
			}
			r.tb.Fatalf("%d contents are not evicted within %v", len(inos), patience)
		}
	}
}
