package repo

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"filippo.io/age"
	"golang.org/x/crypto/chacha20poly1305"
)

// The age file format (C2SP age.md) with one X25519 stanza: a header and a
// nonce, then the payload in chunks. We speak its STREAM ourselves, as a range
// then costs just the chunks that cover it: the length is pinned by the chain,
// so there is no need to read the last chunk to learn it.
const (
	headerSize  = 168                       // bytes of header with its MAC line
	pinnedSize  = headerSize + 16           // header and nonce: what [ObjectRow.Head] pins
	chunkSize   = 64 << 10                  // plaintext of every chunk but the last
	overhead    = chacha20poly1305.Overhead // bytes a chunk grows by sealing
	sealedChunk = chunkSize + overhead
	lastChunk   = 1 // the flag in the last byte of a chunk's nonce
)

// sealedSize is the length of an object with n bytes of plaintext.
func sealedSize(n int64) int64 {
	return pinnedSize + n + chunkCount(n)*overhead
}

// chunkCount is the number of chunks of n bytes of plaintext; none is one chunk.
func chunkCount(n int64) int64 { return max(1, (n+chunkSize-1)/chunkSize) }

// plainSize is the inverse of sealedSize. It fails for lengths no object has.
func plainSize(sealed int64) (int64, error) {
	payload := sealed - pinnedSize
	chunks := (payload + sealedChunk - 1) / sealedChunk
	n := payload - chunks*overhead
	if payload < overhead || n < 0 || chunkCount(n) != chunks {
		return 0, fmt.Errorf("%d bytes is no length of a sealed object", sealed)
	}
	if n > MaxObject {
		return 0, fmt.Errorf("%d bytes of plaintext, the limit is %d", n, MaxObject)
	}
	return n, nil
}

// stream seals and opens the chunks of one object.
type stream struct{ aead cipher.AEAD }

func newStream(fileKey, nonce []byte) (*stream, error) {
	key, err := hkdf.Key(sha256.New, fileKey, nonce, "payload", chacha20poly1305.KeySize)
	if err != nil {
		return nil, err
	}
	aead, err := chacha20poly1305.New(key)
	return &stream{aead}, err
}

// openHeader gives the stream of the object that begins with pinned, its first
// 184 bytes.
func (k *Keys) openHeader(pinned []byte) (*stream, error) {
	if len(pinned) != pinnedSize {
		return nil, fmt.Errorf("header of %d bytes", len(pinned))
	}
	header := pinned[:headerSize]
	mac := bytes.Index(header, []byte("\n--- "))
	if mac < 0 || bytes.IndexByte(header[mac+1:], '\n') != headerSize-mac-2 {
		return nil, errors.New("not an age file with one X25519 recipient")
	}
	fileKey, err := age.DecryptHeader(header, k.ring.Load().identities...)
	if noMatch := new(age.NoIdentityMatchError); errors.As(err, &noMatch) {
		return nil, errors.New("sealed to another repository's key")
	}
	if err != nil {
		return nil, err
	}
	return newStream(fileKey, pinned[headerSize:])
}

func chunkNonce(index int64, last bool) (nonce [chacha20poly1305.NonceSize]byte) {
	binary.BigEndian.PutUint64(nonce[3:11], uint64(index))
	if last {
		nonce[11] = lastChunk
	}
	return nonce
}

// seal appends chunk index of the payload, sealed, to dst.
func (s *stream) seal(dst, plain []byte, index int64, last bool) []byte {
	nonce := chunkNonce(index, last)
	return s.aead.Seal(dst, nonce[:], plain, nil)
}

// open appends the plaintext of chunk index to dst.
func (s *stream) open(dst, sealed []byte, index int64, last bool) ([]byte, error) {
	nonce := chunkNonce(index, last)
	out, err := s.aead.Open(dst, nonce[:], sealed, nil)
	if err != nil {
		return dst, fmt.Errorf("chunk %d does not authenticate", index)
	}
	return out, nil
}

// openAll opens the payload of a whole object with n bytes of plaintext.
func (s *stream) openAll(payload []byte, n int64) ([]byte, error) {
	out := make([]byte, 0, n)
	var err error
	for i := int64(0); len(payload) > 0; i++ {
		c := payload[:min(len(payload), sealedChunk)]
		payload = payload[len(c):]
		if out, err = s.open(out, c, i, len(payload) == 0); err != nil {
			return nil, err
		}
	}
	return out, nil
}
