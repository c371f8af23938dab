package fs

import (
	"sync"
	"time"

	"github.com/tunesafe/tunesafe/cache"
)

// race is a creation that met a name which was not there when the kernel looked.
type race struct {
	thread uint32
	dir    cache.Ino
	name   string
}

// races remembers for a moment which creations were answered with ESTALE.
type races struct {
	mu   sync.Mutex
	when map[race]time.Time
}

// again reports whether the same creation was answered so a moment ago. It
// remembers it if not, and forgets it if so.
func (s *races) again(r race) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for other, at := range s.when {
		if time.Since(at) > brief {
			delete(s.when, other)
		}
	}
	if _, ok := s.when[r]; ok {
		delete(s.when, r)
		return true
	}
	if s.when == nil {
		s.when = make(map[race]time.Time)
	}
	s.when[r] = time.Now()
	return false
}
