package cache

// inoSet is a set of inode numbers, which come one after another: a bit for each of a block
// of them.
type inoSet map[Ino]*[inoBlock / 64]uint64

const inoBlock = 4096

func (s inoSet) add(ino Ino) {
	b := s[ino/inoBlock]
	if b == nil {
		b = new([inoBlock / 64]uint64)
		s[ino/inoBlock] = b
	}
	b[ino%inoBlock/64] |= 1 << (ino % 64)
}

func (s inoSet) has(ino Ino) bool {
	b := s[ino/inoBlock]
	return b != nil && b[ino%inoBlock/64]&(1<<(ino%64)) != 0
}
