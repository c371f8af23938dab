package repo

import (
	"context"

	"github.com/tunesafe/tunesafe/internal/store"
)

// LockOf tells how the devices of the repository lock what they write, as the newest
// commits say that do; the zero Lock if none does. Commits that cannot be read are
// passed over.
func LockOf(ctx context.Context, st store.Store, k *Keys) (l Lock, err error) {
	certs, _, err := Devices(ctx, st, k)
	if err != nil {
		return l, err
	}
	var newest *Commit
	for device, cert := range certs {
		name := ""
		for info, err := range st.List(ctx, logPrefix(device), "") {
			if err != nil {
				return l, err
			}
			if _, h, err := parseCommitName(info.Key); err == nil && cert.refuses(h) == nil {
				name = info.Key
			}
		}
		if name == "" {
			continue
		}
		c, err := getCommit(ctx, st, k, certs, name)
		if err == nil && c.Lock.Days > 0 && (newest == nil || c.Time.After(newest.Time)) {
			newest = c
		}
		if ctx.Err() != nil {
			return l, ctx.Err()
		}
	}
	if newest == nil {
		return l, nil
	}
	return newest.Lock, nil
}
