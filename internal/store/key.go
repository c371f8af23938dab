package store

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
)

// MaxKey is the length of the longest key, in bytes, without the store's prefix.
const MaxKey = 200

// CheckKey tells whether key is plain in the sense of [Store].
//
// Servers that keep objects as files fold odd names together ("a//b" and "a/b",
// or "a/../b" and "b"), so implementations refuse them before a request is made.
func CheckKey(key string) error {
	if key == "" || len(key) > MaxKey {
		return fmt.Errorf("key %q: %d bytes, want 1 to %d", key, len(key), MaxKey)
	}
	for element := range strings.SplitSeq(key, "/") {
		if err := checkElement(element); err != nil {
			return fmt.Errorf("key %q: %w", key, err)
		}
	}
	return nil
}

var sumKey = regexp.MustCompile(`(?:^|[/-])([0-9a-f]{64})\.age$`)

// SumOf gives the SHA-256 of the object's bytes where its key says it: before
// ".age", and behind a slash or hyphen. A key that only ends in a hash, as a
// checkpoint's hint does, names another object.
func SumOf(key string) (sum [sha256.Size]byte, ok bool) {
	m := sumKey.FindStringSubmatch(key)
	if m == nil {
		return sum, false
	}
	_, err := hex.Decode(sum[:], []byte(m[1]))
	return sum, err == nil
}

func checkElement(e string) error {
	switch {
	case e == "":
		return fmt.Errorf("empty element")
	case e == "." || e == "..":
		return fmt.Errorf("element %q", e)
	}
	for _, c := range []byte(e) {
		if !plain(c) {
			return fmt.Errorf("character %q", c)
		}
	}
	return nil
}

func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_'
}
