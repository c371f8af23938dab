package home

import (
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/s3server"
)

// Unmounting waits for this. The server gives a connection that has carried no
// request yet ten seconds when it ends.
func TestCloseLocalStoreAtOnce(t *testing.T) {
	s := Store{Kind: KindLocal, Dir: filepath.Join(t.TempDir(), "store")}
	open, err := s.Open(t.Context(), Credentials{}, slog.New(slog.DiscardHandler))
	if errors.Is(err, s3server.ErrNoXattr) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	// Requests at once leave connections that were opened and never used.
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() { _, _ = open.Stat(t.Context(), "nothing") }) // it is not there
	}
	all.Wait()
	began := time.Now()
	if err := open.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("closing took %v", took)
	}
}
