package sync

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestTurnsAreFreeWhileNobodyHurries: who reads quietly waits for another one only while
// somebody is in a hurry.
func TestTurnsAreFreeWhileNobodyHurries(t *testing.T) {
	turns := newTurns()
	<-turns.queue // another one has it
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := turns.wait(ctx, nil); err != nil {
		t.Fatal("nobody hurries:", err)
	}
	turns.note(func() { turns.urgent++ })
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := turns.wait(short, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal("somebody hurries, and another one has the turn:", err)
	}
	turns.queue <- struct{}{}
	turns.note(func() { turns.urgent-- })
	cancel()
	if err := turns.wait(short, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal("what was given up went on:", err)
	}
}
