package fs

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// patience is the context of a read that may have to wait for the network.
//
// The kernel reports an interrupt for any signal the waiting program gets, also
// for a timer's tick or a child's end. A read answered EINTR then would fail a
// program that never met EINTR on a file, and one that maps the file would die
// of SIGBUS. So patience ends only when the caller is being killed; then it
// must, or the program could not die before the network answers.
//
// It costs nothing but its allocation until someone asks for Done.
type patience struct {
	fuse.Context

	mu      sync.Mutex
	ended   bool
	expired bool
	done    chan struct{} // what Done returns
	over    chan struct{} // closed by end
}

const patienceTick = 200 * time.Millisecond

func newPatience(ctx *fuse.Context) *patience { return &patience{Context: *ctx} }

func (p *patience) Done() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done == nil {
		p.done = make(chan struct{})
		p.over = make(chan struct{})
		if !p.ended {
			go p.watch(p.over)
		}
	}
	return p.done
}

func (p *patience) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.expired {
		return context.Canceled
	}
	return nil
}

// end stops the watch; the request is answered.
func (p *patience) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	if p.over != nil {
		close(p.over)
	}
}

// watch waits for the interrupt, which comes at most once, and then for the
// caller's death, which may be announced by it or come later.
func (p *patience) watch(over <-chan struct{}) {
	select {
	case <-over:
		return
	case <-p.Context.Done():
	}
	tick := time.NewTicker(patienceTick)
	defer tick.Stop()
	for !dying(p.Pid) {
		select {
		case <-over:
			return
		case <-tick.C:
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expired = true
	close(p.done)
}

// dying reports whether the thread has SIGKILL pending. The kernel adds it to
// every thread of a process that any fatal signal ends (complete_signal in
// kernel/signal.c). Where /proc does not tell, as for a process of another
// namespace, it is taken to live.
func dying(tid uint32) bool {
	if tid == 0 {
		return false
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid))
	if err != nil {
		return false
	}
	return killed(status)
}

// killed reads a thread's status file (proc_pid_status(5)).
func killed(status []byte) bool {
	_, rest, ok := bytes.Cut(status, []byte("\nSigPnd:"))
	if !ok {
		return false
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	pending, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 16, 64)
	return err == nil && pending&(1<<(syscall.SIGKILL-1)) != 0
}
