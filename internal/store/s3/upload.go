package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/tunesafe/tunesafe/internal/store"
)

// Put implements [store.Store].
func (s *Store) Put(ctx context.Context, key string, body []byte) error {
	if err := s.put(ctx, key, body); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	return nil
}

func (s *Store) put(ctx context.Context, key string, body []byte) error {
	opctx, name, err := s.begin(ctx, key)
	if err != nil {
		return err
	}
	sum := sumOf(key, body)
	if s.verifies.Load() {
		out, err := s.send(opctx, key, name, body, sum, unsigned)
		if err == nil && verified(out, sum) || err != nil && !doubtful(err) {
			return s.stored(ctx, out, err)
		}
		// The bucket may want its payloads signed, or another server answered. As it is
		// not known that the checksum was looked at, the object is sent again.
		s.verifies.Store(false)
	}
	out, err := s.send(opctx, key, name, body, sum, hex.EncodeToString(sum[:]))
	if err == nil {
		s.verifies.Store(verified(out, sum))
	}
	return s.stored(ctx, out, err)
}

// unsigned is the payload hash of a request whose signature says nothing of its payload,
// "Authenticating Requests: Using the Authorization Header" in the Amazon S3 API
// reference.
const unsigned = "UNSIGNED-PAYLOAD"

// doubtful tells an error that the server gives for the request itself.
func doubtful(err error) bool {
	status := statusOf(err)
	return status >= http.StatusBadRequest && status < http.StatusInternalServerError || status == http.StatusNotImplemented
}

// verified reports whether the server says that it compared the checksum.
func verified(out *s3.PutObjectOutput, sum [sha256.Size]byte) bool {
	return aws.ToString(out.ChecksumSHA256) == base64.StdEncoding.EncodeToString(sum[:])
}

// send sends a PUT; hash is what its signature says of the payload: its SHA-256 in
// hexadecimal, or unsigned.
func (s *Store) send(ctx context.Context, key string, name *string, body []byte, sum [sha256.Size]byte, hash string) (*s3.PutObjectOutput, error) {
	return s.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket:         &s.bucket,
		Key:            name,
		Body:           bytes.NewReader(body),
		ContentLength:  aws.Int64(int64(len(body))),
		ContentType:    aws.String("application/octet-stream"),
		ChecksumSHA256: aws.String(base64.StdEncoding.EncodeToString(sum[:])),
		StorageClass:   s.classes.of(key, len(body)),

		ObjectLockMode:            s.lock.mode(),
		ObjectLockRetainUntilDate: s.retainUntil(),
	}, signPayload(hash))
}

// stored holds the answer to a PUT to what S3 says.
func (s *Store) stored(ctx context.Context, out *s3.PutObjectOutput, err error) error {
	if err != nil {
		return translate(ctx, err)
	}
	if aws.ToString(out.ETag) == "" {
		return fmt.Errorf("the answer has no ETag: %w", errForeign)
	}
	if aws.ToString(out.VersionId) != "" {
		s.versioned.Store(true)
	}
	return nil
}

// sumOf is the SHA-256 of body, taken from the key if that tells it: hashing is
// the dearest part of an upload, and the server computes it anew anyway.
func sumOf(key string, body []byte) [sha256.Size]byte {
	if sum, ok := store.SumOf(key); ok {
		return sum
	}
	return sha256.Sum256(body)
}
