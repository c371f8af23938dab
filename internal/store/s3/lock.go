package s3

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/tunesafe/tunesafe/internal/store"
)

// Modes of a [Lock], by S3's names.
const (
	Compliance = "compliance" // nobody removes an object before its date
	Governance = "governance" // who has a right of its own for it does
)

// Lock is S3 Object Lock: objects are written with a date before which the bucket
// refuses to remove them, whoever asks. The zero Lock is none.
type Lock struct {
	Mode string        // Compliance or Governance; empty is Compliance
	For  time.Duration // how long from the writing on
}

// Check refuses modes that are none.
func (l Lock) Check() error {
	if l.Mode != "" && l.Mode != Compliance && l.Mode != Governance {
		return fmt.Errorf("lock mode %q: it is %s or %s", l.Mode, Compliance, Governance)
	}
	return nil
}

func (l Lock) mode() types.ObjectLockMode {
	switch {
	case l.For <= 0:
		return ""
	case l.Mode == Governance:
		return types.ObjectLockModeGovernance
	}
	return types.ObjectLockModeCompliance
}

// ofBucket is what a bucket is made with.
func (l Lock) ofBucket() *bool {
	if l.For <= 0 {
		return nil
	}
	return aws.Bool(true)
}

// retainUntil is the date of an object that is written now; nil if none is locked.
func (s *Store) retainUntil() *time.Time {
	if s.lock.For <= 0 {
		return nil
	}
	return aws.Time(s.now().Add(s.lock.For).UTC().Truncate(time.Second).Add(time.Second))
}

// SetLock changes how what is written from now on is locked. Nothing else may use the
// store meanwhile.
func (s *Store) SetLock(l Lock) { s.lock = l }

// tryLocked is for how long the object is locked by which a lock is tried. Clocks are
// known to half a second.
const tryLocked = 3 * time.Second

// TryLock makes sure that the bucket locks objects, by locking one for seconds and
// trying to remove it; [store.ErrNoLock] if it could be. An object stays behind where
// the credentials may never remove one.
func (s *Store) TryLock(ctx context.Context) error {
	if s.lock.For <= 0 {
		return nil
	}
	if err := s.tryLock(ctx); err != nil {
		return fmt.Errorf("bucket %s: %w", s.bucket, err)
	}
	return nil
}

func (s *Store) tryLock(ctx context.Context) error {
	key := "lock-" + strings.ToLower(rand.Text())
	opctx, name, err := s.begin(ctx, key)
	if err != nil {
		return err
	}
	until := s.now().Add(tryLocked).UTC().Truncate(time.Second).Add(time.Second)
	sum := sumOf("", nil)
	out, err := s.client.PutObject(opctx, &s3.PutObjectInput{
		Bucket: &s.bucket, Key: name, ContentLength: aws.Int64(0), ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
		ObjectLockMode: s.lock.mode(), ObjectLockRetainUntilDate: &until,
	}, signPayload(hex.EncodeToString(sum[:])))
	if err != nil {
		return refusedLock(ctx, err)
	}
	id := aws.ToString(out.VersionId)
	if id == "" {
		return errors.Join(fmt.Errorf("it keeps no versions: %w", store.ErrNoLock), s.removeWhenFree(ctx, key, id))
	}
	v, err := s.StatVersion(ctx, key, id)
	if err != nil {
		return err
	}
	removed := s.RemoveVersion(ctx, key, id)
	switch {
	case removed == nil:
		return fmt.Errorf("it let an object be removed that was locked: %w", store.ErrNoLock)
	case !errors.Is(removed, store.ErrLocked) && !errors.Is(removed, store.ErrDenied):
		return removed
	case v.LockedUntil.IsZero() && errors.Is(removed, store.ErrDenied):
		return fmt.Errorf("it does not say that an object is locked: %w", store.ErrNoLock)
	}
	return s.removeWhenFree(ctx, key, id)
}

// removeWhenFree removes what was locked for a moment.
func (s *Store) removeWhenFree(ctx context.Context, key, id string) error {
	for end := time.Now().Add(4 * tryLocked); ; {
		err := s.RemoveVersion(ctx, key, id)
		if !errors.Is(err, store.ErrLocked) || time.Now().After(end) {
			if errors.Is(err, store.ErrLocked) || errors.Is(err, store.ErrDenied) {
				return nil // who may not delete may well back up
			}
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(tryLocked / 3):
		}
	}
}

// refusedLock knows the words in which servers say that a bucket has no Object Lock.
func refusedLock(ctx context.Context, err error) error {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		switch api.ErrorCode() {
		case "InvalidRequest", "InvalidArgument", "InvalidBucketState", "NotImplemented", "MethodNotAllowed",
			"ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration":
			return fmt.Errorf("%w: %w", store.ErrNoLock, err)
		}
	}
	return translate(ctx, err)
}
