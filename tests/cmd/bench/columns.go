package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// The columns; pt is the kernel's passthrough.
const (
	native     = "disk"
	loopPlain  = "loopback"
	loopPass   = "loopback/pt"
	ownPlain   = "tunesafe"
	ownPass    = "tunesafe/pt"
	patience   = time.Minute
	pollEvery  = 5 * time.Millisecond
	longSettle = time.Hour
)

var columnNames = []string{ownPass, ownPlain, native, loopPass, loopPlain}

// limits says which loopback a column cannot be expected to outrun.
var limits = map[string]string{ownPlain: loopPlain, ownPass: loopPass}

const ofLoopback = 0.9

// column is a place to work in.
type column struct {
	name string
	root string
}

// dir is where a work is done in the column.
func (c column) dir(w work) string {
	return filepath.Join(c.root, folderOf(w.name))
}

func folderOf(name string) string {
	return strings.NewReplacer(" ", "-", "/", "-", ",", "").Replace(name)
}

// bench is the places.
type bench struct {
	options
	columns []column
	undo    []func() error
}

func newBench(ctx context.Context, o options) (*bench, error) {
	b := &bench{options: o}
	for _, make := range []func(context.Context) error{b.addNative, b.addLoopbacks, b.addOwn} {
		if err := make(ctx); err != nil {
			return nil, errors.Join(err, b.close())
		}
	}
	return b, nil
}

// close undoes everything, from the last to the first.
func (b *bench) close() error {
	var errs []error
	for i := len(b.undo) - 1; i >= 0; i-- {
		errs = append(errs, b.undo[i]())
	}
	return errors.Join(errs...)
}

func (b *bench) add(name, root string) { b.columns = append(b.columns, column{name, root}) }

func (b *bench) folder(elem ...string) (string, error) {
	p := filepath.Join(append([]string{b.dir}, elem...)...)
	return p, os.MkdirAll(p, 0o755)
}

func (b *bench) addNative(context.Context) error {
	p, err := b.folder("native")
	b.add(native, p)
	return err
}

const serveLoopback = "serve-loopback"

// addLoopbacks serves go-fuse's loopback from processes of their own, as
// Tunesafe is.
func (b *bench) addLoopbacks(ctx context.Context) error {
	for i, name := range []string{loopPlain, loopPass} {
		under, err := b.folder("loop", fmt.Sprint(i), "files")
		if err != nil {
			return err
		}
		at, err := b.folder("loop", fmt.Sprint(i), "mount")
		if err != nil {
			return err
		}
		self, err := os.Executable()
		if err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, self, serveLoopback, under, at)
		cmd.Env = append(os.Environ(), fmt.Sprintf("PASSTHROUGH=%d", i))
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			return err
		}
		b.undo = append(b.undo, func() error { return errors.Join(unmount(at), cmd.Wait()) })
		if err := mounted(at); err != nil {
			return err
		}
		b.add(name, at)
	}
	return nil
}

// loopback is the process that serves one. Its time-outs are those of go-fuse's
// own example; a loopback cannot have longer ones, as others may change what is
// below it.
func loopback(under, at string, passthrough bool) int {
	root, err := fusefs.NewLoopbackRoot(under)
	if err == nil {
		second := time.Second
		o := &fusefs.Options{AttrTimeout: &second, EntryTimeout: &second, NullPermissions: true}
		o.MaxWrite, o.FsName, o.Name = 1<<20, under, "loopback"
		o.DirectMount = os.Geteuid() == 0
		if !passthrough {
			o.DisabledCapabilities = fuse.CAP_PASSTHROUGH
		}
		var s *fuse.Server
		if s, err = fusefs.Mount(at, root, o); err == nil {
			s.Wait()
			return 0
		}
	}
	fmt.Fprintln(os.Stderr, "loopback:", err)
	return 1
}

func (b *bench) addOwn(ctx context.Context) error {
	for _, name := range []string{ownPlain, ownPass} {
		d, err := b.newDrive(ctx, name)
		if err != nil {
			return err
		}
		var flags []string
		if name == ownPlain {
			flags = append(flags, "--no-passthrough")
		}
		if err := d.mount(ctx, flags...); err != nil {
			return err
		}
		b.add(name, d.at)
	}
	return nil
}

// drive is a home of the program.
type drive struct {
	program, home, at string
}

// newDrive makes a home with a store on this machine.
func (b *bench) newDrive(ctx context.Context, name string) (*drive, error) {
	base, err := b.folder("own", folderOf(name))
	if err != nil {
		return nil, err
	}
	d := &drive{program: b.program, home: filepath.Join(base, "home"), at: filepath.Join(base, "drive")}
	if err := os.Mkdir(d.at, 0o755); err != nil {
		return nil, err
	}
	b.undo = append(b.undo, func() error { return unmount(d.at) })
	return d, d.run(ctx, "init", "--store-dir", filepath.Join(base, "store"))
}

func (d *drive) mount(ctx context.Context, flags ...string) error {
	return d.run(ctx, append(append([]string{"mount", "--settle", longSettle.String()}, flags...), d.at)...)
}

func (d *drive) run(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, d.program, args...)
	cmd.Env = append(os.Environ(), "TUNESAFE_HOME="+d.home)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("tunesafe %q: %w\n%s", args, err, out)
	}
	return nil
}

// isMounted asks the mount table.
func isMounted(at string) bool {
	table, err := os.ReadFile("/proc/self/mountinfo")
	return err == nil && strings.Contains(string(table), " "+at+" ")
}

func mounted(at string) error {
	for end := time.Now().Add(patience); !isMounted(at); time.Sleep(pollEvery) {
		if time.Now().After(end) {
			return fmt.Errorf("%s: not mounted within %v", at, patience)
		}
	}
	return nil
}

// unmount waits for those who still use the drive.
func unmount(at string) error {
	for end := time.Now().Add(patience); isMounted(at); time.Sleep(pollEvery) {
		out, err := exec.Command("fusermount3", "-u", at).CombinedOutput()
		if err != nil && time.Now().After(end) {
			return fmt.Errorf("fusermount3 -u %s: %w: %s", at, err, out)
		}
	}
	return nil
}

// settleDisk writes out what earlier work left, so that nobody pays for another.
func settleDisk() { unix.Sync() }
