package fs

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
)

var (
	// ErrNoFUSE is returned by Mount where the machine lacks /dev/fuse, or the
	// program fusermount3 that mounts for those who are not root.
	ErrNoFUSE = errors.New("FUSE is not available")

	// ErrBusy is returned by Unmount while a program has a file open or its
	// working directory on the drive.
	ErrBusy = errors.New("the drive is in use")
)

// Options say how a drive is mounted.
type Options struct {
	// ID names the drive in the mount table, as source "tunesafe:<ID>" of a
	// file system of type fuse.tunesafe.
	ID string

	AllowOther  bool // let users in who did not mount it
	ReadOnly    bool
	Passthrough bool // let the kernel read and write content files where it can
	Debug       bool // log every request
	Log         *slog.Logger

	Past          Past // what SnapshotsDir shows; nil: there is none
	ShowSnapshots bool // list it in the root, so that whoever walks the drive walks in
}

// Mounted is a mounted drive. Its methods may be called at once.
type Mounted struct {
	dir    string
	server *fuse.Server
	d      *drive
	done   chan struct{} // closed when the last request is answered

	unmounting sync.Mutex
}

// Mount mounts the drive of c on the directory dir and serves it until it is
// unmounted. The caller closes c, after [Mounted.Wait]. The calling process must
// not itself use files below dir: it would wait for itself.
func Mount(dir string, c *cache.Cache, o Options) (*Mounted, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	d := newDrive(c, o.Log)
	server, err := connect(d.raw(o), dir, o)
	if err != nil {
		return nil, err
	}
	d.server = server
	d.direct = server.KernelSettings().Flags64()&fuse.CAP_DIRECT_IO_ALLOW_MMAP != 0
	d.passthrough = o.Passthrough && d.granted()
	c.KeepRemoved(true)

	m := &Mounted{dir: dir, server: server, d: d, done: make(chan struct{})}
	go func() {
		defer close(m.done)
		server.Serve()
		d.close()
	}()
	if err := server.WaitMount(); err != nil {
		return nil, errors.Join(fmt.Errorf("waiting for the mount: %w", err), m.Unmount())
	}
	c.OnFed(m.fed)
	return m, nil
}

// raw is what answers the kernel.
func (d *drive) raw(o Options) fuse.RawFileSystem {
	if o.Past == nil {
		return d
	}
	if d.taken() {
		d.log.Warn("the drive has something of its own named "+SnapshotsDir+", which hides its snapshots until it is renamed",
			"path", SnapshotsDir)
	}
	d.past = newSnapshots(d, o.Past, o.ShowSnapshots)
	return &withPast{d, d.past}
}

// connect mounts by the system call where the process may, else by fusermount3.
func connect(raw fuse.RawFileSystem, dir string, o Options) (*fuse.Server, error) {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoFUSE, err)
	}
	level := slog.LevelWarn
	if o.Debug {
		level = slog.LevelDebug
	}
	opts := fuse.MountOptions{
		FsName:               "tunesafe:" + o.ID,
		Name:                 "tunesafe",
		Options:              []string{"default_permissions"},
		AllowOther:           o.AllowOther,
		MaxWrite:             1 << 20,
		MaxReadAhead:         64 << 10, // the cache reads ahead by its own knowledge
		MaxBackground:        64,       // readahead that waits for the network must not stop the rest
		EnableSymlinkCaching: true,
		ExtraCapabilities:    fuse.CAP_READDIRPLUS_AUTO | fuse.CAP_DIRECT_IO_ALLOW_MMAP | fuse.CAP_ASYNC_DIO,
		Debug:                o.Debug,
		Logger:               slog.NewLogLogger(o.Log.Handler(), level),
	}
	var direct error
	if os.Geteuid() == 0 {
		// Read-only is a flag to the system call and a word to fusermount3.
		opts.DirectMountStrict = true
		opts.DirectMountFlags = unix.MS_NOSUID | unix.MS_NODEV
		if o.ReadOnly {
			opts.DirectMountFlags |= unix.MS_RDONLY
		}
		server, err := fuse.NewServer(raw, dir, &opts)
		if err == nil {
			return server, nil
		}
		direct = fmt.Errorf("mounting on %s: %w", dir, err)
		opts.DirectMountStrict, opts.DirectMountFlags = false, 0
	}
	if !haveFusermount() {
		if direct != nil {
			return nil, direct
		}
		return nil, fmt.Errorf("%w: the program fusermount3 is not installed", ErrNoFUSE)
	}
	if o.ReadOnly {
		opts.Options = append(opts.Options, "ro")
	}
	server, err := fuse.NewServer(raw, dir, &opts)
	if err != nil {
		return nil, errors.Join(direct, fmt.Errorf("mounting on %s: %w", dir, err))
	}
	return server, nil
}

