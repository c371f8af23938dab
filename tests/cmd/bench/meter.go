package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tunesafe/tunesafe/tests/budget"
	"github.com/tunesafe/tunesafe/tests/s3proxy"
)

// cost is what a piece of work took of a program and of the line.
type cost struct {
	wall, cpu float64 // seconds
	memory    float64 // MB of resident memory, at most
	own       float64 // of it what is not a file's, at most
	executed  float64 // millions of instructions outside of the kernel; 0 where none are counted
	log       []s3proxy.Entry
	s3proxy.Stats
}

func (c cost) puts() float64 {
	n := c.Ops["PutObject"].Requests + c.Ops["UploadPart"].Requests + c.Ops["CopyObject"].Requests
	return float64(n)
}

func (c cost) lists() float64 {
	return float64(c.Ops["ListObjectsV2"].Requests + c.Ops["ListObjects"].Requests + c.Ops["ListObjectVersions"].Requests)
}

// watch reads the highest resident memory of a process again and again, as the
// kernel tells it only while the process is there. What wait4 says of a child
// counts what its parent had, too.
func watch(pid int) (stop func() (memory, own float64)) {
	var most, mostOwn atomic.Int64
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for last := false; ; {
			if mib, err := memoryOf(pid, "VmHWM"); err == nil {
				most.Store(max(most.Load(), int64(mib*(1<<20))))
			}
			if mib, err := memoryOf(pid, "RssAnon"); err == nil {
				mostOwn.Store(max(mostOwn.Load(), int64(mib*(1<<20))))
			}
			if last {
				return
			}
			select {
			case <-done:
				last = true
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() (memory, own float64) {
		close(done)
		<-ended
		return float64(most.Load()) / 1e6, float64(mostOwn.Load()) / 1e6
	}
}

// memories is the highest resident memory of a process, and what it has of its own now, in MB.
func memories(pid int) (most, own float64, err error) {
	if most, err = memoryOf(pid, "VmHWM"); err == nil {
		own, err = memoryOf(pid, "RssAnon")
	}
	return most * (1 << 20) / 1e6, own * (1 << 20) / 1e6, err
}

// measure runs a command to its end.
func (l *lab) measure(ctx context.Context, p *peer, args []string) (cost, error) {
	ctx, cancel := context.WithTimeout(ctx, max(p.patience, stepPatience))
	defer cancel()
	l.server.proxy.Reset()
	cmd := p.command(ctx, args)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	counter, err := budget.Start(cmd)
	if err != nil {
		return cost{}, err
	}
	defer counter.Close()
	memory := watch(cmd.Process.Pid)
	err = cmd.Wait()
	c := cost{wall: time.Since(began).Seconds(), log: l.server.proxy.Log(), Stats: l.server.proxy.Reset()}
	c.memory, c.own = memory()
	if err != nil {
		return c, fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, tail(out.String()))
	}
	c.cpu = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	c.executed, err = counter.Count()
	c.executed /= 1e6
	return c, err
}

func tail(s string) string { return s[max(0, len(s)-600):] }

// mount is a running process that serves a folder.
type mount struct {
	at   string
	root string // where the library is
	cmd  *exec.Cmd
	log  string
	l    *lab

	memory func() (memory, own float64) // at most; ends the watch
}

// open mounts a peer's store and waits until it is there.
func (l *lab) open(ctx context.Context, p *peer, v variant, library string) (*mount, error) {
	m := &mount{at: filepath.Join(p.dir, "mnt"), log: filepath.Join(p.dir, "mount.log"), l: l}
	args, err := v.args(ctx, m.at)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(m.at, 0o755); err != nil {
		return nil, err
	}
	out, err := os.Create(m.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	m.cmd = p.command(context.Background(), args) // ended by close, in order
	m.cmd.Stdout, m.cmd.Stderr = out, out
	if err := m.cmd.Start(); err != nil {
		return nil, err
	}
	m.memory = sync.OnceValues(watch(m.cmd.Process.Pid))
	m.root = v.root(m.at, library)
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if isMounted(m.at) {
			if _, err := os.Stat(m.root); err == nil || v.empty {
				return m, os.MkdirAll(m.root, 0o755)
			}
		}
		if time.Since(began) > max(p.patience, patience) || ctx.Err() != nil || ended(m.cmd.Process.Pid) {
			text, _ := os.ReadFile(m.log)
			m.close()
			return nil, fmt.Errorf("%s: not mounted after %.0f s: %s", args[0], time.Since(began).Seconds(), tail(string(text)))
		}
	}
}

// close unmounts, and waits for the process, which may still upload.
func (m *mount) close() error {
	m.memory()
	err := unmount(m.at)
	for began := time.Now(); !ended(m.cmd.Process.Pid); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > patience {
			_ = m.cmd.Process.Kill()
		}
	}
	_ = m.cmd.Wait()
	return err
}

// ended tells whether a child is gone, or waits to be waited for.
func ended(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

// during measures what a mount's process and the line take while f runs. f may
// return the moment at which the work was over, if that was before.
func (m *mount) during(f func() (time.Time, error)) (cost, error) {
	pid := m.cmd.Process.Pid
	before, err := cpuOf(pid)
	if err != nil {
		return cost{}, err
	}
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0) // forgets the highest memory
	m.l.server.proxy.Reset()
	began := time.Now()
	over, err := f()
	if err != nil {
		return cost{}, err
	}
	if over.IsZero() {
		over = time.Now()
	}
	c := cost{wall: over.Sub(began).Seconds(), Stats: m.l.server.proxy.Stats()}
	after, err := cpuOf(pid)
	if err != nil {
		return c, err
	}
	c.cpu = (after - before).Seconds()
	c.memory, c.own, err = memories(pid)
	return c, err
}

// cpuOf is what a process has used; the kernel counts in hundredths of seconds
// (proc(5)).
func cpuOf(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	f := strings.Fields(rest)
	user, err := strconv.Atoi(f[11])
	if err != nil {
		return 0, err
	}
	system, err := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond, err
}
