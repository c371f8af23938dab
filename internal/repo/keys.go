package repo

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
	"sync"
	"sync/atomic"

	"filippo.io/age"
	"golang.org/x/crypto/blake2b"
)

// Keys open a repository: its data, not its root. Safe to use at once from
// many goroutines.
type Keys struct {
	id      string // 32 hexadecimal digits
	hashKey [32]byte
	root    ed25519.PublicKey
	ring    atomic.Pointer[ring] // grows when an epoch is taken, see [Keys.Adopt]
	taker   atomic.Pointer[taker]
	macs    sync.Pool // of hash.Hash: BLAKE2b-128 keyed with hashKey
}

const keysTitle = "# tunesafe repository keys 1"

// RepoID is the id of repo.json: 32 hexadecimal digits.
func (k *Keys) RepoID() string { return k.id }

// Root is the public half of the root key, as FORMAT.md writes it: who has it from
// the owner verifies an exported log.
func (k *Keys) Root() string { return b64.EncodeToString(k.root) }

// Epoch is the number of the newest key epoch, from 1: the one that seals.
func (k *Keys) Epoch() int { return len(k.ring.Load().secrets) }

// newKeys puts together what [ParseKeys] read or [Create] made.
func newKeys(id string, hashKey []byte, root ed25519.PublicKey, secrets []string, sigs [][]byte) (*Keys, error) {
	k := &Keys{id: id, root: root}
	copy(k.hashKey[:], hashKey)
	k.macs.New = func() any {
		h, err := blake2b.New(len(ID{}), k.hashKey[:])
		if err != nil {
			panic(err) // only for a size or a key that is too long
		}
		return h
	}
	r, err := k.newRing(secrets, sigs)
	k.ring.Store(r)
	return k, err
}

// BlobID is the id of the blob p.
func (k *Keys) BlobID(p []byte) ID {
	h := k.NewHash()
	h.Write(p)
	return h.Sum()
}

// BlobHash computes a blob's id from its bytes as they come.
type BlobHash struct {
	k *Keys
	h hash.Hash
}

// NewHash begins a blob. The hash is used by one goroutine, up to its Sum.
func (k *Keys) NewHash() *BlobHash {
	h := k.macs.Get().(hash.Hash)
	h.Reset()
	return &BlobHash{k, h}
}

// Write takes in bytes of the blob. It never fails.
func (b *BlobHash) Write(p []byte) (int, error) { return b.h.Write(p) }

// Sum gives the id and ends the hash, which must not be used afterwards.
func (b *BlobHash) Sum() ID {
	var sum [sha256.Size]byte
	b.h.Sum(sum[:0])
	b.k.macs.Put(b.h)
	b.h = nil
	return ID(sum[:16])
}

// MarshalText gives the keys as the age identity file of FORMAT.md §3. It is
// secret.
func (k *Keys) MarshalText() ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintln(&b, keysTitle)
	fmt.Fprintf(&b, "# repository: %s\n", k.id)
	fmt.Fprintf(&b, "# hash-key: %s\n", b64.EncodeToString(k.hashKey[:]))
	fmt.Fprintf(&b, "# root: %s\n", b64.EncodeToString(k.root))
	r := k.ring.Load()
	for i, sig := range r.sigs {
		fmt.Fprintf(&b, "# epoch-%d: %s\n", i+2, b64.EncodeToString(sig))
	}
	for _, s := range r.secrets {
		fmt.Fprintln(&b, s)
	}
	return b.Bytes(), nil
}

// ParseKeys is the inverse of [Keys.MarshalText]. Its errors repeat nothing
// of the text.
func ParseKeys(text []byte) (*Keys, error) {
	fields := map[string]string{}
	var secrets []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if name, value, ok := strings.Cut(strings.TrimPrefix(line, "# "), ": "); ok && strings.HasPrefix(line, "# ") {
			fields[name] = value
		} else if line != "" && !strings.HasPrefix(line, "#") {
			secrets = append(secrets, line)
		}
	}
	if !strings.HasPrefix(string(text), keysTitle) {
		return nil, fmt.Errorf("repository keys: first line is not %q", keysTitle)
	}
	hashKey, err1 := b64.DecodeString(fields["hash-key"])
	root, err2 := b64.DecodeString(fields["root"])
	switch {
	case !isHex(fields["repository"], 32):
		return nil, errors.New("repository keys: malformed repository id")
	case err1 != nil || len(hashKey) != 32:
		return nil, errors.New("repository keys: malformed hash key")
	case err2 != nil || len(root) != ed25519.PublicKeySize:
		return nil, errors.New("repository keys: malformed root key")
	case len(secrets) == 0:
		return nil, errors.New("repository keys: no identity")
	}
	var sigs [][]byte
	for i := range secrets[1:] {
		sig, err := b64.DecodeString(fields[fmt.Sprintf("epoch-%d", i+2)])
		if err != nil {
			return nil, fmt.Errorf("repository keys: malformed signature of epoch %d", i+2)
		}
		sigs = append(sigs, sig)
	}
	return newKeys(fields["repository"], hashKey, root, secrets, sigs)
}

// NewRecoveryKey makes a recovery key. Its String is what the user keeps.
func NewRecoveryKey() (*age.X25519Identity, error) { return age.GenerateX25519Identity() }

// ParseRecoveryKey reads a recovery key from text that may have comments
// (lines that begin with #), blank lines, and white space around the key or
// inside it, as printed or pasted keys do. Its errors repeat nothing of it.
func ParseRecoveryKey(text string) (age.Identity, error) {
	var key strings.Builder
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "#") {
			key.WriteString(strings.Join(strings.Fields(line), ""))
		}
	}
	if key.Len() == 0 {
		return nil, errors.New("recovery key: the text holds none")
	}
	identity, err := age.ParseX25519Identity(strings.ToUpper(key.String()))
	if err != nil {
		return nil, errors.New("recovery key: malformed; it begins with AGE-SECRET-KEY-1 and has 74 characters")
	}
	return identity, nil
}

// isHex tells whether s is n lower-case hexadecimal digits.
func isHex(s string, n int) bool {
	if len(s) != n || s != strings.ToLower(s) {
		return false
	}
	_, err := hex.DecodeString(s)
	return err == nil
}
