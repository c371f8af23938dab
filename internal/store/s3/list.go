package s3

import (
	"context"
	"crypto/md5" //nolint:gosec // for what servers say
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/tunesafe/tunesafe/internal/store"
)

// lister walks the pages of one listing. The place it has reached is the last
// key it saw, so a listing cannot loop or go back, whatever the server answers.
type lister struct {
	store  *Store
	prefix string
	last   string // below the store's prefix; everything up to it is done
	token  *string
	begun  bool
}

func (l *lister) more() bool { return !l.begun || l.token != nil }

// next fetches one page.
func (l *lister) next(ctx context.Context) ([]store.Info, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	out, err := l.store.client.ListObjectsV2(withPulse(ctx), l.request())
	if err != nil {
		return nil, translate(ctx, err)
	}
	if out.Name == nil {
		return nil, fmt.Errorf("the listing names no bucket: %w", errForeign)
	}
	page, err := l.infos(out.Contents)
	if err != nil {
		return nil, err
	}
	l.begun, l.token = true, nil
	if aws.ToBool(out.IsTruncated) {
		return page, l.goOn(out, len(page))
	}
	return page, nil
}

func (l *lister) request() *s3.ListObjectsV2Input {
	in := &s3.ListObjectsV2Input{
		Bucket:            &l.store.bucket,
		Prefix:            aws.String(l.store.prefix + l.prefix),
		ContinuationToken: l.token,
	}
	if l.token == nil && l.last != "" {
		in.StartAfter = aws.String(l.store.prefix + l.last)
	}
	return in
}

func (l *lister) goOn(out *s3.ListObjectsV2Output, seen int) error {
	l.token = out.NextContinuationToken
	if l.token == nil || seen == 0 && len(out.Contents) == 0 {
		return fmt.Errorf("the listing is cut without a way to go on: %w", store.ErrUnavailable)
	}
	return nil
}

// md5Of is the MD5 that an ETag mostly is ("Object", Amazon S3 API reference). What looks
// like one and is not is that of no bytes at hand.
func md5Of(etag *string) []byte {
	sum, err := hex.DecodeString(strings.Trim(aws.ToString(etag), `"`))
	if err != nil || len(sum) != md5.Size {
		return nil
	}
	return sum
}

// infos drops keys that a server which ignores StartAfter sent again, and keys
// that Tunesafe cannot have written.
func (l *lister) infos(objects []types.Object) ([]store.Info, error) {
	page := make([]store.Info, 0, len(objects))
	previous := ""
	for _, o := range objects {
		key, ours := strings.CutPrefix(aws.ToString(o.Key), l.store.prefix)
		if key < previous {
			return nil, fmt.Errorf("%q listed after %q: the server does not list in order of key", key, previous)
		}
		previous = key
		if !ours || key <= l.last || store.CheckKey(key) != nil {
			continue
		}
		page = append(page, store.Info{Key: key, Size: aws.ToInt64(o.Size), Time: aws.ToTime(o.LastModified), MD5: md5Of(o.ETag)})
	}
	l.last = max(l.last, previous)
	return page, nil
}
