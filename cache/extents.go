package cache

import "slices"

// extent is the half-open range [Off, End) of a file, in bytes.
type extent struct {
	_   struct{} `cbor:",toarray"`
	Off int64
	End int64
}

// extents is a set of bytes: sorted, disjoint, not touching.
type extents []extent

// add returns the set with [off, end) in it.
func (e extents) add(off, end int64) extents {
	if off >= end {
		return e
	}
	i, _ := slices.BinarySearchFunc(e, off, func(x extent, o int64) int { return cmpInt(x.End, o) })
	j := i
	for j < len(e) && e[j].Off <= end {
		off, end = min(off, e[j].Off), max(end, e[j].End)
		j++
	}
	return slices.Replace(e, i, j, extent{Off: off, End: end})
}

// cut returns the set without anything at or behind size.
func (e extents) cut(size int64) extents {
	i, _ := slices.BinarySearchFunc(e, size, func(x extent, o int64) int { return cmpInt(x.Off, o) })
	e = e[:i]
	if i > 0 && e[i-1].End > size {
		e[i-1].End = size
	}
	return e
}

// at returns how many bytes from off on are alike: in the set (in is true) or not.
func (e extents) at(off, end int64) (n int64, in bool) {
	i, _ := slices.BinarySearchFunc(e, off+1, func(x extent, o int64) int { return cmpInt(x.End, o) })
	switch {
	case i == len(e) || e[i].Off >= end:
		return end - off, false
	case e[i].Off > off:
		return e[i].Off - off, false
	}
	return min(end, e[i].End) - off, true
}

// covers reports whether all of [off, end) is in the set.
func (e extents) covers(off, end int64) bool {
	n, in := e.at(off, end)
	return off >= end || in && n == end-off
}

// touches reports whether any of [off, end) is in the set.
func (e extents) touches(off, end int64) bool {
	n, in := e.at(off, end)
	return off < end && (in || n < end-off)
}

func cmpInt(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
