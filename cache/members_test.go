package cache

import (
	"testing"

	"pgregory.net/rapid"
)

// TestInoSet compares a set with a map.
func TestInoSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set, model := inoSet{}, map[Ino]bool{}
		near := rapid.Custom(func(t *rapid.T) Ino {
			base := rapid.SampledFrom([]Ino{0, 1, inoBlock, 5 << 40, 1<<64 - inoBlock}).Draw(t, "base")
			return base + rapid.Uint64Range(0, inoBlock-1).Draw(t, "from it")
		})
		for _, ino := range rapid.SliceOf(near).Draw(t, "added") {
			set.add(ino)
			model[ino] = true
		}
		for _, ino := range rapid.SliceOf(near).Draw(t, "asked") {
			if set.has(ino) != model[ino] {
				t.Fatalf("%x: %v, want %v", ino, set.has(ino), model[ino])
			}
		}
		for ino := range model {
			if !set.has(ino) {
				t.Fatalf("%x is not in it", ino)
			}
		}
	})
}
