package s3

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/tunesafe/tunesafe/internal/store"
)

var _ store.Versioned = (*Store)(nil)

// Delete implements [store.Store]. Whether the bucket keeps versions is told by the
// answer to the first DELETE, or PUT; no right is needed to ask for it.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := s.deleteAll(ctx, key); err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	return nil
}

func (s *Store) deleteAll(ctx context.Context, key string) error {
	marker := ""
	if !s.versioned.Load() {
		var err error
		if marker, err = s.hide(ctx, key); err != nil || !s.versioned.Load() {
			return err
		}
	}
	return s.erase(ctx, key, marker)
}

// hide deletes an object as buckets without versions know it. In one with them that
// leaves a delete marker, whose id it returns.
func (s *Store) hide(ctx context.Context, key string) (marker string, err error) {
	opctx, name, err := s.begin(ctx, key)
	if err != nil {
		return "", err
	}
	out, err := s.client.DeleteObject(opctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: name})
	if err := translate(ctx, err); isAbsent(err) {
		return "", nil
	} else if err != nil {
		return "", err
	}
	marker = aws.ToString(out.VersionId)
	if marker != "" || aws.ToBool(out.DeleteMarker) {
		s.versioned.Store(true)
	}
	return marker, nil
}

// Hide implements [store.Versioned].
func (s *Store) Hide(ctx context.Context, key string) error {
	if _, err := s.hide(ctx, key); err != nil {
		return fmt.Errorf("hide %s: %w", key, err)
	}
	return nil
}

// erase removes every version of a key. If one may not be removed, the object is left
// readable where it is locked, as its time is yet to come, and hidden where it is not:
// marker is the delete marker that hides it already, if there is one.
func (s *Store) erase(ctx context.Context, key, marker string) error {
	all, err := s.versionsOf(ctx, key)
	if err != nil {
		return err
	}
	var locked *store.LockedError
	for _, v := range all {
		if v.Gone {
			continue
		}
		err := s.RemoveVersion(ctx, key, v.ID)
		if l, is := errors.AsType[*store.LockedError](err); is {
			if locked == nil || l.Until.After(locked.Until) {
				locked = l
			}
			continue
		}
		if errors.Is(err, store.ErrDenied) {
			return s.kept(ctx, key, marker, err)
		}
		if err != nil {
			return err
		}
	}
	if locked != nil {
		if marker != "" {
			return errors.Join(locked, s.RemoveVersion(ctx, key, marker))
		}
		return locked
	}
	for _, v := range all {
		if !v.Gone {
			continue
		}
		if err := s.RemoveVersion(ctx, key, v.ID); err != nil {
			return err
		}
	}
	return nil
}

