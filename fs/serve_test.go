package fs

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/cache"
)

// A process that serves a drive must not use it. So the tests mount in a child,
// this same program started again with serveEnv set, and work on the drive from
// here. The child takes commands on its standard input, one a line, and answers
// each with a line.
const serveEnv = "TUNESAFE_FS_TEST_SERVE"

// mode says what drive a child shall serve.
type mode struct {
	Home, Dir             string
	Passthrough, ReadOnly bool
	AllowOther            bool
	Past                  string // the folder of a [folderPast]; "" for none
	ShowSnapshots         bool
}

func TestMain(m *testing.M) {
	if spec := os.Getenv(serveEnv); spec != "" {
		os.Exit(serve(spec))
	}
	if path := os.Getenv(lockEnv); path != "" {
		os.Exit(lockServe(path))
	}
	code := m.Run()
	for _, d := range shared {
		if d.child == nil {
			continue
		}
		if err := d.child.stop(); err != nil {
			fmt.Fprintf(os.Stderr, "%s drive: %v\n%s", d.name, err, d.child.log.String())
			code = 1
		}
		os.RemoveAll(d.base)
	}
	os.Exit(code)
}

// serve is the child's main.
func serve(spec string) int {
	var o mode
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	fail := func(err error) int {
		fmt.Println("error:", err)
		return 1
	}
	if err := json.Unmarshal([]byte(spec), &o); err != nil {
		return fail(err)
	}
	b := newBucket()
	c, err := cache.Open(o.Home, cache.Options{
		Fetcher: b, InoBase: 1 << 40, Passthrough: o.Passthrough, Log: log, CacheSize: 1 << 30,
	})
	if err != nil {
		return fail(err)
	}
	options := Options{
		ID: "test", Passthrough: o.Passthrough, ReadOnly: o.ReadOnly, AllowOther: o.AllowOther, Log: log,
		ShowSnapshots: o.ShowSnapshots,
	}
	if o.Past != "" {
		options.Past = folderPast{o.Past}
	}
	m, err := Mount(o.Dir, c, options)
	if err != nil {
		return fail(errors.Join(err, c.Close()))
	}
	fmt.Println("mounted passthrough =", m.Passthrough())

	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		if err := command(m, c, b, strings.Fields(in.Text())); err != nil {
			fmt.Println("error:", err)
		} else {
			fmt.Println("ok")
		}
	}
	err = m.Unmount()
	for range 1200 { // programs that still end
		if !errors.Is(err, ErrBusy) {
			break
		}
		time.Sleep(50 * time.Millisecond)
		err = m.Unmount()
	}
	if err != nil {
		return fail(err)
	}
	if err := c.Close(); err != nil {
		return fail(err)
	}
	return 0
}

// flips holds what ends the command "flip".
var flips = make(chan chan struct{}, 1)

// command does what is asked of a child. What changes the drive does so behind
// the kernel's back, as another device's commit would.
func command(m *Mounted, c *cache.Cache, b *bucket, words []string) error {
	switch words[0] {
	case "unmount":
		return m.Unmount()
	case "wait":
		m.Wait()
		return nil
	case "mkdir":
		_, err := c.Mkdir(cache.Root, words[1], 0o755, cache.Owner{})
		return err
	case "rmdir":
		return c.Rmdir(cache.Root, words[1])
	case "flip": // a name comes and goes; the end is "rest"
		var stop = make(chan struct{})
		flips <- stop
		go func() {
			for {
				select {
				case <-stop:
					return
				default:
					if _, err := c.Mknod(cache.Root, words[1], syscall.S_IFREG|0o644, 0, cache.Owner{}); err == nil {
						c.Unlink(cache.Root, words[1])
					}
					time.Sleep(100 * time.Microsecond) // the kernel's requests need their turn
				}
			}
		}()
		return nil
	case "rest":
		close(<-flips)
		return nil
	case "chmod":
		a, err := c.Lookup(cache.Root, words[1])
		if err != nil {
			return err
		}
		perm := uint32(0o700)
		_, err = c.SetAttr(a.Ino, cache.Change{Mode: &perm})
		return err
	case "plant":
		size, err := strconv.ParseInt(words[2], 10, 64)
		if err != nil {
			return err
		}
		return plant(c, words[1], size)
	case "plant-track":
		return plantTrack(c, words[1])
	case "asked": // for how many bytes of the past: of sound, of others
		return fmt.Errorf("%d %d", soundAsked.Load(), otherAsked.Load())
	case "past-nodes": // that the kernel knows
		m.d.past.mu.Lock()
		defer m.d.past.mu.Unlock()
		return fmt.Errorf("%d", len(m.d.past.nodes))
	case "past-most":
		n, err := strconv.Atoi(words[1])
		m.d.past.mu.Lock()
		defer m.d.past.mu.Unlock()
		m.d.past.most, m.d.past.limit = n, n
		return err
	case "silent": // an error if sound was fetched since the last time
		return b.silent()
	case "bucket":
		b.set(words[1])
		return nil
	case "evict":
		_, err := c.EvictAll()
		return err
	case "invalidate":
		a, err := c.Lookup(cache.Root, words[1])
		if err != nil {
			return err
		}
		return m.Invalidate(a.Ino)
	case "place", "add", "update", "remove":
		return feed(c, words)
	case "invalidate-entry":
		return m.InvalidateEntry(cache.Root, words[1])
	}
	return fmt.Errorf("unknown command %q", words[0])
}

