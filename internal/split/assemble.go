package split

import (
	"cmp"
	"slices"
)

// layout makes parts of the spans.
func (c *cutter) layout() Layout {
	a := assembler{art: map[int]int{}}
	audio := c.total(Audio)
	if audio > probeHead+c.tail {
		a.head, a.tail = probeHead, audio-c.tail
	} else {
		a.head, a.tail = audio, audio
	}
	marks := c.marks()
	var pos int64
	for _, s := range c.spans {
		switch s.kind {
		case Tags:
			marks = a.tags(pos, s.end, marks)
		case Audio:
			a.sound(s.end - pos)
		default:
			a.add(s.kind, 0, s.end-pos)
		}
		pos = s.end
	}
	l := a.sorted()
	for i, k := range l.Parts {
		if (k == Tags || k == Index || k == Seals) && l.PartSize(i) > maxApart {
			return opaque(c.f.size)
		}
	}
	return l
}

// mark is a range of the file that belongs to a picture.
type mark struct {
	off, end int64
	art      int
}

// marks lists the pictures' ranges in file order.
func (c *cutter) marks() []mark {
	var ms []mark
	for i, es := range c.arts {
		for _, e := range es {
			ms = append(ms, mark{e.off, e.off + e.length, i})
		}
	}
	slices.SortStableFunc(ms, func(a, b mark) int { return cmp.Compare(a.off, b.off) })
	return ms
}

// assembler numbers parts as they occur.
type assembler struct {
	l          Layout
	single     [Data + 1]int // part number + 1 of each kind but Art
	art        map[int]int   // part number of each picture
	heard      int64         // bytes of sound so far
	head, tail int64         // sound in [head, tail) is Audio, the rest Probe
}

// tags adds the tags in [pos, end) and the pictures in them, and returns the
// marks that remain. Marks that overlap, as only a malformed file's do, are cut.
func (a *assembler) tags(pos, end int64, ms []mark) []mark {
	for len(ms) > 0 && ms[0].off < end {
		m := ms[0]
		from, to := max(m.off, pos), min(m.end, end)
		if to > from {
			a.add(Tags, 0, from-pos)
			a.add(Art, m.art, to-from)
			pos = to
		}
		if m.end > end {
			break
		}
		ms = ms[1:]
	}
	a.add(Tags, 0, end-pos)
	return ms
}

// sound adds n bytes of audio, or of probe where that is.
func (a *assembler) sound(n int64) {
	end := a.heard + n
	for _, b := range []struct {
		to int64
		k  Kind
	}{{a.head, Probe}, {a.tail, Audio}, {end, Probe}} {
		if to := min(b.to, end); to > a.heard {
			a.add(b.k, 0, to-a.heard)
			a.heard = to
		}
	}
}

// add appends n bytes of a part. Only pictures are told apart by art.
func (a *assembler) add(k Kind, art int, n int64) {
	if n > 0 {
		a.l.Runs = append(a.l.Runs, Run{a.number(k, art), n})
	}
}

// number returns the part's number, and makes the part at its first occurrence.
func (a *assembler) number(k Kind, art int) int {
	if k != Art {
		if a.single[k] == 0 {
			a.l.Parts = append(a.l.Parts, k)
			a.single[k] = len(a.l.Parts)
		}
		return a.single[k] - 1
	}
	part, ok := a.art[art]
	if !ok {
		part = len(a.l.Parts)
		a.l.Parts = append(a.l.Parts, Art)
		a.art[art] = part
	}
	return part
}

// sorted returns the layout with its parts in the order of their kinds.
func (a *assembler) sorted() Layout {
	order := make([]int, len(a.l.Parts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(x, y int) int { return cmp.Compare(a.l.Parts[x], a.l.Parts[y]) })
	l := Layout{Parts: make([]Kind, len(order)), Runs: a.l.Runs}
	place := make([]int, len(order))
	for to, from := range order {
		l.Parts[to], place[from] = a.l.Parts[from], to
	}
	for i := range l.Runs {
		l.Runs[i].Part = place[l.Runs[i].Part]
	}
	return l
}
