package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/tunesafe/tunesafe/internal/store"
)

// body is the stream of one Get. It holds the answer to its promised length.
type body struct {
	ctx  context.Context //nolint:containedctx // the context of the Get whose stream this is
	r    io.ReadCloser
	left int64 // bytes to come; below 0 when the server did not say
}

// newBody checks that out answers the question asked before a byte is believed.
func newBody(ctx context.Context, out *s3.GetObjectOutput, offset int64, whole bool) (io.ReadCloser, error) {
	b := &body{ctx: ctx, r: out.Body, left: -1}
	if out.ContentLength != nil {
		b.left = *out.ContentLength
	}
	if err := ofObject(out.ETag, out.LastModified); err != nil {
		_ = out.Body.Close() // whatever it is
		return nil, err
	}
	if whole {
		return b, nil
	}
	span, err := parseContentRange(aws.ToString(out.ContentRange))
	if err == nil && span.first != offset {
		err = fmt.Errorf("asked for bytes from %d, got them from %d: %w", offset, span.first, errForeign)
	}
	if err != nil {
		_ = out.Body.Close() // the body is not what was asked for
		return nil, err
	}
	b.left = span.last - span.first + 1
	return b, nil
}

// ofObject tells an object from a page that something else answers with. An S3
// server that keeps objects as files, VersityGW among them, knows no ETag of one
// that came to its folder in another way, as a copied repository does.
func ofObject(etag *string, modified *time.Time) error {
	if aws.ToString(etag) == "" && modified == nil {
		return fmt.Errorf("the answer has neither ETag nor Last-Modified: %w", errForeign)
	}
	return nil
}

// Read implements [io.Reader]. With the last byte it looks for the end at once,
// because that is where the SDK compares the checksum, and a caller who knows
// the length never reads past it.
func (b *body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := b.r.Read(p)
	if b.left >= 0 && int64(n) > b.left {
		return 0, fmt.Errorf("the body is longer than announced: %w", store.ErrUnavailable)
	}
	if b.left > 0 {
		b.left -= int64(n)
	}
	if err == nil && b.left == 0 {
		err = b.expectEnd()
	}
	return n, b.failure(err)
}

func (b *body) expectEnd() error {
	var one [1]byte
	n, err := io.ReadFull(b.r, one[:])
	if n > 0 {
		return fmt.Errorf("the body is longer than announced: %w", store.ErrUnavailable)
	}
	return err
}

func (b *body) failure(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF) && b.left <= 0:
		return io.EOF
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	}
	return translateRead(b.ctx, err)
}

// Close implements [io.Closer]. Closing early gives up the connection.
func (b *body) Close() error { return b.r.Close() }

// span is a Content-Range header: bytes first to last of total.
type span struct{ first, last, total int64 }

// parseContentRange reads "bytes first-last/total" (RFC 9110, section 14.4).
func parseContentRange(h string) (span, error) {
	var s span
	n, err := fmt.Sscanf(h, "bytes %d-%d/%d", &s.first, &s.last, &s.total)
	if err != nil || n != 3 || s.first < 0 || s.last < s.first || s.total <= s.last {
		return span{}, fmt.Errorf("asked for a range, got Content-Range %q: %w", h, errForeign)
	}
	return s, nil
}
