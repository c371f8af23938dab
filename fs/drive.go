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
//   - Attributes of a file that can be mapped for writing through passthrough: not
//     at all while it is open, and then a second until no mapping is left. A store
//     to such a mapping changes the content's times without any request to us, and
//     without the kernel's noticing that it is the drive's file. What write(2)
//     changes it notices; before Linux 6.12 it can miss that when asked at the same
//     moment, so a second is the limit while any such writer is left.
//   - Names that do not exist: a second.
//   - Listings: until a name in the directory changes, if they are short.
//   - Pages of a file: across openings, because in ordinary mode only the
//     kernel's own writes change a content, and opening in passthrough mode
//     drops them. While a mapping may be left of it they are dropped at each
//     opening. Write-back caching stays off: it would answer write(2)
//     before the bytes are with the cache.
//
// # Passthrough
//
// With passthrough the kernel reads and writes the content file itself, by a
// descriptor that is registered with it. It answers EIO when an inode is open in
// both modes at once, or through two registrations (Linux 6.18). The cache
// therefore chooses a mode with the first handle and keeps it until the last is
// released; all handles of an inode share one registration, and the last of them
// takes it back before the cache hears of its release.
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
// Direct reads that the program does not wait for (io_uring, which mpd reads by,
// and libaio) need CAP_ASYNC_DIO. Without it Linux 6.18 has us asked as if it
// waited, and forgets how far the answer came: io_uring asks for what is
// missing behind the end of the file, from where it began, a hundred times, and
// the program gets the end of the file over and over.
//
// A read by io_uring may be answered in part: what is here after a tenth of a second is
// given, the rest at the next request (see readsElsewhere). mpd asks for 256 KiB at a
// time, which would have it silent until they came. read(2) never gets less than it
// asked for.
//
// It has its price. Such a read is not interrupted when its program is killed:
// the program dies at once, the drive is in use until the store answers or is
// given up. And such a write drops the kernel's pages when it is sent, not when
// it is done: what one program has mapped and reads at that moment, while another
// writes it by io_uring, may stay the old until the file is opened again. The
// bytes written are right, and so is all that read(2) gets.
//
// # Rights
//
// Mounts always have default_permissions: the kernel checks modes and owners,
// clears setuid and setgid bits by the rules and hands us the result. Ours is
// what it cannot know: a directory's setgid bit is inherited here, and the bits of
// a file of missing bytes are cleared when it says so. We do not offer to clear
// them always (CAP_HANDLE_KILLPRIV_V2): nobody would then for writes through
// passthrough.
//
// # What is not as on a disk
//
// POSIX ACLs, security labels and file capabilities are refused (EOPNOTSUPP), not
// ignored. There is no time of birth: one that a restored drive tells would be
// made up; and reading a file leaves its atime. The setgid bit of a file that its
// group may not execute stays when others write: the kernel says nothing of it,
// and it is no privilege. The generation of every inode is 0, as their numbers are
// never used again. All else is tested beside a folder of the disk: the tables in
// posix_*_test.go.
//
// # What lost its name
//
// An inode without a name stays until the kernel forgets it, not only while it is
// open: a removed directory may be a program's working directory. Removals come
// from the kernel, which knows the inode at that moment, so its FORGET follows.
//
// # Snapshots
//
// With a [Past] the root has a folder [SnapshotsDir] that no listing shows, so that
// nobody who walks the drive walks in (cp -a, diff -r, scanners): it is there for who
// names it. In it each moment that is known is a folder, and nothing else is: a time
// between two moments has no name. All of it is read-only, EROFS, and the name is
// reserved in the root (EEXIST). A drive that has something of that name already shows
// that instead, until it is renamed.
//
// A snapshot does not change, so the kernel may believe for long what it was told of
// it, and keep listings and pages; only which snapshots there are it asks anew. Sound
// is read directly, as of a file of missing bytes. Unlike the present the past has a
// table of nodes, of those that the kernel knows; over a limit the kernel is
// asked to forget those of snapshots that were not entered lately.
//
// Inode numbers have the top bit and are mixed with the moment: within a snapshot
// hard links are told by them as ever, and two versions of a file are two files.
//
// # Locks
//
// flock(2) and fcntl(2) locks are left to the kernel: we do not ask for them
// (no EnableLocks), so it keeps them itself, which is right and complete for
// the programs of one machine. They do not reach other devices.
package fs

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/tunesafe/tunesafe/cache"
)

const (
	long  = time.Hour   // what the kernel may believe of what only it changes
	brief = time.Second // names that are not there; files written through passthrough
)

// drive answers the kernel. Here is only what must be known of what is open.
type drive struct {
	fuse.RawFileSystem // ENOSYS

	c           *cache.Cache
	log         *slog.Logger
	server      *fuse.Server // set before the first request is served
	passthrough bool         // wanted and granted; set before the first request is served
	direct      bool         // the kernel lets direct handles be mapped; likewise
	past        *snapshots   // nil if there are none; likewise

	mu     sync.RWMutex
	last   uint64 // handle number given out
	inodes map[cache.Ino]usage
	files  map[uint64]*handle
	dirs   map[uint64]*dirHandle
	cold   map[uint32]int         // handles that read files of missing bytes, by the thread that opened them
	small  map[cache.Ino]struct{} // directories that the kernel may keep the listings of

	failures failures
	stale    races
}

