package split

const (
	probeHead    = 8 << 10  // bytes of sound that scanners read in front
	probeTail    = 4 << 10  // and behind
	probeTailOgg = 64 << 10 // in Ogg they look for the last page

	minArt  = 1 << 10 // smaller pictures are not worth a part
	maxArts = 256     // more are no album's
	// maxApart bounds each of tags, index and seals, which are kept, compressed
	// and patched as one piece. A file with more around its sound is opaque.
	maxApart = 64 << 20
	// maxSpans bounds memory (16 bytes each) on files of tiny Ogg pages: some
	// 500,000 pages, or two gigabytes.
	maxSpans = 1 << 21
	// maxSteps bounds the walks over chunks, boxes, frames and blocks.
	maxSteps = 1 << 18
)

// span is a stretch of the file of one kind, from the end of the span before.
type span struct {
	end  int64
	kind Kind
}

// cutter collects what the parsers find. They name the kinds in file order with
// upto, and pictures at any time with picture; layout turns that into parts.
type cutter struct {
	f     *file
	spans []span
	arts  [][]extent // each picture's place, inside Tags spans
	pos   int64      // end of the last span
	tail  int64      // bytes of sound that are probe at the end
	full  bool       // maxSpans was not enough
}

// upto says that everything from the last such end to this one is of kind k.
func (c *cutter) upto(k Kind, end int64) {
	if end <= c.pos {
		return
	}
	c.pos = end
	if n := len(c.spans); n > 0 && c.spans[n-1].kind == k {
		c.spans[n-1].end = end
		return
	}
	if len(c.spans) == maxSpans {
		c.full = true
		return
	}
	c.spans = append(c.spans, span{end, k})
}

// leftover says that a walk came to pos and could not go on to hi. A few bytes
// are padding, more is somebody's data.
func (c *cutter) leftover(pos, hi int64) {
	c.upto(Tags, pos)
	if hi-pos >= 8 {
		c.upto(Data, hi)
	}
	c.upto(Tags, hi)
}

// picture makes the bytes in es an art part if they lie in tags.
func (c *cutter) picture(es []extent) {
	var n int64
	for _, e := range es {
		n += e.length
	}
	if n >= minArt && len(c.arts) < maxArts {
		c.arts = append(c.arts, es)
	}
}

// attempt runs a container's parser on [lo, hi) and forgets what it said if it
// gives up.
func (c *cutter) attempt(parse parser, lo, hi int64) bool {
	spans, arts, pos := len(c.spans), len(c.arts), c.pos
	c.upto(Tags, lo)
	if parse(c, lo, hi) && !c.full {
		return true
	}
	c.spans, c.arts, c.pos, c.full = c.spans[:spans], c.arts[:arts], pos, false
	if spans > 0 {
		c.spans[spans-1].end = pos
	}
	return false
}

// total counts the bytes of one kind.
func (c *cutter) total(k Kind) int64 {
	var n, pos int64
	for _, s := range c.spans {
		if s.kind == k {
			n += s.end - pos
		}
		pos = s.end
	}
	return n
}
