package repo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tunesafe/tunesafe/internal/store"
)

// askedAlone is how many findings are looked up one by one among the versions of the
// bucket; for more all of them are listed.
const askedAlone = 50

// explainVersions says of what is missing or changed in a bucket that keeps versions
// how that came about, and whether what was there still is. That it cannot be told, as
// the credentials may not list versions, is no finding.
func (c *checker) explainVersions(ctx context.Context) error {
	v, ok := store.AbleTo[store.Versioned](c.st)
	if !ok {
		return nil
	}
	of := map[string][]int{}
	for i, f := range c.findings {
		if f.Object != "" && !f.Harmless && (errors.Is(f.Err, ErrMissing) || errors.Is(f.Err, ErrCorrupt) || f.Kind == KindRolledBack) {
			of[f.Object] = append(of[f.Object], i)
		}
	}
	prefixes := []string{""}
	if len(of) <= askedAlone {
		prefixes = prefixes[:0]
		for name := range of {
			prefixes = append(prefixes, name)
		}
	}
	for _, prefix := range prefixes {
		for all, err := range v.Versions(ctx, prefix) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				return nil
			}
			for _, i := range of[all[0].Key] {
				c.findings[i].Problem += c.hiddenBelow(all)
			}
		}
	}
	return nil
}

// hiddenBelow says what hides the older versions of an object.
func (c *checker) hiddenBelow(all []store.Version) string {
	what, below := "overwritten", (*store.Version)(nil)
	if all[0].Gone {
		what = "hidden by a delete marker"
	}
	for i := range all[1:] {
		older := &all[1+i]
		if o := c.objects[older.Key]; older.Gone || o != nil && o.row.Size != older.Size {
			continue
		}
		below = older
		break
	}
	at := all[0].Time.UTC().Format(time.RFC3339)
	switch {
	case below == nil && all[0].Gone:
		return fmt.Sprintf("; it was %s at %s, and no version of it is left below", what, at)
	case below == nil:
		return ""
	}
	return fmt.Sprintf("; it was %s at %s, and the version of %s is still below: tunesafe repair --bucket brings it back", what, at, below.Time.UTC().Format(time.RFC3339))
}
