package s3

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/tunesafe/tunesafe/internal/store"
)

// minClassed is the least that the cheaper classes bill for an object. A smaller
// one costs more there than in the store's usual class.
const minClassed = 128 << 10

// Classes are the storage classes of what is large; empty is the store's usual,
// which all else is in.
type Classes struct {
	Audio string // objects below audio/
	Packs string // objects below meta/: read at every scan
}

// of is the class of an object.
func (c Classes) of(key string, size int) types.StorageClass {
	switch {
	case size < minClassed:
		return ""
	case strings.HasPrefix(key, "audio/"):
		return types.StorageClass(c.Audio)
	case strings.HasPrefix(key, "meta/"):
		return types.StorageClass(c.Packs)
	}
	return ""
}

// TryClasses writes an object of each class and removes it: [store.ErrClass] if
// the store refuses one. It returns those that the store took and did not keep,
// as servers do that have only one.
func (s *Store) TryClasses(ctx context.Context) (ignored []string, err error) {
	for _, class := range []string{s.classes.Audio, s.classes.Packs} {
		if class == "" {
			continue
		}
		kept, err := s.tryClass(ctx, class)
		if err != nil {
			return nil, fmt.Errorf("storage class %s: %w", class, err)
		}
		if !kept {
			ignored = append(ignored, class)
		}
	}
	return ignored, nil
}

func (s *Store) tryClass(ctx context.Context, class string) (kept bool, err error) {
	name := aws.String(s.prefix + "class-" + strings.ToLower(rand.Text()))
	sum := sumOf("", nil)
	_, err = s.client.PutObject(withPulse(ctx), &s3.PutObjectInput{
		Bucket: &s.bucket, Key: name, ContentLength: aws.Int64(0), StorageClass: types.StorageClass(class),
	}, signPayload(hex.EncodeToString(sum[:])))
	if err != nil {
		return false, refusedClass(ctx, err)
	}
	head, err := s.client.HeadObject(withPulse(ctx), &s3.HeadObjectInput{Bucket: &s.bucket, Key: name})
	// Who may not delete may well back up: then an empty object stays.
	_, _ = s.client.DeleteObject(withPulse(ctx), &s3.DeleteObjectInput{Bucket: &s.bucket, Key: name})
	if err != nil {
		return false, translate(ctx, err)
	}
	standard := class == string(types.StorageClassStandard)
	return string(head.StorageClass) == class || standard && head.StorageClass == "", nil
}

// refusedClass knows the words in which servers say that they have no such class.
func refusedClass(ctx context.Context, err error) error {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		switch api.ErrorCode() {
		case "InvalidStorageClass", "InvalidArgument", "InvalidRequest", "NotImplemented":
			return fmt.Errorf("%w: %w", store.ErrClass, err)
		}
	}
	return translate(ctx, err)
}
