package power

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/tests/faultfs"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// hangs is after how long a script is taken to hang.
const hangs = 2 * time.Minute

// disease is a way in which a disk fails.
type disease struct {
	name  string
	fault faultfs.Fault
}

var diseases = []disease{
	{"one error", faultfs.Fault{Times: 1, Errno: syscall.EIO}},
	{"errors from then on", faultfs.Fault{Errno: syscall.EIO}},
	{"full once", faultfs.Fault{Ops: faultfs.Changes, Times: 1, Errno: syscall.ENOSPC}},
	{"full from then on", faultfs.Fault{Ops: faultfs.Changes, Errno: syscall.ENOSPC}},
	{"one short write", faultfs.Fault{Ops: []string{"write"}, Times: 1, Errno: syscall.ENOSPC, Short: true}},
}

// TestEveryCallFails runs a script of mounting, writing, renaming, tagging,
// uploading, evicting, reading and unmounting again and again, each time with
// another call of the home's disk failing. Whatever fails: no program is told of
// a success that was none, nothing hangs or panics, somebody is told, and once
// the disk is well and the drive mounted anew, all that was accepted is there and
// becomes safe. After every second run the power goes, too: then all that fsync
// acknowledged is there.
//
// A full run fails every call; others take a few at random.
func TestEveryCallFails(t *testing.T) {
	sample := tools.Count(t, 1, 12, 0)
	seed := uint64(tools.Seed(t))
	for _, d := range diseases {
		t.Run(strings.ReplaceAll(d.name, " ", "_"), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 3))
			c := &clinic{rig: newRig(t), rng: rng}
			all := c.callsOf(d.fault)
			runs := 0
			for n := 1; ; n++ {
				at := n
				if sample > 0 {
					at = 1 + rng.IntN(all)
				}
				met := c.run(d.fault, at)
				if t.Failed() {
					t.Fatalf("the failing call was number %d of about %d, run %d", at, all, c.runs)
				}
				runs++
				if sample > 0 && n == sample || sample == 0 && !met {
					break
				}
			}
			t.Logf("figure: %s: %d runs of a script of %d such calls; an error was returned in %d, told in log or status in %d, and of no consequence in %d: %v",
				d.name, runs, all, c.returned, c.told, c.silent, c.silentCalls)
		})
	}
}

// clinic runs the script on a rig.
type clinic struct {
	*rig
	rng                    *rand.Rand
	runs                   int
	returned, told, silent int
	silentCalls            map[string]int
}

// callsOf is about how many calls of a run could fail by f.
func (c *clinic) callsOf(f faultfs.Fault) int {
	c.script(newScript(c, c.rng)) // a first one, that makes what later ones find
	before := c.disk.Counts()
	c.script(newScript(c, c.rng))
	all := 0
	for op, n := range c.disk.Counts() {
		if f.Ops == nil || contains(f.Ops, op) {
			all += n - before[op]
		}
	}
	return all
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

// run carries out the script with a fault at the n-th call, and looks what came
// of it. It returns false if the script made fewer calls.
func (c *clinic) run(f faultfs.Fault, n int) (met bool) {
	c.t.Helper()
	f.From, f.Not = n, "log/" // whoever cannot write the log can tell nobody
	logged := len(c.Log())
	s := newScript(c, c.rng)
	c.disk.Fail(f)
	returned := c.script(s)
	failed := c.disk.Heal()
	c.stop()
	log := c.Log()
	log = log[min(logged, len(log)):]
	if what := regexp.MustCompile(`(?m)^(panic:|fatal error:).*`).FindString(log); what != "" {
		c.t.Errorf("after %q: %s", failed, what)
	}
	if len(failed) == 0 {
		for _, err := range returned {
			c.t.Errorf("failed on a disk that did not: %v", err)
		}
	}
	c.classify(returned, log, failed)
	lost := c.runs%2 == 0
	if lost {
		c.cut(faultfs.Loss{})
	}
	c.start(settle, cacheSize)
	for _, e := range s.entries() {
		if err := e.checkAfterFault(lost); err != nil {
			c.t.Errorf("after %s (power lost: %v), with %v: %v", shorten(failed), lost, returned, err)
		}
	}
	if stdout, stderr, code := c.Try("wait", "--timeout", "3m"); code != 0 {
		c.t.Errorf("after %s: wait: exit code %d\n%s%s", shorten(failed), code, stdout, stderr)
	}
	if stdout, stderr, code := c.Try("check"); code != 0 {
		c.t.Errorf("after %s: check: exit code %d\n%s%s", shorten(failed), code, stdout, stderr)
	}
	if err := os.RemoveAll(s.dir); err != nil {
		c.t.Error(err)
	}
	c.Run("unmount", c.At)
	c.AwaitEnd(c.pid)
	c.pid = 0
	return len(failed) > 0
}

func shorten(calls []string) string {
	if len(calls) > 3 {
		return fmt.Sprintf("%q and %d more", calls[:3], len(calls)-3)
	}
	return fmt.Sprintf("%q", calls)
}

// classify counts who was told of a failure.
func (c *clinic) classify(returned []error, log string, failed []string) {
	switch {
	case len(failed) == 0:
	case len(returned) > 0:
		c.returned++
	case regexp.MustCompile(`level=(ERROR|WARN) msg="?[^t"]`).MatchString(log): // but for go-fuse's trySplice
		c.told++
	default:
		c.silent++
		if c.silentCalls == nil {
			c.silentCalls = map[string]int{}
		}
		c.silentCalls[failed[0][:strings.IndexByte(failed[0], ' ')]]++
	}
}

// stop ends the process that serves the drive, however it is.
func (c *clinic) stop() {
	c.t.Helper()
	if c.Mounted() {
		c.Try("unmount", c.At)
	}
	for _, pid := range c.processes() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		c.AwaitEnd(pid)
	}
	for c.Mounted() {
		if err := unix.Unmount(c.At, unix.MNT_DETACH); err != nil {
			c.t.Fatal(err)
		}
	}
}

