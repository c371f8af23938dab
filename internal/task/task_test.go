package task

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
)

// set is one whose tasks are waited for.
func set(t *testing.T) *Set {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	return New(ctx, running.Go, slog.New(slog.DiscardHandler))
}

// until is a task that ends when its channel is closed.
func until(end chan struct{}) func(context.Context, func(func(*int))) (string, error) {
	return func(ctx context.Context, tell func(func(*int))) (string, error) {
		tell(func(n *int) { *n++ })
		tell(func(n *int) { *n++ })
		select {
		case <-end:
			return "done", nil
		case <-ctx.Done():
			return "half", ctx.Err()
		}
	}
}

// TestTasks are bounded by their lane, stopped one by one, and remembered.
func TestTasks(t *testing.T) {
	s, end := set(t), make(chan struct{})
	a, err := Begin(s, Order{Kind: "a", Lane: Copy}, until(end))
	if err != nil {
		t.Fatal(err)
	}
	b, err := Begin(s, Order{Kind: "b", Lane: Copy}, until(end))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Begin(s, Order{Kind: "c", Lane: Copy}, until(end)); !errors.Is(err, ErrBusy) {
		t.Errorf("a third: %v", err)
	}
	if _, err := Begin(s, Order{Kind: "c", Lane: Other}, until(end)); err != nil {
		t.Errorf("in another lane: %v", err)
	}
	a.Stop()
	<-a.Done()
	if got := a.State(); !got.Stopped() || got.Result != "half" || got.Progress != 2 {
		t.Errorf("stopped: %+v", got)
	}
	if got := b.State(); got.Over() {
		t.Errorf("the other was stopped, too: %+v", got)
	}
	close(end)
	<-b.Done()
	if got := s.Find(b.ID()).State(); !got.Over() || got.Stopped() || got.Result != "done" || got.Err != nil {
		t.Errorf("done: %+v", got)
	}
	for range 2 * kept {
		last, err := Begin(s, Order{Kind: "many", Lane: Examine}, until(end))
		if err != nil {
			t.Fatal(err)
		}
		<-last.Done()
		if s.Last("many") != last {
			t.Fatal("the last is another")
		}
	}
	if n := len(s.All()); n > kept || s.Find(a.ID()) != nil {
		t.Errorf("%d are remembered", n)
	}
}

// TestPanic: a task that panics has failed, and the process goes on.
func TestPanic(t *testing.T) {
	broken, err := Begin(set(t), Order{Kind: "a", Lane: Other}, func(context.Context, func(func(*int))) (string, error) { panic("broken") })
	if err != nil {
		t.Fatal(err)
	}
	<-broken.Done()
	if got := broken.State(); !got.Over() || got.Err == nil {
		t.Errorf("it is %+v", got)
	}
}

// TestKey gives the first task to who asks twice, and refuses another request with its key.
func TestKey(t *testing.T) {
	s, end := set(t), make(chan struct{})
	defer close(end)
	order := Order{Kind: "a", Lane: Examine, Once: Once{Key: "k", Sum: "1"}}
	first, err := Begin(s, order, until(end))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Begin(s, order, until(end)); err != nil || again != first {
		t.Errorf("again: %v, %v", again, err)
	}
	order.Sum = "2"
	if _, err := Begin(s, order, until(end)); !errors.Is(err, ErrKey) {
		t.Errorf("another request: %v", err)
	}
}
