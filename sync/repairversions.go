package sync

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tunesafe/tunesafe/internal/store"
)

// bringBack has a bucket that keeps versions give again the bytes that the name of an
// object tells of, and says how; "" if it has them no more. What Get gives now is known
// to be wrong.
//
// Where nothing but delete markers is above the version, they are taken away, which
// sends nothing; else, or if that is refused, the version is read and put again. A
// version is believed by the SHA-256 that the store took of it when it came, or that
// its bytes have.
func (w *Worker) bringBack(ctx context.Context, name string) (how string, err error) {
	v, ok := store.AbleTo[store.Versioned](w.o.Store)
	sum, told := store.SumOf(name)
	if !ok || !told {
		return "", nil
	}
	for all, err := range v.Versions(ctx, name) {
		if err != nil {
			return "", passing(ctx, err)
		}
		if all[0].Key == name {
			return w.bringBackOf(ctx, v, all, sum)
		}
		break // longer names sort behind it
	}
	return "", nil
}

func (w *Worker) bringBackOf(ctx context.Context, v store.Versioned, all []store.Version, sum [sha256.Size]byte) (how string, err error) {
	const said = "brought back from the version of %s in the bucket"
	var live, markers []store.Version
	for _, one := range all {
		if one.Gone {
			markers = append(markers, one)
		} else {
			live = append(live, one)
		}
	}
	if len(live) == 1 && all[0].Gone {
		if back, err := w.unhide(ctx, v, markers, live[0], sum); back || err != nil {
			return fmt.Sprintf(said, live[0].Time.UTC().Format(time.RFC3339)), err
		}
	}
	for _, old := range live {
		if old.Latest {
			continue // it is what was found to be wrong
		}
		body, err := readVersion(ctx, v, old, sum)
		if err != nil {
			return "", err
		}
		if body != nil {
			return fmt.Sprintf(said, old.Time.UTC().Format(time.RFC3339)), w.send(ctx, old.Key, body)
		}
	}
	return "", nil
}

// unhide takes away the delete markers of an object of which one version is left, if
// that has the right bytes. All of them: servers do not agree on the order.
func (w *Worker) unhide(ctx context.Context, v store.Versioned, markers []store.Version, old store.Version, sum [sha256.Size]byte) (bool, error) {
	is, err := v.StatVersion(ctx, old.Key, old.ID)
	if err != nil {
		return false, passing(ctx, err)
	}
	if is.Sum == nil {
		body, err := readVersion(ctx, v, old, sum)
		if body == nil {
			return false, err
		}
	} else if *is.Sum != sum {
		return false, nil
	}
	for _, marker := range markers {
		if err := v.RemoveVersion(ctx, marker.Key, marker.ID); err != nil {
			return false, passing(ctx, err)
		}
	}
	now, err := w.o.Store.Stat(ctx, old.Key)
	if errors.Is(err, store.ErrNotExist) {
		return false, nil
	}
	return err == nil && now.Size == old.Size, err
}

// readVersion reads one; nil if it has other bytes.
func readVersion(ctx context.Context, v store.Versioned, old store.Version, sum [sha256.Size]byte) ([]byte, error) {
	if old.Size > largestObject {
		return nil, nil
	}
	r, err := v.GetVersion(ctx, old.Key, old.ID)
	if err != nil {
		return nil, passing(ctx, err)
	}
	body, err := io.ReadAll(io.LimitReader(r, largestObject+1))
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, passing(ctx, err)
	}
	if sha256.Sum256(body) != sum {
		return nil, nil
	}
	return body, nil
}

// largestObject is more than any object of ours has: FORMAT.md §9, and its sealing.
const largestObject = 65 << 20

// passing keeps the errors after which it is worth to try again. What a store refuses
// to give of its versions is no source, as if it kept none.
func passing(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, store.ErrUnavailable) {
		return err
	}
	return nil
}

// bringBackCommit is bringBack for a commit of which the SHA-256 may not be known. Who
// reads it verifies its signature.
func (w *Worker) bringBackCommit(ctx context.Context, name string) (how string, err error) {
	if strings.HasSuffix(name, ".age") {
		return w.bringBack(ctx, name)
	}
	v, ok := store.AbleTo[store.Versioned](w.o.Store)
	if !ok {
		return "", nil
	}
	for all, err := range v.Versions(ctx, name+"-") {
		if err != nil {
			return "", passing(ctx, err)
		}
		if !all[0].Gone {
			continue // it is there, and was not taken for what is missing
		}
		if how, err = w.bringBack(ctx, all[0].Key); err != nil || how != "" {
			return how, err
		}
	}
	return "", nil
}
