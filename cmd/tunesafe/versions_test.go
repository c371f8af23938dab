package main

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
)

// TestVersions runs the script on versions and locks against servers that have them;
// that of tunesafe itself has not.
func TestVersions(t *testing.T) {
	t.Run("Versity", func(t *testing.T) { runVersions(t, realserver.StartVersityVersions(t)) })
	if realserver.WithMinIO() {
		t.Run("MinIO", func(t *testing.T) { runVersions(t, realserver.StartMinIO(t)) })
	}
}

func runVersions(t *testing.T, server *realserver.Server) {
	v := &versions{client: server.Client()}
	server.MakeVersioned(t, "plain", false)
	server.MakeVersioned(t, "versions", false)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/versions",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			if err := setup(e); err != nil {
				return err
			}
			e.Setenv("AWS_ACCESS_KEY_ID", server.AccessKey)
			e.Setenv("AWS_SECRET_ACCESS_KEY", server.SecretKey)
			e.Setenv("S3", server.Endpoint)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"locked": v.locked, "hide": v.hide, "stored": v.stored,
		},
	})
}

// versions are the commands of a stranger who knows S3 and not Tunesafe.
type versions struct{ client *s3.Client }

// each calls f with every version of a bucket.
func (v *versions) each(ts *testscript.TestScript, bucket string, f func(key, id *string, size int64)) {
	pages := s3.NewListObjectVersionsPaginator(v.client, &s3.ListObjectVersionsInput{Bucket: &bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(context.Background())
		ts.Check(err)
		for _, o := range page.Versions {
			f(o.Key, o.VersionId, *o.Size)
		}
	}
}

// locked is "locked BUCKET LEAST MOST": every version is locked for so many hours, and
// the server refuses to remove it.
func (v *versions) locked(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: locked BUCKET LEAST MOST")
	}
	n := 0
	v.each(ts, args[0], func(key, id *string, _ int64) {
		n++
		head, err := v.client.HeadObject(context.Background(), &s3.HeadObjectInput{Bucket: &args[0], Key: key, VersionId: id})
		ts.Check(err)
		if head.ObjectLockRetainUntilDate == nil {
			ts.Fatalf("%s is not locked", *key)
		}
		between(ts, *key+" is locked for hours", int64(time.Until(*head.ObjectLockRetainUntilDate)/time.Hour), args[1:])
		if _, err := v.client.DeleteObject(context.Background(), &s3.DeleteObjectInput{Bucket: &args[0], Key: key, VersionId: id}); err == nil {
			ts.Fatalf("%s could be removed", *key)
		}
	})
	if n == 0 {
		ts.Fatalf("nothing is in the bucket")
	}
}

// hide is "hide BUCKET PREFIX": everything below is deleted, as by who knows of no
// versions.
func (v *versions) hide(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: hide BUCKET PREFIX")
	}
	v.each(ts, args[0], func(key, _ *string, _ int64) {
		if !strings.HasPrefix(*key, args[1]) {
			return
		}
		_, err := v.client.DeleteObject(context.Background(), &s3.DeleteObjectInput{Bucket: &args[0], Key: key})
		ts.Check(err)
	})
}

// stored is "stored BUCKET LEAST MOST": the bytes of all versions.
func (v *versions) stored(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: stored BUCKET LEAST MOST")
	}
	var bytes int64
	v.each(ts, args[0], func(_, _ *string, size int64) { bytes += size })
	between(ts, "bytes", bytes, args[1:])
}

func between(ts *testscript.TestScript, what string, n int64, limits []string) {
	least, err := strconv.ParseInt(limits[0], 10, 64)
	ts.Check(err)
	most, err := strconv.ParseInt(limits[1], 10, 64)
	ts.Check(err)
	if n < least || n > most {
		ts.Fatalf("%s: %d, want %d to %d", what, n, least, most)
	}
}
