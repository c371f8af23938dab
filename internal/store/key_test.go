package store_test

import (
	"strings"
	"testing"

	"github.com/tunesafe/tunesafe/internal/store"
)

// TestSumOf: a checkpoint's hint ends in the hash of the commit it leads to, and
// not of its own bytes. It was taken for that once, and no hint was accepted.
func TestSumOf(t *testing.T) {
	sum := strings.Repeat("ab", 32)
	for key, want := range map[string]bool{
		"audio/ab/" + sum + ".age":                                              true,
		"log/0123456789abcdef/0000000000000001-" + sum + ".age":                 true,
		"checkpoints/0000000000000001-0123456789abcdef-0000000000000001-" + sum: false,
		"audio/ab/" + sum:           false,
		"audio/ab/x" + sum + ".age": false,
	} {
		if got, ok := store.SumOf(key); ok != want || ok && got[31] != 0xab {
			t.Errorf("%s: %x, %v", key, got, ok)
		}
	}
}