// kept hides what may not be removed. Where this program locks objects that is the
// likely reason, and nothing is hidden.
func (s *Store) kept(ctx context.Context, key, marker string, why error) error {
	if s.lock.For > 0 {
		if marker != "" {
			why = errors.Join(why, s.RemoveVersion(ctx, key, marker))
		}
		return why
	}
	if marker == "" {
		if _, err := s.hide(ctx, key); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: %w", store.ErrKept, withoutSentinel{why})
}

// withoutSentinel keeps the words of an error and not what it is.
type withoutSentinel struct{ error }

// versionsOf lists the versions of one key.
func (s *Store) versionsOf(ctx context.Context, key string) ([]store.Version, error) {
	for all, err := range s.Versions(ctx, key) {
		if err != nil || all[0].Key == key {
			return all, err
		}
		break // keys that are longer sort behind it
	}
	return nil, nil
}

// Versions implements [store.Versioned].
func (s *Store) Versions(ctx context.Context, prefix string) iter.Seq2[[]store.Version, error] {
	return func(yield func([]store.Version, error) bool) {
		l := &versionLister{store: s, prefix: prefix}
		for l.more() {
			err := l.next(ctx)
			for len(l.whole) > 0 {
				all := l.whole[0]
				l.whole = l.whole[1:]
				if !yield(all, nil) {
					return
				}
			}
			if err != nil {
				yield(nil, fmt.Errorf("list the versions of %s: %w", prefix, err))
				return
			}
		}
	}
}

// versionLister walks the pages of a listing of versions. Each page has two lists,
// of objects and of delete markers, which are merged here by key.
type versionLister struct {
	store  *Store
	prefix string
	begun  bool
	cut    bool            // there is another page,
	key    *string         // behind this key
	id     *string         // and version
	open   []store.Version // of the last key, of which the next page may have more
	whole  [][]store.Version
}

func (l *versionLister) more() bool { return !l.begun || l.cut }

func (l *versionLister) next(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	out, err := l.store.client.ListObjectVersions(withPulse(ctx), &s3.ListObjectVersionsInput{
		Bucket: &l.store.bucket, Prefix: aws.String(l.store.prefix + l.prefix), KeyMarker: l.key, VersionIdMarker: l.id,
	})
	if err != nil {
		return translate(ctx, err)
	}
	if out.Name == nil {
		return fmt.Errorf("the listing names no bucket: %w", errForeign)
	}
	before := aws.ToString(l.key) + "\x00" + aws.ToString(l.id)
	l.begun, l.cut, l.key, l.id = true, aws.ToBool(out.IsTruncated), out.NextKeyMarker, out.NextVersionIdMarker
	if after := aws.ToString(l.key) + "\x00" + aws.ToString(l.id); l.cut && after == before {
		return fmt.Errorf("the listing is cut without a way to go on: %w", store.ErrUnavailable)
	}
	l.add(out)
	return nil
}

// add takes a page in.
func (l *versionLister) add(out *s3.ListObjectVersionsOutput) {
	by := map[string][]store.Version{}
	take := func(v store.Version, key *string) {
		name, ours := strings.CutPrefix(aws.ToString(key), l.store.prefix)
		if ours && store.CheckKey(name) == nil {
			v.Key = name
			by[name] = append(by[name], v)
		}
	}
	for _, o := range out.Versions {
		take(store.Version{Info: store.Info{Size: aws.ToInt64(o.Size), Time: aws.ToTime(o.LastModified)},
			ID: aws.ToString(o.VersionId), Latest: aws.ToBool(o.IsLatest)}, o.Key)
	}
	for _, o := range out.DeleteMarkers {
		take(store.Version{Info: store.Info{Time: aws.ToTime(o.LastModified)},
			ID: aws.ToString(o.VersionId), Latest: aws.ToBool(o.IsLatest), Gone: true}, o.Key)
	}
	if len(l.open) > 0 { // VersityGW repeats a version where a page was cut
		key, open := l.open[0].Key, l.open
		l.open = nil
		for _, v := range by[key] {
			if !slices.ContainsFunc(open, func(o store.Version) bool { return o.ID == v.ID }) {
				open = append(open, v)
			}
		}
		by[key] = open
	}
	names := make([]string, 0, len(by))
	for name := range by {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		if l.cut && i == len(names)-1 {
			l.open = by[name]
			return
		}
		l.whole = append(l.whole, newestFirst(by[name]))
	}
}

// newestFirst sorts what came in two lists, each of them in order: of two that were
// made within a second the order is not known, but which is the latest.
func newestFirst(all []store.Version) []store.Version {
	slices.SortStableFunc(all, func(a, b store.Version) int {
		switch {
		case a.Latest != b.Latest && a.Latest:
			return -1
		case a.Latest != b.Latest:
			return 1
		}
		return b.Time.Compare(a.Time)
	})
	return all
}

// GetVersion implements [store.Versioned].
func (s *Store) GetVersion(ctx context.Context, key, id string) (io.ReadCloser, error) {
	opctx, name, err := s.begin(ctx, key)
	if err != nil {
		return nil, err
	}
	out, err := s.client.GetObject(opctx, &s3.GetObjectInput{
		Bucket: &s.bucket, Key: name, VersionId: versionID(id), ChecksumMode: types.ChecksumModeEnabled,
	})
	if err != nil {
		return nil, fmt.Errorf("get version %s of %s: %w", id, key, translate(ctx, err))
	}
	return newBody(ctx, out, 0, true)
}

// versionID leaves out what servers say of an object without versions.
func versionID(id string) *string {
	if id == "" {
		return nil
	}
	return &id
}

// StatVersion implements [store.Versioned].
func (s *Store) StatVersion(ctx context.Context, key, id string) (store.VersionStat, error) {
	opctx, name, err := s.begin(ctx, key)
	if err != nil {
		return store.VersionStat{}, err
	}
	out, err := s.client.HeadObject(opctx, &s3.HeadObjectInput{
		Bucket: &s.bucket, Key: name, VersionId: versionID(id), ChecksumMode: types.ChecksumModeEnabled,
	})
	if err != nil {
		return store.VersionStat{}, fmt.Errorf("stat version %s of %s: %w", id, key, translate(ctx, err))
	}
	v := store.VersionStat{Size: aws.ToInt64(out.ContentLength), LockedUntil: aws.ToTime(out.ObjectLockRetainUntilDate)}
	if out.ObjectLockLegalHoldStatus == types.ObjectLockLegalHoldStatusOn {
		v.LockedUntil = forever
	}
	if sum, err := base64.StdEncoding.DecodeString(aws.ToString(out.ChecksumSHA256)); err == nil && len(sum) == sha256.Size {
		v.Sum = (*[sha256.Size]byte)(sum)
	}
	return v, nil
}

// RemoveVersion implements [store.Versioned].
func (s *Store) RemoveVersion(ctx context.Context, key, id string) error {
	opctx, name, err := s.begin(ctx, key)
	if err != nil {
		return err
	}
	_, err = s.client.DeleteObject(opctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: name, VersionId: versionID(id)})
	if err == nil {
		return nil
	}
	refused, code := translate(ctx, err), ""
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		code = api.ErrorCode()
	}
	switch {
	case isAbsent(refused) || code == "NoSuchVersion":
		return nil
	case code == "InvalidArgument" || code == "InvalidRequest" || errors.Is(refused, store.ErrDenied):
		refused = s.whyRefused(ctx, key, id, refused)
	}
	if refused == nil {
		return nil
	}
	return fmt.Errorf("remove version %s of %s: %w", id, key, refused)
}

