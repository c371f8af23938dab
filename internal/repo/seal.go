package repo

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"strings"

	"filippo.io/age"
)

// Sealed is an object ready for the bucket: Put Body under Name.
type Sealed struct {
	Name   string
	Body   []byte
	Head   [32]byte // SHA-256 of Header
	Header []byte   // the first 184 bytes of Body; a copy

	sum [32]byte // SHA-256 of Body
}

// Release gives Body back for a later Seal. It may be called once, by the last
// user of Body; it need not be called. Name, Head and Header stay valid.
func (s *Sealed) Release() {
	bodies.release(s.Body)
	s.Body = nil
}

// Seal encrypts plaintext into an object below prefix, "audio" or "meta". The
// object is named by its own SHA-256, so sealing twice makes two objects.
func (k *Keys) Seal(prefix string, plaintext []byte) (*Sealed, error) {
	return k.sealInto(prefix, plaintext)
}

// sealInto is Seal of the concatenation of pieces.
func (k *Keys) sealInto(prefix string, pieces ...[]byte) (*Sealed, error) {
	s, err := k.seal(pieces...)
	if err != nil {
		return nil, err
	}
	s.Name = objectName(prefix, s.sum)
	return s, nil
}

// seal makes an object that has no name yet.
func (k *Keys) seal(pieces ...[]byte) (*Sealed, error) {
	var n int64
	for _, p := range pieces {
		n += int64(len(p))
	}
	if n > MaxObject {
		return nil, fmt.Errorf("object of %d bytes: %w", n, ErrTooLarge)
	}
	w, err := k.newSealer(n)
	if err != nil {
		return nil, err
	}
	for _, p := range pieces {
		w.write(p)
	}
	return w.finish(), nil
}

// sealer seals an object while its plaintext comes, so that nobody has to hold
// that as a whole.
type sealer struct {
	stream *stream
	header []byte
	body   []byte
	open   []byte // of a chunk not sealed yet: it may be the last
	next   int64  // the index of the chunk
}

// newSealer begins an object of about n bytes of plaintext.
func (k *Keys) newSealer(n int64) (*sealer, error) {
	return k.sealerInto(bodies.get(sealedSize(n)))
}

// sealerInto begins an object in the memory of buf.
func (k *Keys) sealerInto(buf []byte) (*sealer, error) {
	body := bytes.NewBuffer(buf[:0])
	to := &keyTap{to: k.ring.Load().recipient}
	if _, err := age.Encrypt(body, to); err != nil { // header and nonce only; the chunks are ours
		return nil, err
	}
	if body.Len() != pinnedSize {
		return nil, fmt.Errorf("age header of %d bytes, want %d", body.Len(), pinnedSize)
	}
	stream, err := newStream(to.key, body.Bytes()[headerSize:])
	if err != nil {
		return nil, err
	}
	return &sealer{stream: stream, header: bytes.Clone(body.Bytes()), body: body.Bytes()}, nil
}

// write takes in plaintext; p is not kept.
func (w *sealer) write(p []byte) {
	for len(p) > 0 {
		if len(w.open) == chunkSize {
			w.chunk(w.open, false)
			w.open = w.open[:0]
		}
		for len(w.open) == 0 && len(p) > chunkSize {
			w.chunk(p[:chunkSize], false)
			p = p[chunkSize:]
		}
		n := min(len(p), chunkSize-len(w.open))
		w.open = append(w.open, p[:n]...)
		p = p[n:]
	}
}

func (w *sealer) chunk(plain []byte, last bool) {
	if cap(w.body)-len(w.body) < sealedChunk && !last {
		w.body = bodies.longer(w.body)
	}
	w.body = w.stream.seal(w.body, plain, w.next, last)
	w.next++
}

// finish ends the object.
func (w *sealer) finish() *Sealed {
	w.chunk(w.open, true)
	return &Sealed{Header: w.header, Body: w.body, Head: sha256.Sum256(w.header), sum: sha256.Sum256(w.body)}
}

// keyTap is a recipient that remembers the file key.
type keyTap struct {
	to  *age.X25519Recipient
	key []byte
}

// Wrap implements [age.Recipient].
func (t *keyTap) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	t.key = bytes.Clone(fileKey)
	return t.to.Wrap(fileKey)
}

// OpenObject verifies that body is the object of that name, whole, and returns
// its plaintext. Every fault is [ErrCorrupt].
func (k *Keys) OpenObject(name string, body []byte) ([]byte, error) {
	if err := verifyName(name, body); err != nil {
		return nil, err
	}
	plain, err := k.openBody(body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, ErrCorrupt, err)
	}
	return plain, nil
}

// verifyName checks body against the SHA-256 in its name.
func verifyName(name string, body []byte) error {
	sum, err := nameSum(name)
	if err != nil {
		return err
	}
	if sum != sha256.Sum256(body) {
		return fmt.Errorf("%s: %w: its SHA-256 is not the one in its name", name, ErrCorrupt)
	}
	return nil
}

func (k *Keys) openBody(body []byte) ([]byte, error) {
	n, err := plainSize(int64(len(body)))
	if err != nil {
		return nil, err
	}
	s, err := k.openHeader(body[:pinnedSize])
	if err != nil {
		return nil, err
	}
	return s.openAll(body[pinnedSize:], n)
}

// nameSum is the SHA-256 at the end of an object's name.
func nameSum(name string) (sum [32]byte, err error) {
	base, ok := strings.CutSuffix(path.Base(name), ".age")
	if i := strings.LastIndexByte(base, '-'); i >= 0 {
		base = base[i+1:]
	}
	if !ok || !isHex(base, 64) {
		return sum, fmt.Errorf("%.200q: %w: not the name of an object", name, ErrCorrupt)
	}
	hex.Decode(sum[:], []byte(base))
	return sum, nil
}

// objectName is the name of the pack or audio object with that SHA-256.
func objectName(prefix string, sum [32]byte) string {
	s := hex.EncodeToString(sum[:])
	return prefix + "/" + s[:2] + "/" + s + ".age"
}

// IsObject tells whether a name is that of an audio object or a pack.
func IsObject(name string) bool { return checkObjectName(name) == nil }

// checkObjectName holds names of audio objects and packs to the layout.
func checkObjectName(name string) error {
	sum, err := nameSum(name)
	if err != nil {
		return err
	}
	if name != objectName("audio", sum) && name != objectName("meta", sum) {
		return fmt.Errorf("%.200q: %w: not the name of an object", name, ErrCorrupt)
	}
	return nil
}
