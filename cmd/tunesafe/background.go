package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/home"
)

// A mount in the background is this program started again in a session of its
// own, with no standard streams but the log, that tells over a pipe how its
// start goes until the drive is ready. The program in front prints that and
// ends with it.

// readyFlag is the hidden flag that names the descriptor of the pipe.
const readyFlag = "ready-fd"

// startReport is what is told over the pipe, a JSON value a line.
type startReport struct {
	Note    string         `json:"note,omitempty"`    // what is being done
	Warning *control.Fault `json:"warning,omitempty"` // the drive comes nevertheless
	Fault   *control.Fault `json:"fault,omitempty"`   // the drive does not come
	Ready   bool           `json:"ready,omitempty"`   // the drive is there
}

// starter tells how a start goes; nobody may be listening. Safe to use at once
// from many goroutines.
type starter struct {
	mu   sync.Mutex
	tell func(startReport)
}

func (s *starter) send(r startReport) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tell != nil {
		s.tell(r)
	}
}

func (s *starter) note(format string, a ...any) {
	s.send(startReport{Note: fmt.Sprintf(format, a...)})
}
func (s *starter) warn(err error) { s.send(startReport{Warning: explain(err)}) }

// end tells the outcome of the start, and nothing after it.
func (s *starter) end(err error) {
	if err != nil {
		s.send(startReport{Fault: explain(err)})
	} else {
		s.send(startReport{Ready: true})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell = nil
}

// pipeStarter tells over the descriptor that the program in front passed.
func pipeStarter(fd int) *starter {
	pipe := os.NewFile(uintptr(fd), "ready")
	out := json.NewEncoder(pipe)
	return &starter{tell: func(r startReport) {
		_ = out.Encode(r) // whoever started us may be gone; the drive stays
		if r.Ready || r.Fault != nil {
			pipe.Close()
		}
	}}
}

// screenStarter tells it to the terminal, for a mount in the foreground.
func screenStarter(p *progress) *starter {
	return &starter{tell: func(r startReport) { p.start(r) }}
}

// readyDescriptor is what [exec.Cmd.ExtraFiles] begins with.
const readyDescriptor = 3

// startBackground runs "tunesafe ARGS" in the background and returns when it is
// ready or has failed. The descriptor to report on is [readyDescriptor].
func startBackground(ctx context.Context, h home.Home, args []string, p *progress) error {
	log, err := h.OpenLog()
	if err != nil {
		return err
	}
	defer log.Close()
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	child := exec.Command("/proc/self/exe")
	child.Args = append([]string{os.Args[0]}, args...)
	if kept, err := h.Credentials(); err == nil && kept.AccessKey != "" { // those of the home are used
		child.Env = childEnv()
	}
	child.Stdout, child.Stderr = log, log
	child.ExtraFiles = []*os.File{write}
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = child.Start()
	write.Close()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = child.Process.Signal(syscall.SIGTERM) })
	defer stop()
	err = follow(read, p)
	if err != nil {
		_ = child.Wait() // its exit code says no more than the report
	}
	return err
}

// follow prints the reports until the last.
func follow(pipe io.Reader, p *progress) error {
	defer p.clear()
	for in := json.NewDecoder(pipe); ; {
		var r startReport
		if err := in.Decode(&r); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return errDied
		} else if err != nil {
			return err
		}
		switch {
		case r.Fault != nil:
			return r.Fault
		case r.Ready:
			return nil
		}
		p.start(r)
	}
}