// processes are those that serve the home's drive. Asking them would need the
// disk.
func (c *clinic) processes() (pids []int) {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		c.t.Fatal(err)
	}
	for _, name := range lines {
		line, _ := os.ReadFile(name)
		if bytes.Contains(line, []byte("\x00mount\x00")) && bytes.Contains(line, []byte(c.Dir+"\x00")) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// script mounts, works and unmounts, and returns what failed. It goes on after
// each failure, as the programs of a day do.
func (c *clinic) script(s *script) (failed []error) {
	c.t.Helper()
	c.runs++
	done := make(chan []error, 1)
	go func() { done <- s.run() }()
	select {
	case failed = <-done:
		return failed
	case <-time.After(hangs):
		c.t.Fatalf("%q hangs; the calls that failed: %s", s.at, shorten(c.disk.Heal()))
		return nil
	}
}

// script is one run, with the ledger of what it was told.
type script struct {
	c                   *clinic
	p                   *program
	dir                 string
	song, other, sleeve *entry
	folder              *entry
	at                  string // the step it is at
}

func newScript(c *clinic, rng *rand.Rand) *script {
	dir := filepath.Join(c.At, fmt.Sprintf("run %d", c.runs))
	s := &script{c: c, p: &program{rng: rng, dir: dir}, dir: dir, folder: newEntry(folder, dir)}
	s.song, s.other, s.sleeve = newEntry(file, filepath.Join(dir, "song")), newEntry(file, filepath.Join(dir, "other")), newEntry(file, filepath.Join(dir, "sleeve"))
	s.p.all = s.entries()
	return s
}

func (s *script) entries() []*entry { return []*entry{s.folder, s.song, s.other, s.sleeve} }

func (s *script) run() (failed []error) {
	do := func(name string, err error) bool {
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", name, err))
		}
		return err == nil
	}
	command := func(args ...string) error {
		s.at = strings.Join(args, " ")
		if stdout, stderr, code := s.c.Try(args...); code != 0 {
			return fmt.Errorf("exit code %d: %s%s", code, stdout, stderr)
		}
		return nil
	}
	if !do("mount", command("mount", settle, cacheSize, s.c.At)) {
		return failed
	}
	step := func(name string, op func(*entry) error, e *entry) {
		s.at = name
		do(name, op(e))
	}
	step("mkdir", s.p.folder, s.folder)
	step("create and fsync", s.createSynced, s.song)
	step("create", s.p.create, s.other)
	step("create a big one", s.createBig, s.sleeve)
	if s.song.made() {
		step("rename over", s.p.replace, s.song)
	}
	if s.other.made() {
		step("tag in place", s.p.patch, s.other)
	}
	step("fsync of the folder", s.p.syncFolder, nil)
	do("wait", command("wait", "--timeout", "12s"))
	s.at = "the cache shrinks"
	time.Sleep(1200 * time.Millisecond) // a tick that evicts: there is no event to wait for
	for _, e := range []*entry{s.sleeve, s.song, s.other} {
		step("read", s.read, e)
	}
	if s.sleeve.made() {
		step("tag what is cold", s.p.patch, s.sleeve)
	}
	do("unmount", command("unmount", s.c.At))
	return failed
}

func (s *script) createSynced(e *entry) error {
	b := s.p.bytes()
	e.begin(version{bytes: b})
	f, err := os.Create(e.path)
	if err == nil {
		err = s.p.write(f, b, 0, true)
	}
	return s.p.end(e, true, err)
}

// createBig makes a file larger than the cache.
func (s *script) createBig(e *entry) error {
	b := bytes.Repeat(s.p.bytes()[:1], 1200<<10)
	s.p.rng.Uint64()
	e.begin(version{bytes: b})
	return s.p.end(e, false, os.WriteFile(e.path, b, 0o644))
}

// read compares, if the last change of the file succeeded.
func (s *script) read(e *entry) error {
	if !e.made() {
		return nil
	}
	err := s.p.read(e)
	if errors.Is(err, errWrong) {
		s.c.t.Errorf("a program read what nobody wrote: %v", err)
	}
	return err
}

// made tells whether the last call that changed the name succeeded, and left a file.
func (e *entry) made() bool { return !e.now().absent && !e.now().done.IsZero() }

// checkAfterFault compares with what was told: every call that succeeded counts,
// but after a power loss only what fsync had promised.
func (e *entry) checkAfterFault(lost bool) error {
	if !lost {
		for i, v := range e.versions {
			if !v.done.IsZero() {
				e.floor = max(e.floor, i)
			}
		}
	}
	_, err := e.check(time.Time{})
	return err
}
