package cache

import "slices"

// Readahead windows, in bytes. A first miss fetches little, so that a scanner
// that looks once costs little; a reader that goes on earns more.
const (
	firstWindow = 64 << 10
	maxWindow   = 4 << 20
	lastStretch = 128 << 10 // of a fill, in bytes, during which the next is asked for

	// nearby is how far ahead a reader may go on and wait for what lies between: it is
	// here as soon as what a request of its own would bring. The kernel, which reads
	// 64 KiB ahead where files are not opened direct, asks no further out of order.
	nearby = 128 << 10
)

// readahead follows one handle's reads of sound. What is read of tags and of the
// probe tells nothing: players look at the end of a file before they play, or now
// and then while they do. Guarded by file.mu, but for stop.
type readahead struct {
	next   int64 // where a sequential reader goes on
	window int64
	fills  []*fill // begun for this handle, the last of them farthest ahead
	file   *file
	quiet  bool // nobody listens
	some   bool // it may ask for more than it needs: see ReadSome
}

// stop ends what was fetched ahead for a reader that went away.
func (ra *readahead) stop() {
	if ra.file == nil {
		return
	}
	ra.file.mu.Lock()
	defer ra.file.mu.Unlock()
	ra.abandon()
}

// abandon cancels the handle's fills unless somebody waits for them.
func (ra *readahead) abandon() {
	for _, fl := range ra.fills {
		if fl.waiters == 0 && !fl.done {
			fl.dead = true
			fl.cancel()
		}
	}
	ra.fills = nil
}

// far tells whether an offset is elsewhere than where the reader was.
func (ra *readahead) far(off int64) bool { return off < ra.next-nearby || off > ra.next+nearby }

// passed notes that sound up to an offset was read. A look elsewhere at what is
// here tells nothing yet.
func (ra *readahead) passed(from, to int64) {
	if !ra.far(from) {
		ra.next = max(ra.next, to)
	}
}

// ahead begins the next fill for a reader at an offset that goes on and on: when it
// has used half of what was asked for ahead of it, and the last of that is about to
// be here. Sooner the two would only share the line, and the reader have what it
// waits for later.
func (f *file) ahead(ra *readahead, off int64) {
	if ra.window < 2*firstWindow || len(ra.fills) == 0 || f.layout == nil {
		return
	}
	fl := ra.fills[len(ra.fills)-1]
	if fl.err != nil || !fl.done && fl.end-fl.pos > lastStretch || fl.end >= f.layout.recipe.Parts[fl.part].Size {
		return
	}
	s := f.layout.at(off)
	if s.part != fl.part || s.partOff > fl.end || fl.end-s.partOff > ra.window/2 || f.fillFor(span{part: fl.part, partOff: fl.end}) != nil {
		return
	}
	if at, _ := f.layout.fileOff(fl.part, fl.end); !f.have.Here.touches(at, at+1) {
		next := f.begin(fl.part, fl.end, f.nextWindow(ra), ra.quiet)
		ra.fills = append(slices.DeleteFunc(ra.fills, func(x *fill) bool { return x.done }), next)
	}
}

// nextWindow doubles the handle's window.
func (f *file) nextWindow(ra *readahead) int64 {
	ra.window = min(max(2*ra.window, firstWindow), maxWindow)
	return ra.window
}
