package main

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/crypto/blake2b"
	"golang.org/x/crypto/chacha20poly1305"
)

// The column "sealed" is the limit of what Tunesafe promises for each byte, and nothing
// else: raw, where a whole file is named by BLAKE2b, sealed by ChaCha20-Poly1305 in chunks
// of 64 KiB, hashed by SHA-256, and compared with that by the server before it says that
// it has it. Back from there it is opened and compared with its name.
const (
	sealedChunk = 64 << 10
	metaName    = "blake2b"
	metaKey     = "key" // as nothing here is secret
)

// lent is memory for files, so that none is made for each.
var lent = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func sealedPut(ctx context.Context, c *s3.Client, bucket, key, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	plain, body := lent.Get().(*bytes.Buffer), lent.Get().(*bytes.Buffer)
	defer lent.Put(plain)
	defer lent.Put(body)
	plain.Reset()
	if st, err := f.Stat(); err == nil {
		plain.Grow(int(st.Size()) + bytes.MinRead)
	}
	if _, err := plain.ReadFrom(f); err != nil {
		return err
	}
	secret := make([]byte, chacha20poly1305.KeySize)
	rand.Read(secret)
	aead, err := chacha20poly1305.New(secret)
	if err != nil {
		return err
	}
	body.Reset()
	body.Grow(plain.Len() + (plain.Len()/sealedChunk+1)*aead.Overhead())
	sealed := body.AvailableBuffer()
	name := blake2b.Sum256(plain.Bytes())
	nonce := make([]byte, aead.NonceSize())
	for i, rest := uint64(0), plain.Bytes(); len(rest) > 0; i++ {
		n := min(sealedChunk, len(rest))
		binary.BigEndian.PutUint64(nonce, i)
		sealed = aead.Seal(sealed, nonce, rest[:n], nil)
		rest = rest[n:]
	}
	sum := sha256.Sum256(sealed)
	check := base64.StdEncoding.EncodeToString(sum[:])
	out, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(sealed), ChecksumSHA256: &check,
		Metadata: map[string]string{metaName: hex.EncodeToString(name[:]), metaKey: hex.EncodeToString(secret)}})
	if err == nil && (out.ChecksumSHA256 == nil || *out.ChecksumSHA256 != check) {
		err = fmt.Errorf("put %s: the server did not compare the checksum", key)
	}
	return err
}

func sealedGet(ctx context.Context, c *s3.Client, bucket, key, path string) error {
	out, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return err
	}
	defer out.Body.Close()
	secret, err := hex.DecodeString(out.Metadata[metaKey])
	if err != nil {
		return err
	}
	aead, err := chacha20poly1305.New(secret)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	hash, err := blake2b.New256(nil)
	if err != nil {
		return err
	}
	if err := unseal(f, hash, out.Body, aead); err != nil {
		return fmt.Errorf("get %s: %w", key, err)
	}
	if hex.EncodeToString(hash.Sum(nil)) != out.Metadata[metaName] {
		return fmt.Errorf("get %s: it is not what it is named", key)
	}
	return f.Close()
}

// unseal writes what is sealed in body to w and hash, as it comes.
func unseal(w, hash io.Writer, body io.Reader, aead cipher.AEAD) error {
	buf := make([]byte, sealedChunk+aead.Overhead())
	nonce := make([]byte, aead.NonceSize())
	for i := uint64(0); ; i++ {
		n, err := io.ReadFull(body, buf)
		if err == io.EOF {
			return nil
		}
		if err != nil && err != io.ErrUnexpectedEOF {
			return err
		}
		binary.BigEndian.PutUint64(nonce, i)
		plain, err := aead.Open(buf[:0], nonce, buf[:n], nil)
		if err != nil {
			return err
		}
		hash.Write(plain)
		if _, err := w.Write(plain); err != nil {
			return err
		}
	}
}
