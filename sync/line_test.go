package sync

import (
	"context"
	"fmt"
	"math/rand/v2"
	gosync "sync"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/store"
)

// cutLine is a line that goes dead once so many bytes of a life went up.
type cutLine struct {
	store.Store
	mu   gosync.Mutex
	left int
	dead chan struct{}
}

func (s *cutLine) Put(ctx context.Context, key string, body []byte) error {
	s.mu.Lock()
	s.left -= len(body)
	over := s.left < 0
	s.mu.Unlock()
	if over {
		select {
		case s.dead <- struct{}{}:
		default:
		}
		<-ctx.Done()
		return ctx.Err()
	}
	return s.Store.Put(ctx, key, body)
}

// TestLabourGetsOnThroughInterruptions: where the line never carries as much as a
// full pack between two deaths of the program, labour becomes safe all the same.
func TestLabourGetsOnThroughInterruptions(t *testing.T) {
	const (
		files = 70
		size  = 200_000   // each in packs
		life  = 5_000_000 // bytes until the line is cut
	)
	w := newWorld(t)
	d := w.device("one")
	rnd := rand.New(rand.NewPCG(31, 31))
	d.close()
	s := &cutLine{Store: w.mem, dead: make(chan struct{}, 1)}
	d.transfers = 1
	d.settle = time.Minute // so that all are one round
	d.open(s)
	for i := range files {
		p := make([]byte, size)
		for k := range p {
			p[k] = byte(rnd.Uint32())
		}
		d.write(fmt.Sprint("notes ", i), p)
	}
	for lives := 1; ; lives++ {
		ctx, end := context.WithTimeout(t.Context(), 3*time.Minute)
		ended := make(chan error, 1)
		go func() { ended <- d.w.Wait(ctx) }()
		select {
		case err := <-ended:
			end()
			if err != nil {
				t.Fatal(err)
			}
			if least := files * size / life; lives < least {
				t.Errorf("safe in life %d, though the line carries that only in %d", lives, least)
			}
			return
		case <-s.dead:
			end()
			<-ended
		}
		if lives == 20 {
			t.Fatal("nothing becomes safe, however often the program begins again")
		}
		d.close()
		s.mu.Lock()
		s.left = life
		s.mu.Unlock()
		d.open(s)
	}
}
