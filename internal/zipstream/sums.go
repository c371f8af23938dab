package zipstream

import (
	"os"
	"sync"
)

// sumsKept is how many sums are remembered at most, twice: 28 bytes each.
const sumsKept = 1 << 17

// Sums remembers the CRC-32 of contents by their keys, so that a download that goes on
// need not read again what it has. What was not asked for for a while is forgotten. Its
// methods may be called at once; nil remembers nothing.
type Sums struct {
	mu         sync.Mutex
	young, old map[[16]byte]uint32
	file       *os.File // see Keep; may be nil
}

// get finds a sum.
func (s *Sums) get(key [16]byte) (sum uint32, ok bool) {
	if s == nil || key == [16]byte{} {
		return 0, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if sum, ok = s.young[key]; ok {
		return sum, true
	}
	if sum, ok = s.old[key]; ok {
		s.keep(key, sum)
	}
	return sum, ok
}

// put remembers a sum. Content without a key has none.
func (s *Sums) put(key [16]byte, sum uint32) {
	if s == nil || key == [16]byte{} {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if was, ok := s.young[key]; ok && was == sum {
		return
	}
	s.keep(key, sum)
	s.note(key, sum)
}

// keep is called with the lock held.
func (s *Sums) keep(key [16]byte, sum uint32) {
	if s.young == nil || len(s.young) >= sumsKept {
		s.old, s.young = s.young, map[[16]byte]uint32{}
	}
	s.young[key] = sum
}
