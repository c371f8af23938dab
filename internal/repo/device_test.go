package repo

import (
	"context"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/store"
)

// together is a store that answers for certificates, and for what was said of devices, only
// once several requests for them are under way.
type together struct {
	store.Store
	missing atomic.Int64
	enough  chan struct{}
}

func newTogether(st store.Store, several int64) *together {
	s := &together{Store: st, enough: make(chan struct{})}
	s.missing.Store(several)
	return s
}

func (s *together) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if strings.HasPrefix(key, "devices/") {
		if s.missing.Add(-1) == 0 {
			close(s.enough)
		}
		select {
		case <-s.enough:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return s.Store.Get(ctx, key, offset, length)
}

// Certificates are asked for side by side; who is a member and what is said of bad ones
// do not depend on which is answered first.
func TestDevicesAreReadTogether(t *testing.T) {
	e := newEnv(t)
	for range 11 {
		e.enrol()
	}
	lost := e.enrol()
	must(Retire(t.Context(), e.st, e.k, e.root, e.certs[lost.ID]))(t)
	names := []string{"devices/0000000000000001.age", "devices/8000000000000000.age", "devices/fffffffffffffff0.age"}
	for _, copied := range names {
		e.overwrite(copied, e.body("devices/"+e.d.ID+".age"))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for range 5 {
		certs, bad, err := Devices(ctx, newTogether(e.st, parallelGets), e.k)
		if err != nil {
			t.Fatal("certificates are not asked for side by side:", err)
		}
		if len(certs) != 13 || certs[lost.ID].Retired == nil || certs[e.d.ID].Retired != nil {
			t.Fatalf("%d devices, want 13, of which one is retired", len(certs))
		}
		if len(bad) != len(names) {
			t.Fatalf("%d are bad, want %d", len(bad), len(names))
		}
		for i, name := range names {
			wantErr(t, bad[i], ErrCorrupt, name)
		}
	}
}
