package repo

import (
	"errors"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/internal/store/mem"
)

// TestRemoveWhereLocked: a key's file that the bucket has locked is seen no more once it
// was removed.
func TestRemoveWhereLocked(t *testing.T) {
	st := mem.NewVersioned(time.Hour, time.Now)
	const name = "keys/spouse.age"
	if err := st.Put(t.Context(), name, []byte("sealed")); err != nil {
		t.Fatal(err)
	}
	if err := st.Delete(t.Context(), name); !errors.Is(err, store.ErrLocked) {
		t.Fatalf("deleted: %v", err)
	}
	if err := remove(t.Context(), store.Count(st), name); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Stat(t.Context(), name); !errors.Is(err, store.ErrNotExist) {
		t.Errorf("is still there: %v", err)
	}
}
