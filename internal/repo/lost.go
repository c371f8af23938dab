package repo

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/tunesafe/tunesafe/internal/store"
)

// lostCommits are commits that are known as lost, by device and number; the SHA-256
// is empty where nobody knows it.
type lostCommits map[string]map[uint64]string

// loseCommits takes names as [Commit].Lost has them.
func loseCommits(names ...string) lostCommits {
	l := lostCommits{}
	for _, name := range names {
		device, h, err := ParseLost(name)
		if err != nil {
			continue
		}
		if l[device] == nil {
			l[device] = map[uint64]string{}
		}
		if l[device][h.Seq] == "" {
			l[device][h.Seq] = h.SHA
		}
	}
	return l
}

// has tells whether a commit is known as lost.
func (l lostCommits) has(device string, h Head) bool {
	sha, ok := l[device][h.Seq]
	return ok && (sha == "" || sha == h.SHA)
}

// all tells whether every number from first up to, but not, end is known as lost.
func (l lostCommits) all(device string, first, end uint64) bool {
	for seq := first; seq < end; seq++ {
		if _, ok := l[device][seq]; !ok {
			return false
		}
	}
	return true
}

// passes tells whether c comes next behind last where what is between the two is
// known as lost: c names the SHA-256 of the last of those.
func (l lostCommits) passes(last Head, c *Commit) bool {
	if c.Seq <= last.Seq+1 || !l.all(c.Device, last.Seq+1, c.Seq) {
		return false
	}
	sha := l[c.Device][c.Seq-1]
	return sha == "" || sha == c.Prev
}

// IsLogFault tells a fault of the log from one of the way to it.
func IsLogFault(err error) bool {
	for _, fault := range []error{ErrChain, ErrMissing, ErrCorrupt, ErrSignature} {
		if errors.Is(err, fault) {
			return true
		}
	}
	return false
}

// LostCommits lists the commits of which others say that they are lost. It reads the
// whole log.
func LostCommits(ctx context.Context, st store.Store, k *Keys) (names []string, err error) {
	certs, _, err := Devices(ctx, st, k)
	if err != nil {
		return nil, err
	}
	s, err := SurveyLog(ctx, st, k, certs, nil, func(*Commit) {})
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(s.Noted)), nil
}

// listWhole lists all commits of a device that count, but for those that are not there
// and that the log says are lost.
func listWhole(ctx context.Context, st store.Store, k *Keys, cert Certificate) ([]store.Info, error) {
	infos, _, err := listLog(ctx, st, cert.Device, Head{}, cert.Retired, nil)
	if !errors.Is(err, ErrChain) {
		return infos, err
	}
	noted, failed := LostCommits(ctx, st, k)
	if failed != nil || len(noted) == 0 {
		return nil, cmp.Or(failed, err)
	}
	infos, _, err = listLog(ctx, st, cert.Device, Head{}, cert.Retired, loseCommits(noted...))
	return infos, err
}
