package repo

import (
	"encoding/base64"
	"fmt"
)

// ID names a blob: BLAKE2b-128 (RFC 7693) over it, keyed with the
// repository's hash key, so it tells nothing to who lacks the key, and equal
// blobs have equal ids. [Keys.BlobID] computes it.
type ID [16]byte

var b64 = base64.RawURLEncoding.Strict()

// String gives the id as FORMAT.md writes it: 22 characters of base64url.
func (id ID) String() string { return b64.EncodeToString(id[:]) }

// ParseID is the inverse of [ID.String].
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 22 {
		return id, fmt.Errorf("blob id %.40q: %d characters, want 22", s, len(s))
	}
	if n, err := b64.Decode(id[:], []byte(s)); err != nil || n != len(id) {
		return ID{}, fmt.Errorf("blob id %q is not base64url", s)
	}
	return id, nil
}
