// Package fs is the drive: the part of Tunesafe that the Linux kernel talks to.
//
// It is thin. Every question the kernel asks is one call of [cache.Cache], and
// the answer is put into FUSE's words; nothing is decided or remembered here
// that the cache could decide or remember. It is the only package that knows
// errno values and kernel flags.
//
// # What the kernel may remember
//
// What a program sees is what the kernel believes, so this package says how
// long each belief holds:
//
//   - Names and attributes: an hour. All changes by programs pass through the
//     kernel, which corrects itself; changes that come from elsewhere must be
//     told with [Mounted.Invalidate] and [Mounted.InvalidateEntry].
//   - Attributes of a file that is open for writing: not at all; of a file that
//     was written through passthrough: a second. A store to a mapping changes
//     size and times of the content file without any request to us.
//   - Names that do not exist: a second.
//   - Pages of a file: across openings, because in ordinary mode only the
//     kernel's own writes change a content, and opening in passthrough mode
//     drops them. After passthrough was used on an inode they are dropped at
//     each opening. Write-back caching stays off: it would answer write(2)
//     before the bytes are with the cache.
//
// # Passthrough
//
// With passthrough the kernel reads and writes the content file itself. Three
// facts shape the code (Linux 6.18, go-fuse 2.12.1):
//
//   - The kernel answers EIO when an inode is open in both modes at once. The
//     cache therefore chooses a mode with the first handle and keeps it until
//     the last is released.
//   - go-fuse registers the descriptor of the first handle and gives it to all
//     later ones until the last release, whatever those would say.
//   - go-fuse calls our Release before it lets go of that registration. In
//     between, a new opening would meet the old registration after the cache
//     has forgotten the mode. So the cache is told of a release only after
//     go-fuse is done with it: see [releaseLast].
//
// Whether the kernel grants passthrough at all (it asks for privilege, and a
// file system that is not itself stacked) is tried once, before the first
// request is served.
//
// # Missing bytes
//
// A file of which bytes are missing here is opened for direct reading: we are
// asked for what the program asks for, and no more. The kernel's own reading
// ahead would go past the tags and the probe that a scanner looks at, and have
// sound fetched that nobody listens to. How far to read ahead of a player is for
// the cache to say. Kernels before 6.6 cannot map such a file as shared; there
// it is opened as any other.
//
// # Rights
//
// Mounts always have default_permissions: the kernel checks modes and owners,
// clears setuid and setgid bits by the rules and hands us the result. Ours is
// only what it cannot know: a directory's setgid bit is inherited here.
//
// # Locks
//
// flock(2) and fcntl(2) locks are left to the kernel: we do not ask for them
// (no EnableLocks), so it keeps them itself, which is right and complete for
// the programs of one machine. They do not reach other devices.
package fs

import (
	"log/slog"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/tunesafe/tunesafe/cache"
)

const (
	long     = time.Hour   // what the kernel may believe of what only it changes
	brief    = time.Second // names that are not there; files written through passthrough
	maxNoted = 1 << 12     // inodes of which a failure was logged, before starting over
)

// drive is what all nodes of a mount share. The node table is go-fuse's; here
// is only what must be known per inode while files are open.
type drive struct {
	c           *cache.Cache
	log         *slog.Logger
	server      *fuse.Server // set before the first request is served
	passthrough bool         // wanted and granted; set before the first request is served
	direct      bool         // the kernel lets direct handles be mapped; likewise

	mu      sync.Mutex
	inodes  map[cache.Ino]usage
	handles map[*handle]struct{}
	closing map[<-chan struct{}]*handle // by the request that releases them
	noted   map[cache.Ino]struct{}
}

// usage is how an inode is and was opened for writing.
type usage struct {
	writers int  // handles open for writing
	passed  bool // a writer used passthrough since the kernel came to know the inode
}

func newDrive(c *cache.Cache, log *slog.Logger) *drive {
	return &drive{
		c:       c,
		log:     log,
		inodes:  make(map[cache.Ino]usage),
		handles: make(map[*handle]struct{}),
		closing: make(map[<-chan struct{}]*handle),
		noted:   make(map[cache.Ino]struct{}),
	}
}

// attrTimeout says how long the kernel may believe an inode's attributes.
func (d *drive) attrTimeout(ino cache.Ino) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch u := d.inodes[ino]; {
	case u.writers > 0:
		return 0
	case u.passed:
		return brief
	default:
		return long
	}
}

// opened notes a new handle and reports whether the kernel may keep the pages
// it has of the file.
func (d *drive) opened(h *handle) (keep bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.handles[h] = struct{}{}
	u := d.inodes[h.ino()]
	keep = !h.passthrough && !u.passed
	if h.writing {
		u.writers++
		u.passed = u.passed || h.passthrough
		d.inodes[h.ino()] = u
	}
	return keep
}

// released takes a handle out of the books and reports whether it was in them.
func (d *drive) released(h *handle) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.handles[h]; !ok {
		return false
	}
	delete(d.handles, h)
	if h.writing {
		u := d.inodes[h.ino()]
		if u.writers--; u.writers == 0 && !u.passed {
			delete(d.inodes, h.ino())
		} else {
			d.inodes[h.ino()] = u
		}
	}
	return true
}

// forgotten drops what was kept of an inode the kernel no longer knows.
func (d *drive) forgotten(ino cache.Ino) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.inodes[ino].writers == 0 {
		delete(d.inodes, ino)
	}
}

// close releases the handles the kernel never will, because the connection was
// aborted or the mount taken away under them.
func (d *drive) close() {
	d.mu.Lock()
	left := make([]*handle, 0, len(d.handles))
	for h := range d.handles {
		left = append(left, h)
	}
	d.mu.Unlock()
	for _, h := range left {
		h.release()
	}
}

// releaseLast wraps go-fuse's node layer so that the cache hears of a release
// after go-fuse has given up the passthrough registration, not before. The node
// layer calls [handle.Release] with the request's cancel channel; that channel,
// unique among the requests under way, leads from here to the handle.
type releaseLast struct {
	fuse.RawFileSystem
	d *drive
}

func (r releaseLast) Release(cancel <-chan struct{}, in *fuse.ReleaseIn) {
	r.RawFileSystem.Release(cancel, in)
	r.d.mu.Lock()
	h := r.d.closing[cancel]
	delete(r.d.closing, cancel)
	r.d.mu.Unlock()
	if h != nil {
		h.release()
	}
}