// whyRefused tells a version that is locked from credentials that may not remove any.
// Servers have different codes for the former, and several have the same for both.
func (s *Store) whyRefused(ctx context.Context, key, id string, refused error) error {
	v, err := s.StatVersion(ctx, key, id)
	switch {
	case err != nil && statusOf(err) == http.StatusNotFound:
		return nil // it is not there
	case err == nil && v.LockedUntil.Equal(forever):
		return &store.LockedError{}
	case err == nil && v.LockedUntil.After(s.now()):
		return &store.LockedError{Until: v.LockedUntil}
	}
	return refused
}

// now is the store's clock.
func (s *Store) now() time.Time { return time.Now().Add(s.ClockOffset()) }

// forever is the date of what is locked until somebody unlocks it.
var forever = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// LockVersion implements [store.Versioned].
func (s *Store) LockVersion(ctx context.Context, key, id string, until time.Time) error {
	opctx, name, err := s.begin(ctx, key)
	if err != nil {
		return err
	}
	mode := types.ObjectLockRetentionMode(s.lock.mode())
	_, err = s.client.PutObjectRetention(opctx, &s3.PutObjectRetentionInput{
		Bucket: &s.bucket, Key: name, VersionId: versionID(id),
		Retention: &types.ObjectLockRetention{Mode: mode, RetainUntilDate: aws.Time(until.UTC().Truncate(time.Second))},
	})
	if err == nil {
		return nil
	}
	// One that is locked for longer is refused as if there were no right.
	if v, err := s.StatVersion(ctx, key, id); err == nil && !v.LockedUntil.Before(until.Truncate(time.Second)) {
		return nil
	}
	return fmt.Errorf("lock version %s of %s: %w", id, key, translate(ctx, err))
}
