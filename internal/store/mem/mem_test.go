package mem_test

import (
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/internal/store/mem"
	"github.com/tunesafe/tunesafe/internal/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return mem.New() })
}

func TestVersions(t *testing.T) {
	storetest.RunVersions(t, func(_ *testing.T, lock bool) storetest.Bucket {
		var locked time.Duration
		if lock {
			locked = storetest.LockedFor
		}
		now := time.Now()
		s := mem.NewVersioned(locked, func() time.Time { return now })
		return storetest.Bucket{Store: store.Count(s), Hide: s.Hide, Pass: func(until time.Time) { now = until }}
	})
}
