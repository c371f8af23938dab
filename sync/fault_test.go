package sync

import (
	"context"
	"io"
	"iter"
	"math/rand/v2"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/store"
)

// broken is a store in which a test decides which requests fail, and how.
type broken struct {
	store.Store
	mu   gosync.Mutex
	fail func(op, key string) error
}

func (b *broken) set(f func(op, key string) error) {
	b.mu.Lock()
	b.fail = f
	b.mu.Unlock()
}

func (b *broken) ask(op, key string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail == nil {
		return nil
	}
	return b.fail(op, key)
}

func (b *broken) Put(ctx context.Context, key string, body []byte) error {
	if err := b.ask("put", key); err != nil {
		return err
	}
	return b.Store.Put(ctx, key, body)
}

func (b *broken) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if err := b.ask("get", key); err != nil {
		return nil, err
	}
	return b.Store.Get(ctx, key, offset, length)
}

func (b *broken) List(ctx context.Context, prefix, after string) iter.Seq2[store.Info, error] {
	if err := b.ask("list", prefix); err != nil {
		return func(yield func(store.Info, error) bool) { yield(store.Info{}, err) }
	}
	return b.Store.List(ctx, prefix, after)
}

func (b *broken) Stat(ctx context.Context, key string) (store.Info, error) {
	if err := b.ask("stat", key); err != nil {
		return store.Info{}, err
	}
	return b.Store.Stat(ctx, key)
}

func (b *broken) Delete(ctx context.Context, key string) error {
	if err := b.ask("delete", key); err != nil {
		return err
	}
	return b.Store.Delete(ctx, key)
}

// coldTrack is a track of which nothing is here but its names, open for writing on
// a second device, where every request for sound of the kind op fails.
func coldTrack(t *testing.T, op string) (w *world, cold *device, b *broken, song []byte, h *cache.Handle) {
	t.Helper()
	w = newWorld(t)
	one := w.device("one")
	song = wav(rand.New(rand.NewPCG(12, 12)), 60_000)
	one.write("song", song)
	one.wait()
	one.close()
	b = &broken{Store: w.mem}
	cold = w.device("two")
	cold.close()
	cold.open(b)
	b.set(func(asked, key string) error {
		if asked == op && strings.HasPrefix(key, "audio/") {
			return store.ErrUnavailable
		}
		return nil
	})
	a, err := Resolve(cold.cache, "song")
	if err != nil {
		t.Fatal(err)
	}
	if h, err = cold.cache.OpenFile(a.Ino, cache.OpenFlags{Write: true}); err != nil {
		t.Fatal(err)
	}
	return w, cold, b, song, h
}

// TestMissingSoundIsNeverCutAsZeros: a tag edit that makes another kind of file
// of a cold track needs its sound for the cut. Where that cannot be fetched the
// file waits; no zeros are taken for what did not come.
func TestMissingSoundIsNeverCutAsZeros(t *testing.T) {
	w, cold, b, song, h := coldTrack(t, "get")
	if _, err := h.WriteAt([]byte("no RIFF any more"), 0); err != nil {
		t.Fatal(err)
	}
	h.Release()
	copy(song, "no RIFF any more")
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := cold.w.Wait(ctx); err == nil {
		t.Error("safe without the sound")
	}
	b.set(nil)
	cold.wait()
	w.sameAs(map[string][]byte{"song": song})
}

// TestOwedSoundIsHere: where a cut of a file that is only partly here makes sound
// of what was a small part, that sound is on this disk while it is owed, also
// when the program dies and the memory in which small parts are kept is gone.
func TestOwedSoundIsHere(t *testing.T) {
	w, cold, b, song, h := coldTrack(t, "put")
	more := wav(rand.New(rand.NewPCG(14, 14)), 10_000)[44:]
	if _, err := h.WriteAt(more, int64(len(song))); err != nil {
		t.Fatal(err)
	}
	h.Release()
	song = append(song, more...)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := cold.w.Wait(ctx); err == nil {
		t.Error("safe without the sound")
	}
	cold.close()
	cold.open(b)
	b.set(nil)
	cold.wait()
	w.sameAs(map[string][]byte{"song": song})
}
