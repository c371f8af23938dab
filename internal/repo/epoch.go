package repo

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"golang.org/x/crypto/ssh"

	"github.com/tunesafe/tunesafe/internal/store"
)

// A key epoch is an age identity to which objects are sealed from some moment
// on, so that who lost the right to read keeps what he could read before and
// gets nothing new. All epochs stay in the keys: what was sealed is never
// sealed again. The root key signs each but the first, or whoever knows the
// keys could begin one of his own and have everybody seal to it.

// ring is what grows when an epoch begins.
type ring struct {
	secrets    []string // the identities as text, oldest first
	sigs       [][]byte // of all but the first
	identities []age.Identity
	recipient  *age.X25519Recipient // of the newest
}

// newRing holds the epochs to the root key's word.
func (k *Keys) newRing(secrets []string, sigs [][]byte) (*ring, error) {
	r := &ring{secrets: secrets, sigs: sigs}
	for i, s := range secrets {
		identity, err := age.ParseX25519Identity(s)
		if err != nil {
			return nil, errors.New("repository keys: malformed identity")
		}
		r.identities = append(r.identities, identity)
		r.recipient = identity.Recipient()
		if i > 0 && !ed25519.Verify(k.root, k.signedEpoch(i+1, r.recipient), sigs[i-1]) {
			return nil, fmt.Errorf("repository keys: epoch %d: not the root key's signature", i+1)
		}
	}
	return r, nil
}

// signedEpoch is what the root key signs when an epoch begins.
func (k *Keys) signedEpoch(epoch int, to *age.X25519Recipient) []byte {
	return fmt.Appendf(nil, "tunesafe epoch 1 %s %d %s\n", k.id, epoch, to)
}

// nextEpoch gives keys with one more epoch.
func (k *Keys) nextEpoch(root ed25519.PrivateKey) (*Keys, error) {
	if err := k.checkRoot(root); err != nil {
		return nil, err
	}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, err
	}
	r := k.ring.Load()
	sig := ed25519.Sign(root, k.signedEpoch(len(r.secrets)+1, identity.Recipient()))
	return newKeys(k.id, k.hashKey[:], k.root, append(slices.Clone(r.secrets), identity.String()), append(slices.Clone(r.sigs), sig))
}

func (k *Keys) checkRoot(root ed25519.PrivateKey) error {
	if len(root) != ed25519.PrivateKeySize || !k.root.Equal(root.Public()) {
		return fmt.Errorf("not the root key of this repository: %w", ErrWrongKey)
	}
	return nil
}

// Adopt takes over the epochs that newer has and k lacks, and tells whether
// there are any. What k has sealed and opened before stays as it is. Keys of
// another repository, or that lack an epoch of k, are [ErrCorrupt].
func (k *Keys) Adopt(newer *Keys) (bool, error) {
	r, n := k.ring.Load(), newer.ring.Load()
	if k.id != newer.id || k.hashKey != newer.hashKey || !k.root.Equal(newer.root) {
		return false, fmt.Errorf("keys of another repository: %w", ErrCorrupt)
	}
	shared := min(len(r.secrets), len(n.secrets))
	if !slices.Equal(r.secrets[:shared], n.secrets[:shared]) {
		return false, fmt.Errorf("keys of another line of epochs: %w", ErrCorrupt)
	}
	if shared == len(n.secrets) {
		return false, nil
	}
	k.ring.Store(n)
	return true, nil
}

// taker is for whom keys take new epochs.
type taker struct {
	device *Device
	keep   func() error
}

// TakeFor has [Devices] take the epochs that were begun for d, and call keep, which
// may be nil, when it took one: the keys of the home are others then.
func (k *Keys) TakeFor(d *Device, keep func() error) {
	k.taker.Store(&taker{d, keep})
}

// take takes the newest of the epochs begun, by device, if it is news.
func (k *Keys) take(ctx context.Context, st store.Store, epochs map[string]int) error {
	t := k.taker.Load()
	if t == nil || epochs[t.device.ID] <= k.Epoch() {
		return nil
	}
	if err := k.takeEpoch(ctx, st, t.device, epochs[t.device.ID]); err != nil {
		return err
	}
	if t.keep == nil {
		return nil
	}
	return t.keep()
}

