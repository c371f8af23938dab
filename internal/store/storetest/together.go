package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/tunesafe/tunesafe/internal/store"
)

func testCancelled(t *testing.T, s store.Store) {
	put(t, s, "object", []byte("x"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, getErr := get(ctx, s, "object", 0, -1)
	_, statErr := s.Stat(ctx, "absent")
	for what, err := range map[string]error{
		"put":    s.Put(ctx, "other", []byte("x")),
		"get":    getErr,
		"stat":   statErr,
		"delete": s.Delete(ctx, "object"),
		"list":   listErr(ctx, s),
	} {
		expectErr(t, what, err, context.Canceled)
	}
	expect(t, s, "object", 0, -1, []byte("x"))
}

func listErr(ctx context.Context, s store.Store) error {
	for _, err := range s.List(ctx, "", "") {
		if err != nil {
			return err
		}
	}
	return nil
}

func testCancelledInBody(t *testing.T, s store.Store) {
	put(t, s, "object", body(7, 8<<20))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := s.Get(ctx, "object", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	cancel()
	_, err = io.Copy(io.Discard, r)
	expectErr(t, "reading on", err, context.Canceled)
	if err := r.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// testConcurrent writes and reads many objects at once, some by several
// writers.
func testConcurrent(t *testing.T, s store.Store) {
	g, ctx := errgroup.WithContext(t.Context())
	for i := range 48 {
		key := fmt.Sprintf("shared/%d", i%24)
		want := body(uint64(i%24), 20_000+i%24)
		g.Go(func() error {
			if err := s.Put(ctx, key, want); err != nil {
				return err
			}
			got, err := get(ctx, s, key, 0, -1)
			if err == nil && !bytes.Equal(got, want) {
				err = fmt.Errorf("%s: content differs", key)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := keys(t, s, "shared/", ""); len(got) != 24 {
		t.Errorf("24 objects list as %q", got)
	}
}

// testAtomic reads while other bytes of other lengths replace the object. A
// reader sees one version whole, or an error; never a mixture or a part.
func testAtomic(t *testing.T, s store.Store) {
	versions := [][]byte{body(8, 300_000), body(9, 200_001)}
	put(t, s, "atomic", versions[0])
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var writer, readers errgroup.Group
	writer.Go(func() error { return replace(ctx, s, versions) })
	for range 3 {
		readers.Go(func() error { return readVersions(t.Context(), s, versions) })
	}
	readErr := readers.Wait()
	stop()
	if err := errors.Join(readErr, writer.Wait()); err != nil {
		t.Fatal(err)
	}
}

// replace writes the versions in turn until ctx ends.
func replace(ctx context.Context, s store.Store, versions [][]byte) error {
	for i := 1; ctx.Err() == nil; i++ {
		if err := s.Put(ctx, "atomic", versions[i%2]); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

func readVersions(ctx context.Context, s store.Store, versions [][]byte) error {
	whole := 0
	for range 60 {
		got, err := get(ctx, s, "atomic", 0, -1)
		if errors.Is(err, store.ErrNotExist) {
			return fmt.Errorf("an object being replaced was reported absent: %w", err)
		}
		if err != nil {
			continue
		}
		whole++
		if !bytes.Equal(got, versions[0]) && !bytes.Equal(got, versions[1]) {
			return fmt.Errorf("read %d bytes that are no version of the object", len(got))
		}
	}
	if whole == 0 {
		return errors.New("no read succeeded while the object was replaced")
	}
	return nil
}