// child is a process that serves a drive.
type child struct {
	mode
	passthrough bool // granted
	cmd         *exec.Cmd
	in          io.WriteCloser
	out         *bufio.Reader
	log         bytes.Buffer
	stopped     bool
}

// start runs a child; its error is the child's first line where it could not mount.
func start(o mode, as *syscall.Credential) (*child, error) {
	spec, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{mode: o, cmd: exec.Command(self, "-test.run=^$")}
	if as != nil {
		c.cmd = exec.Command(filepath.Join(filepath.Dir(o.Home), "serve"), "-test.run=^$")
		c.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	}
	c.cmd.Env = append(os.Environ(), serveEnv+"="+string(spec))
	c.cmd.Stderr = &c.log
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := c.out.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "mounted") {
		c.cmd.Wait()
		return nil, fmt.Errorf("%s%v\n%s", line, err, c.log.String())
	}
	c.passthrough = strings.Contains(line, "true")
	return c, nil
}

// ask sends a command and returns the answer.
func (c *child) ask(t *testing.T, command string) string {
	t.Helper()
	fmt.Fprintln(c.in, command)
	line, err := c.out.ReadString('\n')
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, c.log.String())
	}
	return strings.TrimSpace(line)
}

// tell is ask for what must succeed.
func (c *child) tell(t *testing.T, command string) {
	t.Helper()
	if got := c.ask(t, command); got != "ok" {
		t.Fatalf("%s: %s\n%s", command, got, c.log.String())
	}
}

// stop ends the child, which unmounts first.
func (c *child) stop() error {
	if c.stopped {
		return nil
	}
	c.stopped = true
	c.in.Close()
	said, _ := io.ReadAll(c.out)
	if err := c.cmd.Wait(); err != nil {
		return fmt.Errorf("%w: %s", err, said)
	}
	return nil
}

// lacking skips, or fails where the tools are required.
func lacking(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("TUNESAFE_REQUIRE_TOOLS") == "1" {
		t.Fatal(what)
	}
	t.Skip(what)
}

func needFUSE(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/dev/fuse"); err != nil {
		lacking(t, "there is no /dev/fuse")
	}
	if !haveFusermount() {
		lacking(t, "fusermount3 is not installed")
	}
}

// mounted serves a drive of its own for one test.
func mounted(t *testing.T, o mode) *child {
	t.Helper()
	needFUSE(t)
	base := t.TempDir()
	if o.Home == "" {
		o.Home = filepath.Join(base, "home")
	}
	o.Dir = filepath.Join(base, "drive")
	for _, dir := range []string{o.Home, o.Dir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	c, err := start(o, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.stop(); err != nil {
			t.Errorf("%v\n%s", err, c.log.String())
		}
	})
	return c
}

// shared are the drives most tests use, each test in a directory of its own.
var shared = []*sharedDrive{{name: "ordinary"}, {name: "passthrough", passthrough: true}}

type sharedDrive struct {
	name        string
	passthrough bool
	once        sync.Once
	base        string
	child       *child
	err         error
}

// inBoth runs a test in a fresh directory of a drive without passthrough and of
// one with it.
func inBoth(t *testing.T, test func(t *testing.T, dir string)) {
	needFUSE(t)
	for _, d := range shared {
		t.Run(d.name, func(t *testing.T) {
			if d.passthrough && os.Geteuid() != 0 {
				t.Skip("for root: the kernel grants passthrough to no one else")
			}
			d.once.Do(d.start)
			if d.err != nil {
				t.Fatal(d.err)
			}
			if d.passthrough && !d.child.passthrough {
				lacking(t, "the kernel does not grant passthrough here")
			}
			dir, err := os.MkdirTemp(d.child.Dir, "")
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			test(t, dir)
		})
	}
}

func (d *sharedDrive) start() {
	if d.base, d.err = os.MkdirTemp("", "tunesafe-fs-"); d.err != nil {
		return
	}
	o := mode{Home: filepath.Join(d.base, "home"), Dir: filepath.Join(d.base, "drive"), Passthrough: d.passthrough}
	for _, dir := range []string{o.Home, o.Dir} {
		if d.err = os.Mkdir(dir, 0o700); d.err != nil {
			return
		}
	}
	if os.Geteuid() == 0 {
		// Some of the everyday operations are a plain user's.
		o.AllowOther = true
		d.err = errors.Join(os.Chmod(d.base, 0o755), os.Chmod(o.Dir, 0o755))
	}
	if d.err == nil {
		d.child, d.err = start(o, nil)
	}
}
