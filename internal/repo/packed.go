package repo

import (
	"fmt"
	"slices"
)

// packed is the frames of a pack being made. While it is small, and may join others, they
// lie in pieces that are never moved: a pack grows to megabytes, and one piece of memory that
// grows with it would be copied, and made garbage of, several times over. A frame lies in one
// piece. A large pack is sealed as its frames come, so that it is not there twice in the end.
type packed struct {
	pieces [][]byte
	sealer *sealer // of a large pack, which has no pieces
	frame  []byte  // its last
	size   int64
}

const (
	// largePiece is the most that a piece has room for ahead: what [bodies] lends.
	largePiece = MaxBlob / 16
	// sealedFrom is the size from which a pack is sealed as it grows.
	sealedFrom = 2 << 20
	// largePack is the plaintext that such a pack has room for ahead.
	largePack = 9 << 20
)

// add appends a frame of n bytes of plaintext, which frame appends to the memory it is
// given, and returns how long it is.
func (p *packed) add(n int, frame func(dst []byte) []byte) int64 {
	// What does not shrink is stored with a head for each block. Both ways of packing may be
	// tried in the same place.
	need := n + n/1024 + 64
	if p.sealer != nil {
		p.frame = frame(slices.Grow(p.frame[:0], need))
		p.sealer.write(p.frame)
		p.size += int64(len(p.frame))
		return int64(len(p.frame))
	}
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

// seal begins to seal a pack that has become large.
func (p *packed) seal(k *Keys) error {
	if p.sealer != nil || p.size < sealedFrom {
		return nil
	}
	w, err := k.newSealer(max(largePack, p.size))
	if err != nil {
		return err
	}
	for _, piece := range p.pieces {
		w.write(piece)
		bodies.release(piece)
	}
	p.pieces, p.sealer = nil, w
	return nil
}

// finish makes the object. Nothing is left of the pack then.
func (p *packed) finish(k *Keys) (s *Sealed, err error) {
	switch {
	case p.sealer == nil:
		s, err = k.sealInto("meta", p.pieces...)
	case p.size > MaxObject:
		err = fmt.Errorf("object of %d bytes: %w", p.size, ErrTooLarge)
	default:
		s = p.sealer.finish()
		s.Name = objectName("meta", s.sum)
	}
	for _, piece := range p.pieces {
		bodies.release(piece)
	}
	*p = packed{} // its builder may be asked for longer what it has
	return s, err
}

// join takes over the pieces of another.
func (p *packed) join(o *packed) {
	p.pieces = append(p.pieces, o.pieces...)
	p.size += o.size
	*o = packed{}
}