// epochName is the object with the keys up to an epoch, for a device.
func epochName(device string, epoch int) string {
	return fmt.Sprintf("devices/%s-%08d.age", device, epoch)
}

// parseEpochName is the inverse of epochName.
func parseEpochName(name string) (device string, epoch int, ok bool) {
	device, number, _ := strings.Cut(strings.TrimSuffix(path.Base(name), ".age"), "-")
	epoch, err := strconv.Atoi(number)
	return device, epoch, err == nil && isHex(device, 16) && name == epochName(device, epoch)
}

// IsEpochFile tells whether an object of devices/ holds the keys up to an epoch.
func IsEpochFile(name string) bool {
	_, _, ok := parseEpochName(name)
	return ok
}

// epochMark is the same object once more, in the log, where the device looks before
// each commit it makes.
func epochMark(device string, epoch int) string {
	return fmt.Sprintf("%sepoch-%08d.age", logPrefix(device), epoch)
}

// parseEpochMark is the inverse of epochMark.
func parseEpochMark(name string) (device string, epoch int, ok bool) {
	f := strings.Split(name, "/")
	if len(f) != 3 {
		return "", 0, false
	}
	epoch, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(f[2], "epoch-"), ".age"))
	return f[1], epoch, err == nil && isHex(f[1], 16) && name == epochMark(f[1], epoch)
}

// BeginEpoch begins a key epoch: objects are sealed from now on so that only
// those read them who have the new keys, which are the keys listed by
// [ListKeys], the devices in certs that are not retired, and whoever calls. It
// returns the new keys. A device that is running finds them with its next commit.
//
// The keys come first and the devices last, so that nothing is sealed yet with
// an epoch that some key lacks, wherever this is cut short; it is then begun
// again.
func BeginEpoch(ctx context.Context, st store.Store, k *Keys, root ed25519.PrivateKey, certs map[string]Certificate) (*Keys, error) {
	infos, _, err := ListKeys(ctx, st, k)
	if err != nil {
		return nil, err
	}
	next, err := k.nextEpoch(root)
	if err != nil {
		return nil, err
	}
	text, err := next.MarshalText()
	if err != nil {
		return nil, err
	}
	for _, info := range infos {
		if info.Recipient == nil {
			continue
		}
		if err := putSealed(ctx, st, keyFile(info.Name), text, info.Recipient); err != nil {
			return nil, err
		}
	}
	for id, cert := range certs {
		if cert.Retired != nil {
			continue
		}
		to, err := deviceRecipient(cert.Key)
		if err != nil {
			return nil, err
		}
		if err := putSealed(ctx, st, epochName(id, next.Epoch()), text, to, epochMark(id, next.Epoch())); err != nil {
			return nil, err
		}
	}
	return next, nil
}

// deviceRecipient seals to a device by the key with which it signs, as age does
// for keys of OpenSSH.
func deviceRecipient(key ed25519.PublicKey) (age.Recipient, error) {
	public, err := ssh.NewPublicKey(key)
	if err != nil {
		return nil, err
	}
	return agessh.NewEd25519Recipient(public)
}

// takeEpoch adopts the keys up to an epoch that were sealed to d.
func (k *Keys) takeEpoch(ctx context.Context, st store.Store, d *Device, epoch int) error {
	name := epochName(d.ID, epoch)
	identity, err := agessh.NewEd25519Identity(d.Key)
	if err != nil {
		return err
	}
	text, err := getSealed(ctx, st, name, identity)
	if errors.Is(err, ErrCorrupt) {
		text, err = getSealed(ctx, st, epochMark(d.ID, epoch), identity)
	}
	if errors.Is(err, ErrWrongKey) {
		return fmt.Errorf("%s: %w: not sealed to this device", name, ErrCorrupt)
	}
	if err != nil {
		return err
	}
	newer, err := ParseKeys(bytes.TrimSpace(text))
	if err != nil {
		return fmt.Errorf("%s: %w: %w", name, ErrCorrupt, err)
	}
	if _, err := k.Adopt(newer); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
