package home

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// BusyError: another process owns the home.
type BusyError struct {
	Home Home
	PID  int // 0 if the owner did not say
}

// Error implements error.
func (e *BusyError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%s is in use by another process", e.Home)
	}
	return fmt.Sprintf("%s is in use by process %d", e.Home, e.PID)
}

// Lock is ownership of a home. It ends with the process at the latest, however
// that ends, as the kernel holds it (flock).
type Lock struct{ f *os.File }

func (h Home) lockFile() string { return h.in("run", "lock") }

// Lock takes the home or says who has it: [*BusyError].
func (h Home) Lock() (*Lock, error) {
	if err := h.Check(); err != nil {
		return nil, err
	}
	return h.lock()
}

// LockNew is [Home.Lock] for a home that is being made.
func (h Home) LockNew() (*Lock, error) { return h.lock() }

func (h Home) lock() (*Lock, error) {
	if err := os.MkdirAll(h.RunDir(), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(h.lockFile(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		defer f.Close()
		return nil, &BusyError{Home: h, PID: readPID(f)}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", h.lockFile(), err)
	}
	writePID(f)
	return &Lock{f}, nil
}

// lockPause is between attempts to take a lock that is held.
const lockPause = 50 * time.Millisecond

// LockWithin is [Home.Lock], but waits a while for an owner that is about to
// end, as short commands do.
func (h Home) LockWithin(ctx context.Context, patience time.Duration) (*Lock, error) {
	deadline := time.Now().Add(patience)
	for {
		l, err := h.Lock()
		busy := new(BusyError)
		if !errors.As(err, &busy) || time.Now().After(deadline) {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lockPause):
		}
	}
}

// Unlock gives the home up.
func (l *Lock) Unlock() error {
	return errors.Join(l.f.Truncate(0), l.f.Close())
}

// writePID says who has the lock, for people. On a full disk they are not told.
func writePID(f *os.File) {
	_ = f.Truncate(0)
	_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
}

func readPID(f *os.File) int {
	var b [20]byte
	n, _ := f.ReadAt(b[:], 0)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	return pid
}
