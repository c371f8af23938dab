package repo

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sort"
	"time"

	"github.com/tunesafe/tunesafe/internal/store"
)

// AtHead tells whether heads are the newest commits of all devices: by a listing, and
// one more and the certificate for each device. Of a log that is not in order, or one that
// lacks what heads has, it is not true.
func AtHead(ctx context.Context, st store.Store, k *Keys, heads map[string]Head, lost ...string) (bool, error) {
	certs, bad, err := Devices(ctx, st, k)
	if err != nil || len(bad) > 0 {
		return false, err
	}
	for device := range heads {
		if _, ok := certs[device]; !ok {
			return false, nil
		}
	}
	for device, cert := range certs {
		infos, _, err := listLog(ctx, st, device, heads[device], cert.Retired, loseCommits(lost...))
		if errors.Is(err, ErrChain) || errors.Is(err, ErrFork) || len(infos) > 0 {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// HeadsBefore gives, for each device of certs, its newest commit before the time
// since: where [ReadLog] begins to read what was done from then on. As the times of a
// chain never fall, it reads a few commits of each only. The zero time is the
// beginning.
func HeadsBefore(ctx context.Context, st store.Store, k *Keys, certs map[string]Certificate, since time.Time) (map[string]Head, error) {
	heads := map[string]Head{}
	if since.IsZero() {
		return heads, nil
	}
	for device, cert := range certs {
		infos, err := listWhole(ctx, st, k, cert)
		if err != nil {
			return nil, err
		}
		n := sort.Search(len(infos), func(i int) bool {
			c, failed := firstReadable(ctx, st, k, certs, infos[i:])
			err = cmp.Or(err, failed)
			return c == nil || !c.Time.Before(since)
		})
		if err != nil {
			return nil, err
		}
		if n > 0 {
			_, heads[device], _ = parseCommitName(infos[n-1].Key)
		}
	}
	return heads, nil
}

// firstReadable is the first of the commits that can be read, nil if none can: what is
// wrong with the others is for [ReadLog] to say, or is known.
func firstReadable(ctx context.Context, st store.Store, k *Keys, certs map[string]Certificate, infos []store.Info) (*Commit, error) {
	for _, info := range infos {
		c, err := getCommit(ctx, st, k, certs, info.Key)
		if err == nil || !IsLogFault(err) {
			return c, err
		}
	}
	return nil, nil
}

// Repeats tells the objects that a checkpoint commit puts from those that it
// only names again, as it names all that hold its rows. Commits are given to it in
// their order.
type Repeats struct{ known map[string]bool }

// NewRepeats begins behind heads, as [HeadsBefore] gives them: it knows what the
// newest checkpoint before them named.
func NewRepeats(ctx context.Context, st store.Store, k *Keys, certs map[string]Certificate, heads map[string]Head) (*Repeats, error) {
	r := &Repeats{map[string]bool{}}
	if len(heads) == 0 {
		return r, nil
	}
	var before []string
	for info, err := range st.List(ctx, "checkpoints/", "") {
		if err != nil {
			return nil, err
		}
		if name, err := parseHint(info.Key); err == nil {
			device, h, _ := parseCommitName(name)
			if _, ok := certs[device]; ok && h.Seq <= heads[device].Seq {
				before = append(before, name)
			}
		}
	}
	for _, name := range slices.Backward(before) {
		if c, err := getCommit(ctx, st, k, certs, name); err == nil {
			r.Of(c)
			break
		} else if ctx.Err() != nil {
			return nil, err
		}
	}
	return r, nil
}

// Of gives the objects that c puts for the first time.
func (r *Repeats) Of(c *Commit) []ObjectRow {
	return slices.DeleteFunc(slices.Clone(c.Puts), func(row ObjectRow) bool {
		if row.Kind != Checkpoint {
			return false
		}
		again := r.known[row.Name]
		r.known[row.Name] = true
		return again
	})
}
