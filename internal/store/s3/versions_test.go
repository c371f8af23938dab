package s3_test

import (
	"context"
	"errors"
	"fmt"
	"path"
	"sync/atomic"
	"testing"
	"time"

	aws "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/internal/store/s3"
	"github.com/tunesafe/tunesafe/internal/store/storetest"
	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
)

// TestVersions holds servers that keep versions, and lock them, to what this package
// takes them for.
func TestVersions(t *testing.T) {
	t.Run("Versity", func(t *testing.T) { conformVersions(t, realserver.StartVersityVersions(t)) })
	if realserver.WithMinIO() {
		t.Run("MinIO", func(t *testing.T) { conformVersions(t, realserver.StartMinIO(t)) })
	}
}

func conformVersions(t *testing.T, server *realserver.Server) {
	var opened atomic.Int64
	client := server.Client()
	fresh := func(t *testing.T, lock s3.Lock) (*s3.Store, s3.Config) {
		n := opened.Add(1)
		c := config(server)
		c.Bucket, c.Lock = fmt.Sprintf("versions-%d", n), lock
		if n%2 == 0 {
			c.Prefix = "some/prefix"
		}
		server.MakeVersioned(t, c.Bucket, lock.For > 0)
		return open(t, c), c
	}
	storetest.RunVersions(t, func(t *testing.T, lock bool) storetest.Bucket {
		var l s3.Lock
		if lock {
			l.For = storetest.LockedFor
		}
		s, c := fresh(t, l)
		hide := func(ctx context.Context, key string) error {
			key = path.Join(c.Prefix, key)
			_, err := client.DeleteObject(ctx, &aws.DeleteObjectInput{Bucket: &c.Bucket, Key: &key})
			return err
		}
		return storetest.Bucket{Store: s, Hide: hide, Pass: func(until time.Time) { time.Sleep(time.Until(until) + time.Second) }}
	})
	for _, mode := range []string{s3.Compliance, s3.Governance} {
		t.Run("TryLock/"+mode, func(t *testing.T) {
			t.Parallel()
			s, _ := fresh(t, s3.Lock{Mode: mode, For: time.Hour})
			if err := s.TryLock(t.Context()); err != nil {
				t.Error(err)
			}
			for all, err := range s.Versions(t.Context(), "") {
				t.Errorf("left behind: %+v, %v", all, err)
			}
		})
	}
	t.Run("NoLock", func(t *testing.T) {
		for _, versions := range []bool{false, true} {
			c := config(server)
			c.Bucket = fmt.Sprintf("no-lock-%v", versions)
			if versions {
				server.MakeVersioned(t, c.Bucket, false)
			} else {
				openBucket(t, c)
			}
			c.Lock.For = time.Hour
			if err := open(t, c).TryLock(t.Context()); !errors.Is(err, store.ErrNoLock) {
				t.Errorf("a bucket without Object Lock, versions %v: %v", versions, err)
			}
		}
	})
	t.Run("Made", func(t *testing.T) { // by EnsureBucket
		t.Parallel()
		c := config(server)
		c.Bucket, c.Lock.For = "made", time.Hour
		s := openBucket(t, c)
		if err := s.TryLock(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
