package repo

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/tests/tools"
)

// TestFollowersComeAndGo: whoever leaves a picture that is on its way, all others get all
// of it.
func TestFollowersComeAndGo(t *testing.T) {
	seed := uint64(tools.Seed(t))
	e := newEnv(t)
	art := [][]byte{noise(1, 300<<10), noise(2, 200<<10), noise(3, 90<<10)}
	e.pack(Art, art...)
	e.commit(&Commit{})
	for round := range 20 {
		r := e.reader(t.TempDir())
		var wg sync.WaitGroup
		for i := range 24 {
			rnd := rand.New(rand.NewPCG(seed, uint64(100*round+i)))
			p := art[rnd.IntN(len(art))]
			wg.Go(func() {
				time.Sleep(time.Duration(rnd.IntN(2000)) * time.Microsecond)
				if rnd.IntN(4) == 0 {
					if got, err := r.Blob(t.Context(), e.k.BlobID(p)); err != nil || !bytes.Equal(got, p) {
						t.Errorf("a blob: %d bytes, %v", len(got), err)
					}
					return
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				body, err := r.Range(ctx, whole(e.ref(p)), 0, int64(len(p)))
				if err != nil {
					t.Error(err)
					return
				}
				defer body.Close()
				if rnd.IntN(2) == 0 { // leaves
					_, _ = io.CopyN(io.Discard, body, int64(rnd.IntN(len(p))))
					return
				}
				if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, p) {
					t.Errorf("a range: %d bytes, %v", len(got), err)
				}
			})
		}
		wg.Wait()
		r.Close()
	}
}
