package power

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// closedFor is how long after close(2) a file is on the disk, on a machine that
// has nothing else to do; and slower is by how many times the longest operation of
// the load it may be later on another.
const (
	closedFor = 2 * time.Second
	slower    = 5
)

// kind is what a promise is about.
type kind int

const (
	file kind = iota
	attribute
	folder
)

// version is what a name held, or was being given.
type version struct {
	bytes  []byte
	absent bool
	atomic bool      // old or new, nothing between
	done   time.Time // when the last call that made it returned; zero: it did not
}

// entry is one name, the versions it went through, and which it cannot fall
// behind. One goroutine changes it.
type entry struct {
	kind kind
	path string

	mu       sync.Mutex
	versions []version
	floor    int // index of the newest version that was promised
}

func newEntry(k kind, path string) *entry {
	return &entry{kind: k, path: path, versions: []version{{absent: true, atomic: true, done: time.Now()}}}
}

// begin notes that a version is being made, before the first call that makes it.
func (e *entry) begin(v version) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.versions = append(e.versions, v)
}

// finish notes that it was made.
func (e *entry) finish() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.versions[len(e.versions)-1].done = time.Now()
}

// promised notes that the newest version is durable.
func (e *entry) promised() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.floor = len(e.versions) - 1
}

// now is the newest version.
func (e *entry) now() version { return e.versions[len(e.versions)-1] }

// see reads what the name holds.
func (e *entry) see() (version, error) {
	var b []byte
	var err error
	switch e.kind {
	case file:
		b, err = os.ReadFile(e.path)
	case folder:
		var info fs.FileInfo
		if info, err = os.Stat(e.path); err == nil && !info.IsDir() {
			err = errors.New("not a directory")
		}
	case attribute:
		b = make([]byte, 1<<10)
		var n int
		n, err = unix.Getxattr(e.path, attributeName, b)
		b = b[:max(n, 0)]
	}
	if errors.Is(err, fs.ErrNotExist) || err == unix.ENODATA {
		return version{absent: true}, nil
	}
	return version{bytes: b}, err
}

const attributeName = "user.rating"

// check compares what the name holds after a power loss with what it may hold,
// and begins anew from there. What was done before closed is promised, too. It
// returns whether a promise was at stake.
func (e *entry) check(closed time.Time) (staked bool, err error) {
	got, err := e.see()
	if err != nil {
		return false, fmt.Errorf("%s: %w", e.path, err)
	}
	floor, why := e.floor, "by fsync"
	for i, v := range e.versions {
		if i > floor && !v.done.IsZero() && v.done.Before(closed) {
			floor, why = i, "by close"
		}
	}
	may := e.versions[floor:]
	staked = floor > 0
	if !got.oneOf(may) && !got.mixOf(may) {
		err = fmt.Errorf("%s holds %v; promised %s was %v, later came %v", e.path, got, why, may[0], may[1:])
	}
	got.atomic, got.done = true, time.Now()
	e.versions, e.floor = []version{got}, 0
	return staked, err
}

func (v version) oneOf(may []version) bool {
	for _, m := range may {
		if v.absent == m.absent && bytes.Equal(v.bytes, m.bytes) {
			return true
		}
	}
	return false
}

// mixOf tells whether v may be what a power loss left of writes in place: each
// page of 4 KiB is that of a version, or zeros where one was being written.
func (v version) mixOf(may []version) bool {
	torn := false
	for _, m := range may[1:] {
		torn = torn || !m.atomic
	}
	if !torn || v.absent {
		return false
	}
	const page = 4096
	for at := 0; at < len(v.bytes); at += page {
		p := v.bytes[at:min(at+page, len(v.bytes))]
		ok := len(bytes.Trim(p, "\x00")) == 0
		for _, m := range may {
			ok = ok || pageOf(m.bytes, at, p)
		}
		if !ok {
			return false
		}
	}
	return true
}

// pageOf tells whether p is what b has at an offset, with zeros behind the end of
// either.
func pageOf(b []byte, at int, p []byte) bool {
	var have []byte
	if at < len(b) {
		have = b[at:min(at+len(p), len(b))]
	}
	return bytes.Equal(bytes.TrimRight(have, "\x00"), bytes.TrimRight(p, "\x00")) ||
		bytes.HasPrefix(p, have) && len(bytes.Trim(p[len(have):], "\x00")) == 0 && len(have) > 0
}

func (v version) String() string {
	if v.absent {
		return "nothing"
	}
	how := "in place"
	if v.atomic {
		how = "whole"
	}
	var pages []string
	for at := 0; at < len(v.bytes); at += 4096 {
		pages = append(pages, fmt.Sprintf("%x", v.bytes[at:min(at+2, len(v.bytes))]))
	}
	if len(pages) > 6 {
		pages = append(pages[:6], "…")
	}
	return fmt.Sprintf("[%d bytes %s, %s]", len(v.bytes), how, strings.Join(pages, " "))
}
