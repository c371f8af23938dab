package split

import (
	"errors"
	"fmt"
	"io"
	"iter"
)

// Kind says what a part holds, and with it where it is stored and how.
type Kind uint8

// The kinds of part, in the order of their worth. See the package comment.
const (
	Tags  Kind = iota + 1 // labour: tags, headers, padding; changes often, small
	Art                   // one embedded picture
	Index                 // tables a retag may shift but rarely does
	Seals                 // sequence numbers and checksums of Ogg pages, MP4 chunk offsets
	Probe                 // first 8 KiB and last 4 KiB of the audio (Ogg: 64 KiB)
	Audio                 // the rest of the sound
	Data                  // an unrecognised file, or what is left of one
)

var kindNames = [...]string{Tags: "tags", Art: "art", Index: "index", Seals: "seals",
	Probe: "probe", Audio: "audio", Data: "data"}

// String returns the kind's name in lower case.
func (k Kind) String() string {
	if k >= Tags && k <= Data {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// KindOf is the inverse of [Kind.String]. What a later version may cut counts as
// sound, which is left alone by who looks for labour.
func KindOf(name string) Kind {
	for k := Tags; k <= Data; k++ {
		if kindNames[k] == name {
			return k
		}
	}
	return Audio
}

// Run is a stretch of the file that belongs to one part.
type Run struct {
	Part   int   // index into Layout.Parts
	Length int64 // bytes, above 0
}

// Layout is a partition of a file: its parts, and the runs that make them up.
// A part's bytes are its runs' bytes concatenated in file order. Neighbouring
// runs belong to different parts; every part has at least one run; the lengths
// of the runs sum to the file's size. The parts are in the order of their
// kinds, pictures in file order. An empty file has no parts.
type Layout struct {
	Parts []Kind
	Runs  []Run
}

// Split cuts the file of size bytes behind r. It keeps nothing of r and reads
// little of it: headers, and for Ogg every page's.
//
// An error is an error of r, and io.ErrUnexpectedEOF when r ends before size. A
// malformed file is no error: it is Data between whatever tags it has.
func Split(r io.ReaderAt, size int64) (Layout, error) {
	if size <= 0 {
		return Layout{}, nil
	}
	c := &cutter{f: &file{r: r, size: size}}
	c.cut()
	if c.f.err != nil {
		return Layout{}, fmt.Errorf("split: %w", c.f.err)
	}
	l := c.layout()
	if l.Check(size) != nil {
		l = opaque(size)
	}
	return l, nil
}

// opaque is the layout of a file that is not worth or not fit to be cut.
func opaque(size int64) Layout {
	return Layout{Parts: []Kind{Data}, Runs: []Run{{Part: 0, Length: size}}}
}

// Check reports why l is not a partition of a file of size bytes.
func (l Layout) Check(size int64) error {
	used := make([]bool, len(l.Parts))
	left, last := size, -1
	for i, r := range l.Runs {
		switch {
		case r.Part < 0 || r.Part >= len(l.Parts):
			return fmt.Errorf("run %d: no part %d", i, r.Part)
		case r.Part == last:
			return fmt.Errorf("run %d: same part as the one before", i)
		case r.Length <= 0 || r.Length > left:
			return fmt.Errorf("run %d: length %d of %d left", i, r.Length, left)
		}
		left, last, used[r.Part] = left-r.Length, r.Part, true
	}
	if left != 0 {
		return fmt.Errorf("runs end %d bytes early", left)
	}
	return l.checkParts(used)
}

// checkParts reports a part without a run, or a kind that may not recur.
func (l Layout) checkParts(used []bool) error {
	var seen [Data + 1]bool
	for i, k := range l.Parts {
		switch {
		case k < Tags || k > Data:
			return fmt.Errorf("part %d: %v", i, k)
		case !used[i]:
			return fmt.Errorf("part %d: no runs", i)
		case seen[k] && k != Art:
			return errors.New("two parts of kind " + k.String())
		}
		seen[k] = true
	}
	return nil
}

// PartSize returns the size in bytes of part i.
func (l Layout) PartSize(i int) int64 {
	var n int64
	for _, length := range l.Extents(i) {
		n += length
	}
	return n
}

// Extents yields the file ranges of a part in file order, as offset and length.
func (l Layout) Extents(part int) iter.Seq2[int64, int64] {
	return func(yield func(off, length int64) bool) {
		var off int64
		for _, r := range l.Runs {
			if r.Part == part && !yield(off, r.Length) {
				return
			}
			off += r.Length
		}
	}
}
