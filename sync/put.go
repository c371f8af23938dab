package sync

import (
	"context"
	"encoding/json"
	"time"

	"github.com/tunesafe/tunesafe/internal/crashpoint"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/room"
)

// uploaded counts the bodies sent since init.
type uploaded struct {
	Bytes   int64 `json:"bytes"`
	Objects int64 `json:"objects"`

	PaceBytes   float64 `json:"pace_bytes,omitempty"` // see pace
	PaceSeconds float64 `json:"pace_seconds,omitempty"`
}

func (w *Worker) loadUploaded() {
	if b, err := w.cache.Meta("uploaded"); err == nil && b != nil {
		_ = json.Unmarshal(b, &w.up) // a damaged count starts again at 0
		w.pace.bytes, w.pace.seconds = w.up.PaceBytes, w.up.PaceSeconds
	}
}

// put uploads one object and journals its acknowledgement.
func (w *Worker) put(ctx context.Context, s *repo.Sealed, row repo.ObjectRow) error {
	if err := w.bucket.check(ctx, w); err != nil {
		return err
	}
	if err := w.send(ctx, s.Name, s.Body); err != nil {
		return err
	}
	crashpoint.At("object.put")
	if err := w.o.Index.Acked(row, s.Header); err != nil {
		return err
	}
	crashpoint.At("object.acked")
	if row.Kind == repo.Audio {
		return nil
	}
	if err := w.o.Reader.Keep(s); !room.Lacks(err) {
		return err
	}
	return nil // a pack is kept to save fetching it again, no more
}

// send puts bytes under a name and counts them.
func (w *Worker) send(ctx context.Context, name string, body []byte) error {
	sending, done := w.gate.sending(ctx)
	defer done()
	began := time.Now()
	if err := w.o.Store.Put(sending, name, body); err != nil {
		return err
	}
	if now := time.Now(); len(body) >= tells {
		w.line.note(len(body), now.Sub(began))
		w.pace.note(len(body), began, now)
	}
	w.mu.Lock()
	w.up.Bytes += int64(len(body))
	w.up.Objects++
	w.up.PaceBytes, w.up.PaceSeconds = w.pace.get()
	b, err := json.Marshal(w.up)
	w.mu.Unlock()
	if err != nil {
		return err
	}
	return w.cache.SetMeta("uploaded", b)
}