// usage is how the content of an inode is used through passthrough.
type usage struct {
	passing int    // handles that use backing
	backing int32  // the kernel's registration of the content's descriptor
	writers int    // of these, those that write
	mappers int    // of these, those that can be mapped
	mapped  bool   // there was such a handle, and a mapping of it may be left
	mapper  uint64 // the last of them
}

func newDrive(c *cache.Cache, log *slog.Logger) *drive {
	return &drive{
		RawFileSystem: fuse.NewDefaultRawFileSystem(),
		c:             c,
		log:           log,
		inodes:        make(map[cache.Ino]usage),
		files:         make(map[uint64]*handle),
		dirs:          make(map[uint64]*dirHandle),
		cold:          make(map[uint32]int),
		small:         make(map[cache.Ino]struct{}),
	}
}

// attrTimeout says how long the kernel may believe an inode's attributes.
func (d *drive) attrTimeout(ino cache.Ino) time.Duration {
	d.mu.RLock()
	defer d.mu.RUnlock()
	switch u := d.inodes[ino]; {
	case u.mappers > 0:
		return 0
	case u.writers > 0 || u.mapped:
		return brief
	}
	return long
}

// unmapped notes it if no mapping of an inode is left. Only attributes that are
// read after that may be believed for long.
func (d *drive) unmapped(ino cache.Ino) {
	d.mu.RLock()
	u := d.inodes[ino]
	d.mu.RUnlock()
	if !u.mapped || u.writers > 0 || !d.c.Quiet(ino) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := d.inodes[ino]; now.mapper == u.mapper {
		now.mapped = false
		d.note(ino, now)
	}
}

// opened enters a new handle into the books. It reports whether the kernel may
// keep the pages it has of the file, and for a handle in passthrough mode, whose
// content has the descriptor fd, the number of the registration.
func (d *drive) opened(h *handle, fd int) (keep bool, backing int32, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	u := d.inodes[h.ino()]
	if h.passthrough {
		if u.passing == 0 {
			id, no := d.server.RegisterBackingFd(&fuse.BackingMap{Fd: int32(fd)})
			if no != 0 {
				return false, 0, fmt.Errorf("registering a content for passthrough: %w", no)
			}
			u.backing = id
		}
		u.passing++
	}
	d.last++
	h.fh = d.last
	keep = !h.passthrough && !u.mapped
	if h.writing {
		u.writers++
	}
	if h.mappable {
		u.mappers++
		u.mapped, u.mapper = true, h.fh
	}
	d.note(h.ino(), u)
	if h.reader != 0 {
		d.cold[h.reader]++
	}
	d.last++
	h.fh = d.last
	d.files[h.fh] = h
	return keep, u.backing, nil
}

// released takes a handle out of the books and reports whether it was in them.
func (d *drive) released(h *handle) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.files[h.fh]; !ok {
		return false
	}
	delete(d.files, h.fh)
	u := d.inodes[h.ino()]
	if h.writing {
		u.writers--
	}
	if h.mappable {
		u.mappers--
	}
	if h.passthrough {
		if u.passing--; u.passing == 0 {
			if no := d.server.UnregisterBackingFd(u.backing); no != 0 {
				d.log.Warn("a content stays registered for passthrough", "inode", h.ino(), "error", no)
			}
			u.backing = 0
		}
	}
	d.note(h.ino(), u)
	if h.reader != 0 {
		if d.cold[h.reader]--; d.cold[h.reader] == 0 {
			delete(d.cold, h.reader)
		}
	}
	return true
}

// readsMissing reports whether a thread has opened a file of missing bytes.
func (d *drive) readsMissing(thread uint32) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return thread != 0 && d.cold[thread] > 0
}

// note keeps u while it says something. d.mu is held.
func (d *drive) note(ino cache.Ino, u usage) {
	if u.passing == 0 && !u.mapped {
		delete(d.inodes, ino)
	} else {
		d.inodes[ino] = u
	}
}

// forgotten drops what was kept of an inode the kernel no longer knows. Without
// a name it is gone now; until then a program may have held it.
func (d *drive) forgotten(ino cache.Ino) {
	d.mu.Lock()
	delete(d.small, ino)
	d.mu.Unlock()
	d.c.DropRemoved(ino)
}

// file is an open file by its handle number; nil if there is none.
func (d *drive) file(fh uint64) *handle {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.files[fh]
}

func (d *drive) dir(fh uint64) *dirHandle {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.dirs[fh]
}

func (d *drive) openedDir(h *dirHandle) (fh uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last++
	d.dirs[d.last] = h
	return d.last
}

func (d *drive) releasedDir(fh uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.dirs, fh)
}

func (d *drive) isSmall(dir cache.Ino) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	_, ok := d.small[dir]
	return ok
}

func (d *drive) setSmall(dir cache.Ino, small bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if small {
		d.small[dir] = struct{}{}
	} else {
		delete(d.small, dir)
	}
}

// close releases the handles the kernel never will, because the connection was
// aborted or the mount taken away under them.
func (d *drive) close() {
	d.mu.RLock()
	left := slices.Collect(maps.Values(d.files))
	d.mu.RUnlock()
	for _, h := range left {
		h.release()
	}
	if d.past != nil {
		d.past.close()
	}
	d.c.OnFed(nil)
	d.c.KeepRemoved(false)
	d.failures.writing.Wait()
}