// haveFusermount looks where go-fuse will.
func haveFusermount() bool {
	for _, name := range []string{"fusermount3", "/bin/fusermount3", "fusermount", "/bin/fusermount"} {
		if _, err := exec.LookPath(name); err == nil {
			return true
		}
	}
	return false
}

// granted tries whether the kernel lets this mount use passthrough to files
// where the contents lie, which it does not if that file system is stacked
// itself. A refusal met later, at an opening, would be an error to the program.
func (d *drive) granted() bool {
	f, err := d.c.Unnamed()
	if err != nil {
		d.log.Warn("passthrough was not tried", "error", err)
		return false
	}
	defer f.Close()
	id, no := d.server.RegisterBackingFd(&fuse.BackingMap{Fd: int32(f.Fd())})
	if no != 0 {
		d.log.Info("passthrough is not available, the drive serves reads and writes itself", "error", no)
		return false
	}
	d.server.UnregisterBackingFd(id)
	return true
}

// Dir is the absolute path of the directory the drive is mounted on.
func (m *Mounted) Dir() string { return m.dir }

// Passthrough reports whether the kernel granted passthrough.
func (m *Mounted) Passthrough() bool { return m.d.passthrough }

// Wait returns when the drive was unmounted, by Unmount or by anyone else, and
// every handle of the cache is released.
func (m *Mounted) Wait() { <-m.done }

// Unmount unmounts the drive and waits as Wait does. It is ErrBusy while the
// drive is in use, and nothing has changed then. Where the drive is unmounted
// already it returns nil.
func (m *Mounted) Unmount() error {
	m.unmounting.Lock()
	defer m.unmounting.Unlock()
	if m.gone(0) {
		return nil
	}
	err := m.server.Unmount()
	switch {
	case err == nil:
		m.Wait()
		return nil
	case errors.Is(err, syscall.EBUSY), strings.Contains(err.Error(), "busy"): // fusermount3 has only words
		return fmt.Errorf("unmounting %s: %w", m.dir, ErrBusy)
	case m.gone(time.Second): // someone else was faster
		return nil
	}
	return fmt.Errorf("unmounting %s: %w", m.dir, err)
}

func (m *Mounted) gone(wait time.Duration) bool {
	select {
	case <-m.done:
		return true
	default:
	}
	if wait == 0 {
		return false
	}
	select {
	case <-m.done:
		return true
	case <-time.After(wait):
		return false
	}
}

// Invalidate makes the kernel forget the attributes, the pages and the symlink
// target of an inode that was changed from elsewhere. Call it after the cache
// has the change, and never while answering a request: the kernel may need
// another answer to drop pages.
func (m *Mounted) Invalidate(ino cache.Ino) error {
	return told("inode", m.server.InodeNotify(ino, 0, 0))
}

// InvalidateEntry makes the kernel forget what it believes of a name that was
// made, removed or given to another inode from elsewhere. The rules are those
// of Invalidate.
func (m *Mounted) InvalidateEntry(parent cache.Ino, name string) error {
	return told("name", m.server.EntryNotify(parent, name))
}

// fed tells the kernel of a change of a place, which came from the folder that
// feeds it. What lost its name and the kernel does not know, nobody can use.
func (m *Mounted) fed(ch cache.FedChange) {
	var errs []error
	if ch.Name != "" {
		errs = append(errs, m.InvalidateEntry(ch.Parent, ch.Name))
	}
	if ch.Ino != 0 {
		s := m.server.InodeNotify(ch.Ino, 0, 0)
		if s == fuse.ENOENT {
			m.d.c.DropRemoved(ch.Ino)
		}
		errs = append(errs, told("inode", s))
	}
	if err := errors.Join(errs...); err != nil {
		m.d.log.Warn("the kernel was not told of a change", "ino", ch.Ino, "err", err)
	}
}

// told turns the kernel's answer to a notification into an error. Not to know
// the inode or name is to have nothing to forget.
func told(what string, s fuse.Status) error {
	if s.Ok() || s == fuse.ENOENT {
		return nil
	}
	return fmt.Errorf("invalidating %s: %w", what, syscall.Errno(s))
}
