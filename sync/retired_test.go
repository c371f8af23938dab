package sync

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/store"
)

// togetherStore answers for the logs of some devices only once it was asked for all.
type togetherStore struct {
	store.Store
	of      map[string]bool // prefixes of logs
	missing atomic.Int64
	enough  chan struct{}
}

func (s *togetherStore) List(ctx context.Context, prefix, after string) iter.Seq2[store.Info, error] {
	if s.of[prefix] {
		if s.missing.Add(-1) == 0 {
			close(s.enough)
		}
		select {
		case <-s.enough:
		case <-ctx.Done():
		}
	}
	return s.Store.List(ctx, prefix, after)
}

// What retired devices committed since is looked for side by side.
func TestRetiredAreAskedTogether(t *testing.T) {
	w := newWorld(t)
	s := &togetherStore{Store: w.mem, of: map[string]bool{}, enough: make(chan struct{})}
	for i := range 4 {
		dev, err := repo.Enrol(t.Context(), w.mem, w.keys, w.root, fmt.Sprint("gone ", i))
		if err != nil {
			t.Fatal(err)
		}
		certs, _, err := repo.Devices(t.Context(), w.mem, w.keys)
		if err == nil {
			_, err = repo.Retire(t.Context(), w.mem, w.keys, w.root, certs[dev.ID])
		}
		if err != nil {
			t.Fatal(err)
		}
		s.of["log/"+dev.ID+"/"] = true
	}
	s.missing.Store(int64(len(s.of)))
	d := w.device("one")
	d.close()
	d.assemble(s)
	defer d.closeFiles()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := d.w.Pull(ctx); err != nil {
		t.Error("they are asked for one after another:", err)
	}
}
