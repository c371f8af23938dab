package cache

import (
	"context"
	"errors"
	"time"
)

// ErrLeft ends a reading of who closes the file meanwhile.
var ErrLeft = errors.New("the file was closed while it was read")

const (
	// soon is how long what is here waits for what is not, of an answer in part.
	soon = 100 * time.Millisecond
	// hesitation is how long sound that is read ahead waits for whether the file is closed,
	// as by who wanted its tags alone.
	hesitation = 20 * time.Millisecond
)

// Asker is the program for which ReadSome reads.
type Asker interface {
	TakesLess() bool // than it asks for
	Left() bool      // it has no descriptor of the file any more, for certain
}

// ReadSome is ReadAt for who may take fewer bytes than it asks for: it
// waits for the first of them, and gives what is here from there on. Such a program asks for
// more than it needs, of every file that it looks into, too. So the first sound that is
// missing is asked for a moment later, and not at all if it has left by then: that is ErrLeft.
// Of that sound, and what lies behind it, a little comes at first; elsewhere what is asked for.
func (h *Handle) ReadSome(ctx context.Context, p []byte, off int64, who Asker) (n int, err error) {
	some := who.TakesLess()
	f := h.f
	f.mu.Lock()
	if f.have.Whole || f.fed || off >= f.size {
		f.mu.Unlock()
		return h.ReadAt(ctx, p, off)
	}
	defer func() { h.read.Add(int64(n)) }()
	defer f.mu.Unlock()
	p = p[:min(int64(len(p)), f.size-off)]
	h.ra.file, h.ra.some = f, some && !(h.heard && h.ra.far(off))
	for n < len(p) {
		at := off + int64(n)
		sound, err := f.lacksSound(ctx, at)
		if sound && some && n > 0 {
			return n, nil
		}
		if sound && some && err == nil {
			err = h.hesitate(ctx, who)
		}
		if err != nil {
			return 0, err // of p nothing may be believed
		}
		wait, cancel := ctx, func() {}
		if n > 0 {
			wait, cancel = context.WithTimeout(ctx, soon)
		}
		k, err := f.readSome(wait, &h.ra, p[n:], at)
		late := err != nil && wait.Err() != nil && ctx.Err() == nil
		cancel()
		n += k
		switch {
		case late:
			f.mu.Unlock()
			some = who.TakesLess()
			f.mu.Lock()
			if some {
				return n, nil
			}
		case err != nil:
			return 0, err
		}
	}
	return n, nil
}

// lacksSound tells whether what lies at an offset is missing, and comes by ranges. f.mu
// is held, and may be let go meanwhile.
func (f *file) lacksSound(ctx context.Context, off int64) (bool, error) {
	if _, here := f.have.Here.at(off, off+1); here || f.have.Whole || off >= f.have.Limit {
		return false, nil
	}
	if err := f.needLayout(ctx); err != nil || off >= f.layout.recipe.Size {
		return false, err
	}
	s := f.layout.at(off)
	_, zero := f.layout.zerosAt(s.part, s.partOff, 1)
	return !zero && f.layout.recipe.Parts[s.part].big(), nil
}

// hesitate waits before the first sound is asked for. f.mu is held, and let go meanwhile.
func (h *Handle) hesitate(ctx context.Context, who Asker) error {
	if h.heard {
		return nil
	}
	timer := time.NewTimer(hesitation)
	defer timer.Stop()
	for closed := false; ; closed = true {
		if h.left == nil {
			h.left = make(chan struct{})
		}
		left := h.left
		h.f.mu.Unlock()
		again, err := false, ErrLeft
		if !closed || !who.Left() {
			err = nil
			select {
			case <-left:
				again = true
			case <-ctx.Done():
				err = ctx.Err()
			case <-timer.C:
			}
		}
		h.f.mu.Lock()
		if !again {
			h.heard = err == nil
			return err
		}
	}
}

// Leave tells that a program closed a descriptor of the file. There may be others, of it or of
// another program, so who hesitates looks; what was asked for goes on.
func (h *Handle) Leave() {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	if h.left != nil {
		close(h.left)
		h.left = nil
	}
}
