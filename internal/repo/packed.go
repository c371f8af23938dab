package repo

// packed is the frames of a pack being made, in pieces that are never moved: a pack grows
// to megabytes, and one piece of memory that grows with it would be copied, and made
// garbage of, several times over. A frame lies in one piece.
type packed struct {
	pieces [][]byte
	size   int64
}

// largePiece is the most that a piece has room for ahead: what [bodies] lends.
const largePiece = MaxBlob / 16

// add appends a frame of n bytes of plaintext, which frame appends to the memory it is
// given, and returns how long it is.
func (p *packed) add(n int, frame func(dst []byte) []byte) int64 {
	// What does not shrink is stored with a head for each block. Both ways of packing may be
	// tried in the same place.
	need := n + n/1024 + 64
	if last := len(p.pieces) - 1; last < 0 || cap(p.pieces[last])-len(p.pieces[last]) < need {
		// A small pack takes little.
		p.pieces = append(p.pieces, bodies.get(max(int64(need), min(p.size, largePiece))))
	}
	piece := &p.pieces[len(p.pieces)-1]
	before := len(*piece)
	*piece = frame(*piece)
	added := int64(len(*piece) - before)
	p.size += added
	return added
}

// join takes over the pieces of another.
func (p *packed) join(o *packed) {
	p.pieces = append(p.pieces, o.pieces...)
	p.size += o.size
	*o = packed{}
}

// release gives the memory back.
func (p *packed) release() {
	for _, piece := range p.pieces {
		bodies.release(piece)
	}
	*p = packed{}
}
