package s3_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/internal/store/s3"
	"github.com/tunesafe/tunesafe/internal/store/storetest"
	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/tools"
)

func TestConformance(t *testing.T) { conform(t, realserver.StartEmbedded(t)) }

func TestConformanceOfOthers(t *testing.T) {
	tools.StepByStep(t)
	t.Run("Versity", func(t *testing.T) { conform(t, realserver.StartVersity(t)) })
	if realserver.WithMinIO() {
		t.Run("MinIO", func(t *testing.T) { conform(t, realserver.StartMinIO(t)) })
	}
}

// conform runs the suite in buckets of one server, half of them below a prefix.
func conform(t *testing.T, server *realserver.Server) {
	var opened atomic.Int64
	storetest.Run(t, func(t *testing.T) store.Store {
		n := opened.Add(1)
		c := config(server)
		c.Bucket = fmt.Sprintf("bucket-%d", n)
		if n%2 == 0 {
			c.Prefix = "some/prefix"
		}
		return openBucket(t, c)
	})
}

func config(server *realserver.Server) s3.Config {
	return s3.Config{
		Bucket:   "bucket",
		Endpoint: server.Endpoint,
		Credentials: s3.Credentials{
			AccessKey: server.AccessKey, SecretKey: server.SecretKey,
		},
	}
}

// openBucket opens a store and makes its bucket.
func openBucket(t *testing.T, c s3.Config) *s3.Store {
	t.Helper()
	s := open(t, c)
	created, err := s.EnsureBucket(t.Context())
	if err != nil || !created {
		t.Fatalf("made a new bucket: %v, %v", created, err)
	}
	return s
}

func open(t *testing.T, c s3.Config) *s3.Store {
	t.Helper()
	s, err := s3.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}
