package repo

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/tunesafe/tunesafe/internal/store"
)

// Retirement is the root key's word that a device belongs to the repository no
// longer. Its commits up to Last stay; those after are refused.
type Retirement struct {
	Last Head // zero: it made none
	Time time.Time
}

// retirement is devices/<device>-retired.age.
type retirement struct {
	Device string `json:"device"`
	Seq    uint64 `json:"seq"`
	SHA    string `json:"sha256"`
	Time   string `json:"retired"`
	Sig    string `json:"sig"`
}

// signed is what the root key signs.
func (r *retirement) signed() []byte {
	return fmt.Appendf(nil, "tunesafe retire 1 %s %d %s %s\n", r.Device, r.Seq, r.SHA, r.Time)
}

func retiredName(device string) string { return "devices/" + device + "-retired.age" }

// parseRetiredName is the inverse of retiredName.
func parseRetiredName(name string) (device string, ok bool) {
	device, ok = strings.CutSuffix(path.Base(name), "-retired.age")
	return device, ok && isHex(device, 16) && name == retiredName(device)
}

// retiredMark is the same object once more, in the log, where the device looks
// before each commit it makes.
func retiredMark(device string) string { return logPrefix(device) + "retired.age" }

func isRetiredMark(name string) bool {
	f := strings.Split(name, "/")
	return len(f) == 3 && isHex(f[1], 16) && name == retiredMark(f[1])
}

// Retire says of the device in cert that it belongs to the repository no longer,
// as of its newest commit in the bucket. Of one retired before it repeats what
// was said. The thief of a device still reads what he could read, with the keys
// in it, until [BeginEpoch].
func Retire(ctx context.Context, st store.Store, k *Keys, root ed25519.PrivateKey, cert Certificate) (*Retirement, error) {
	if err := k.checkRoot(root); err != nil {
		return nil, err
	}
	if cert.Retired != nil {
		return cert.Retired, copyMark(ctx, st, cert.Device)
	}
	said := &Retirement{Time: time.Now().UTC().Truncate(time.Second)}
	infos, err := listWhole(ctx, st, k, cert)
	if err != nil {
		return nil, err
	}
	if n := len(infos); n > 0 {
		if _, said.Last, err = parseCommitName(infos[n-1].Key); err != nil {
			return nil, err
		}
	}
	r := retirement{Device: cert.Device, Seq: said.Last.Seq, SHA: said.Last.SHA, Time: said.Time.Format(time.RFC3339)}
	r.Sig = b64.EncodeToString(ed25519.Sign(root, r.signed()))
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	if err := putSealed(ctx, st, retiredName(cert.Device), append(text, '\n'), k.ring.Load().recipient); err != nil {
		return nil, err
	}
	return said, copyMark(ctx, st, cert.Device)
}

func copyMark(ctx context.Context, st store.Store, device string) error {
	body, err := getAll(ctx, st, retiredName(device), maxSmall)
	if err != nil {
		return err
	}
	return st.Put(ctx, retiredMark(device), body)
}

// getRetirement reads and verifies what was said of a device: from its place,
// or, should that be damaged, from the log.
func getRetirement(ctx context.Context, st store.Store, k *Keys, device string) (*Retirement, error) {
	said, err := openRetirement(ctx, st, k, device, retiredName(device))
	if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrSignature) {
		if again, err := openRetirement(ctx, st, k, device, retiredMark(device)); err == nil {
			return again, nil
		}
	}
	return said, err
}

func openRetirement(ctx context.Context, st store.Store, k *Keys, device, name string) (*Retirement, error) {
	text, err := getSealed(ctx, st, name, k.ring.Load().identities...)
	if errors.Is(err, ErrWrongKey) {
		return nil, fmt.Errorf("%s: %w: sealed to another repository's key", name, ErrCorrupt)
	}
	if err != nil {
		return nil, err
	}
	return k.parseRetirement(name, device, text)
}

func (k *Keys) parseRetirement(name, device string, text []byte) (*Retirement, error) {
	var r retirement
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, ErrCorrupt, err)
	}
	sig, err1 := b64.DecodeString(r.Sig)
	at, err2 := time.Parse(time.RFC3339, r.Time)
	switch {
	case err1 != nil, err2 != nil, r.Device != device, (r.Seq == 0) != (r.SHA == ""):
		return nil, fmt.Errorf("%s: %w: malformed", name, ErrCorrupt)
	case !ed25519.Verify(k.root, r.signed(), sig):
		return nil, fmt.Errorf("%s: %w: not the root key's signature", name, ErrSignature)
	}
	return &Retirement{Head{r.Seq, r.SHA}, at}, nil
}

// refuses tells why a commit of the device is not taken: nil if it is.
func (c Certificate) refuses(h Head) error {
	if c.Retired == nil || h.Seq < c.Retired.Last.Seq || h == c.Retired.Last {
		return nil
	}
	return fmt.Errorf("%w at its commit %d: this one is refused", ErrRetired, c.Retired.Last.Seq)
}
