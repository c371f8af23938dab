// Package s3 is a [store.Store] on anything that speaks S3.
//
// One call is one request in the ordinary case: PUT, GET (with a range),
// DELETE, one LIST for a thousand keys. Only [Store.Stat] of an absent object
// asks twice, because HEAD cannot tell an absent object from an absent bucket, and
// a bucket that keeps versions costs a LIST for each DELETE (versions.go).
//
// What a reader of this package must know:
//
//   - Nothing is believed that does not look like S3. A 404 without the code
//     NoSuchKey, a PUT answered without an ETag, a listing that does not name
//     its bucket, an object without an ETag, a ranged GET answered without
//     Content-Range or a page of HTML comes from something in between (a login
//     page, a broken proxy) and is [store.ErrUnavailable], never "absent" and
//     never "done".
//   - An upload carries its SHA-256 as x-amz-checksum-sha256, which is signed, and
//     which the server keeps and returns with a read of the whole object, where it
//     is verified before the last byte is handed out. Until the server has said
//     that it verified one, and whenever it does not, the payload is signed by its
//     hash, too; a server would compute the same twice (upload.go).
//   - There is no limit on the time a request may take, as 16 MiB need minutes
//     on a slow line; there are limits on the time in which nothing moves
//     ([Config.Stall], and the kernel's own for a peer that went silent). Some
//     bytes a second are nothing.
//   - Calls share what they learn of a server that does not answer, so that many
//     ask no more often than one.
//   - Retries are the SDK's: exponential backoff with jitter, a bounded number
//     of attempts, a token bucket shared by all calls that stops a storm. They
//     end after [Config.Patience] without progress.
package s3

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/tunesafe/tunesafe/internal/store"
)

// Store is a bucket, or the part of it below a prefix. [Open] makes one.
type Store struct {
	client    *s3.Client
	bucket    string
	prefix    string // "" or ending in "/"
	classes   Classes
	lock      Lock
	versioned atomic.Bool // the bucket is known to keep versions
	verifies  atomic.Bool // checksums of uploads, as its last answer told
	transport *transport
	creds     aws.CredentialsProvider
	renewed   *renewable
}

var _ store.Store = (*Store)(nil)

// begin starts an operation on a key: it refuses odd keys and finished
// contexts before any request, and starts the clock of the retries' patience.
func (s *Store) begin(ctx context.Context, key string) (context.Context, *string, error) {
	if err := store.CheckKey(key); err != nil {
		return nil, nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	return withPulse(ctx), aws.String(s.prefix + key), nil
}

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	r, err := s.get(ctx, key, offset, length)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	return r, nil
}

func (s *Store) get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	opctx, name, err := s.begin(ctx, key)
	if err != nil {
		return nil, err
	}
	if offset < 0 {
		return nil, fmt.Errorf("offset %d: %w", offset, store.ErrRange)
	}
	if length == 0 {
		return s.getNothing(ctx, key, offset)
	}
	in := &s3.GetObjectInput{Bucket: &s.bucket, Key: name}
	whole := offset == 0 && length < 0
	if whole {
		in.ChecksumMode = types.ChecksumModeEnabled
	} else {
		in.Range = aws.String(httpRange(offset, length))
	}
	out, err := s.client.GetObject(opctx, in)
	if err != nil {
		return nil, translate(ctx, err)
	}
	return newBody(ctx, out, offset, whole)
}

// httpRange is the value of a Range header (RFC 9110, section 14.1.2).
func httpRange(offset, length int64) string {
	if length < 0 {
		return fmt.Sprintf("bytes=%d-", offset)
	}
	return fmt.Sprintf("bytes=%d-%d", offset, offset+length-1)
}

// getNothing answers a Get of no bytes, which HTTP cannot ask for.
func (s *Store) getNothing(ctx context.Context, key string, offset int64) (io.ReadCloser, error) {
	info, err := s.stat(ctx, key)
	if err != nil {
		return nil, err
	}
	if offset >= info.Size {
		return nil, store.ErrRange
	}
	return http.NoBody, nil
}

// List implements [store.Store].
func (s *Store) List(ctx context.Context, prefix, after string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		l := &lister{store: s, prefix: prefix, last: after}
		for l.more() {
			page, err := l.next(ctx)
			if err != nil {
				yield(store.Info{}, fmt.Errorf("list %s: %w", prefix, err))
				return
			}
			for _, info := range page {
				if !yield(info, nil) {
					return
				}
			}
		}
	}
}

// Stat implements [store.Store].
func (s *Store) Stat(ctx context.Context, key string) (store.Info, error) {
	info, err := s.stat(ctx, key)
	if err != nil {
		return store.Info{}, fmt.Errorf("stat %s: %w", key, err)
	}
	return info, nil
}

func (s *Store) stat(ctx context.Context, key string) (store.Info, error) {
	opctx, name, err := s.begin(ctx, key)
	if err != nil {
		return store.Info{}, err
	}
	out, err := s.client.HeadObject(opctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: name})
	if statusOf(err) == http.StatusNotFound {
		return s.statByGet(ctx, key)
	}
	if err != nil {
		return store.Info{}, translate(ctx, err)
	}
	if err := ofObject(out.ETag, out.LastModified); err != nil {
		return store.Info{}, err
	}
	return store.Info{
		Key:  key,
		Size: aws.ToInt64(out.ContentLength),
		Time: aws.ToTime(out.LastModified),
	}, nil
}

// statByGet settles a 404 from HEAD, which has no body and so no code: the
// object, the bucket or only the way to the server may be missing. A GET of
// one byte says which.
func (s *Store) statByGet(ctx context.Context, key string) (store.Info, error) {
	out, err := s.client.GetObject(withPulse(ctx), &s3.GetObjectInput{
		Bucket: &s.bucket,
		Key:    aws.String(s.prefix + key),
		Range:  aws.String("bytes=0-0"),
	})
	if err != nil {
		return store.Info{}, translate(ctx, err)
	}
	defer func() { _ = out.Body.Close() }() // one byte, not wanted
	span, err := parseContentRange(aws.ToString(out.ContentRange))
	if err != nil {
		return store.Info{}, err
	}
	return store.Info{Key: key, Size: span.total, Time: aws.ToTime(out.LastModified)}, nil
}

// ClockOffset is the store's clock minus this machine's, measured on the last
// answer to within half a second and half the answer's delay. It is zero
// before the first answer.
func (s *Store) ClockOffset() time.Duration { return s.transport.clock.offset() }

// Requests is how many HTTP requests were sent so far, retries included.
func (s *Store) Requests() int64 { return s.transport.requests.Load() }

// Shape has every connection made from now on pass through f, which may pace or
// count its bytes. It sees what goes over the wire, TLS and headers included.
func (s *Store) Shape(f func(net.Conn) net.Conn) { s.transport.shape.Store(&f) }

// Close gives up the connections that are not in use. The store stays usable.
// A server on the same machine stops sooner when its clients have done this.
func (s *Store) Close() { s.transport.pool.CloseIdleConnections() }

func trimPrefix(p string) string {
	p = strings.Trim(p, "/")
	if p == "" {
		return ""
	}
	return p + "/"
}
