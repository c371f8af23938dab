package main

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"filippo.io/age"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/store"
)

// keyring says who may write to the repository of a home, and who can open it: for the
// commands over a drive that they open for it, for the page and the programs beside it
// over that of the owner.
type keyring struct{ *drive }

var _ control.Keeping = keyring{}

// secretOf is what somebody typed; without anything the home's own recovery key.
func (k keyring) secretOf(u control.Unlock) (*secret, error) {
	switch {
	case u.RecoveryKey != "" && u.Passphrase != "":
		return nil, misuse("a recovery key and a passphrase exclude each other")
	case u.RecoveryKey != "":
		key, err := repo.ParseRecoveryKey(strings.TrimSpace(u.RecoveryKey))
		if err != nil {
			return nil, fmt.Errorf("what was given as recovery key: %w", repo.ErrWrongKey)
		}
		return &secret{identity: key}, nil
	case u.Passphrase != "":
		return &secret{passphrase: u.Passphrase}, nil
	}
	key, err := k.home.RecoveryKey()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", k.home, errNoRecoveryKey)
	}
	return &secret{identity: key}, err
}

// unlocked tells whether the home holds the recovery key.
func (k keyring) unlocked() bool {
	_, err := k.home.RecoveryKey()
	return err == nil
}

// rootBy opens the keys and the root with a key that must be of this repository and
// open both.
func (d *drive) rootBy(ctx context.Context, st store.Store, key age.Identity) (*repo.Keys, ed25519.PrivateKey, error) {
	k, root, err := repo.Unlock(ctx, st, key)
	switch {
	case err != nil:
		return nil, nil, err
	case k.RepoID() != d.keys.RepoID():
		return nil, nil, repo.ErrWrongKey
	case root == nil:
		return nil, nil, errNoRoot
	}
	return k, root, nil
}

// root opens the root with what a person has. The keys of the drive have what the
// bucket's have, then.
func (k keyring) root(ctx context.Context, s *secret) (ed25519.PrivateKey, error) {
	key, err := s.key(ctx, k.store)
	if err != nil {
		return nil, err
	}
	keys, root, err := k.rootBy(ctx, k.store, key)
	if err != nil {
		return nil, err
	}
	if _, err := k.keys.Adopt(keys); err != nil {
		return nil, err
	}
	if x, ok := key.(*age.X25519Identity); ok {
		err = repo.RecordRecovery(ctx, k.store, k.keys, root, x)
	}
	return root, err
}

// faultsOf words what is not valid.
func faultsOf(bad []error) (faults []control.Fault) {
	for _, err := range bad {
		faults = append(faults, *explain(err))
	}
	return faults
}

// Devices implements [control.Keeping].
func (k keyring) Devices(ctx context.Context) (control.DevicesReport, error) {
	report := control.DevicesReport{Devices: []control.Device{}, Unlocked: k.unlocked()}
	certs, bad, err := repo.Devices(ctx, k.store, k.keys)
	if err != nil {
		return report, err
	}
	report.Problems = faultsOf(bad)
	for _, c := range byName(certs) {
		d, err := k.machine(ctx, c)
		if err != nil {
			return report, err
		}
		report.Devices = append(report.Devices, d)
	}
	return report, nil
}

// machine describes a device.
func (k keyring) machine(ctx context.Context, c repo.Certificate) (control.Device, error) {
	d := control.Device{ID: c.Device, Name: c.Name, This: c.Device == k.device.ID, Enrolled: c.Enrolled}
	at, err := repo.LastCommit(ctx, k.store, c.Device)
	if err != nil {
		return d, err
	}
	if !at.IsZero() {
		d.LastCommit = &at
	}
	if c.Retired != nil {
		d.Retired, d.Last = &c.Retired.Time, c.Retired.Last.Seq
	}
	refused, err := repo.Refused(ctx, k.store, c)
	d.Refused = int64(len(refused))
	return d, err
}

func byName(certs map[string]repo.Certificate) (list []repo.Certificate) {
	for _, c := range certs {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b repo.Certificate) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Device, b.Device))
	})
	return list
}

// named finds the device of that id, or the only one of that name.
func named(certs map[string]repo.Certificate, name string) (found repo.Certificate, err error) {
	if c, ok := certs[name]; ok {
		return c, nil
	}
	for _, c := range certs {
		if c.Name != name {
			continue
		}
		if found.Device != "" {
			return found, fmt.Errorf("%s: %w", name, errManyDevices)
		}
		found = c
	}
	if found.Device == "" {
		return found, fmt.Errorf("%s: %w", name, errNoDevice)
	}
	return found, nil
}

// Retire implements [control.Keeping].
func (k keyring) Retire(ctx context.Context, r control.RetireRequest) (control.RetireReport, error) {
	return k.retire(ctx, r.Device, func() (*secret, error) { return k.secretOf(r.Unlock) })
}

// retire asks for the secret once it is known that it is needed.
func (k keyring) retire(ctx context.Context, name string, open func() (*secret, error)) (report control.RetireReport, err error) {
	certs, _, err := repo.Devices(ctx, k.store, k.keys)
	if err != nil {
		return report, err
	}
	c, err := named(certs, name)
	if err != nil {
		return report, err
	}
	if c.Device == k.device.ID {
		return report, fmt.Errorf("%s: %w", name, errOwnDevice)
	}
	s, err := open()
	if err != nil {
		return report, err
	}
	root, err := k.root(ctx, s)
	if err != nil {
		return report, err
	}
	if c.Retired, err = repo.Retire(ctx, k.store, k.keys, root, c); err != nil {
		return report, err
	}
	certs[c.Device] = c
	if report.Device, err = k.machine(ctx, c); err != nil {
		return report, err
	}
	report.Epoch, err = k.beginEpoch(ctx, root, certs)
	return report, err
}

// NewEpoch implements [control.Keeping].
func (k keyring) NewEpoch(ctx context.Context, u control.Unlock) (control.EpochReport, error) {
	s, err := k.secretOf(u)
	if err != nil {
		return control.EpochReport{}, err
	}
	return k.newEpoch(ctx, s)
}

func (k keyring) newEpoch(ctx context.Context, s *secret) (control.EpochReport, error) {
	root, err := k.root(ctx, s)
	if err != nil {
		return control.EpochReport{}, err
	}
	certs, _, err := repo.Devices(ctx, k.store, k.keys)
	if err != nil {
		return control.EpochReport{}, err
	}
	return k.beginEpoch(ctx, root, certs)
}

// beginEpoch begins a key epoch and says for whom.
func (k keyring) beginEpoch(ctx context.Context, root ed25519.PrivateKey, certs map[string]repo.Certificate) (report control.EpochReport, err error) {
	infos, _, err := repo.ListKeys(ctx, k.store, k.keys)
	if err != nil {
		return report, err
	}
	next, err := repo.BeginEpoch(ctx, k.store, k.keys, root, certs)
	if err != nil {
		return report, err
	}
	if _, err := k.keys.Adopt(next); err != nil {
		return report, err
	}
	if err := k.home.SetKeys(k.keys); err != nil {
		return report, err
	}
	report.Epoch = next.Epoch()
	for _, i := range infos {
		if i.Recipient == nil {
			report.Closed = append(report.Closed, i.Name)
		} else {
			report.Keys = append(report.Keys, i.Name)
		}
	}
	for _, c := range byName(certs) {
		if c.Retired == nil {
			report.Devices = append(report.Devices, oneLine(c.Name))
		}
	}
	return report, nil
}

// Keys implements [control.Keeping].
func (k keyring) Keys(ctx context.Context) (control.KeysReport, error) {
	report := control.KeysReport{Keys: []control.Key{}, Unlocked: k.unlocked()}
	infos, bad, err := repo.ListKeys(ctx, k.store, k.keys)
	if err != nil {
		return report, err
	}
	c, err := k.home.Config()
	if err != nil {
		return report, err
	}
	report.Problems = faultsOf(bad)
	for _, i := range infos {
		key := keyOf(i)
		key.ThisHome = c.OpenedBy == i.Name
		report.Keys = append(report.Keys, key)
	}
	return report, nil
}

func keyOf(i repo.KeyInfo) control.Key {
	key := control.Key{Name: i.Name, Kind: control.KeyIdentity, Opens: control.OpensAll}
	if i.Passphrase {
		key.Kind = control.KeyPassphrase
	}
	if i.ReadOnly {
		key.Opens = control.OpensData
	}
	if i.Recipient == nil {
		key.Opens = control.OpensUnknown
		return key
	}
	key.Added, key.Recipient = &i.Added, i.Recipient.String()
	return key
}

// keyNamed gives the name under which a key is in the repository; empty if no record
// tells.
func keyNamed(ctx context.Context, st store.Store, k *repo.Keys, key age.Identity) string {
	x, ok := key.(*age.X25519Identity)
	if !ok {
		return ""
	}
	infos, _, err := repo.ListKeys(ctx, st, k)
	if err != nil {
		return "" // it goes without
	}
	for _, i := range infos {
		if i.Recipient != nil && i.Recipient.String() == x.Recipient().String() {
			return i.Name
		}
	}
	return ""
}

// AddKey implements [control.Keeping].
func (k keyring) AddKey(ctx context.Context, r control.AddKeyRequest) error {
	s, err := k.secretOf(r.Unlock)
	if err != nil {
		return err
	}
	return k.addKey(ctx, r, s)
}

func (k keyring) addKey(ctx context.Context, r control.AddKeyRequest, s *secret) error {
	info := repo.KeyInfo{Name: r.Name, ReadOnly: r.ReadOnly}
	if (r.Passphrase == "") == (r.Recipient == "") {
		return misuse("either a passphrase or a recipient of age, age1…, is needed")
	}
	if r.Recipient != "" {
		to, err := age.ParseX25519Recipient(strings.TrimSpace(r.Recipient))
		if err != nil {
			return misuse("%q is not of the form age1…", r.Recipient)
		}
		info.Recipient = to
	} else if err := longEnough(r.Passphrase, errShortPassphrase); err != nil {
		return err
	}
	root, err := k.root(ctx, s)
	if err != nil {
		return err
	}
	return repo.AddKey(ctx, k.store, k.keys, root, info, r.Passphrase)
}

// longEnough refuses a secret that can be guessed at leisure.
func longEnough(text string, short error) error {
	if utf8.RuneCountInString(text) < leastPassphrase {
		return fmt.Errorf("%w: fewer than %d characters", short, leastPassphrase)
	}
	return nil
}

// RemoveKey implements [control.Keeping].
func (k keyring) RemoveKey(ctx context.Context, r control.RemoveKeyRequest) error {
	s, err := k.secretOf(r.Unlock)
	if err != nil {
		return err
	}
	return k.removeKey(ctx, r.Name, s)
}

func (k keyring) removeKey(ctx context.Context, name string, s *secret) error {
	if _, err := k.root(ctx, s); err != nil {
		return err
	}
	return repo.RemoveKey(ctx, k.store, k.keys, name)
}

// lastSeen words the newest commit of a device.
func lastSeen(d control.Device) string {
	text := "none"
	if d.LastCommit != nil {
		text = d.LastCommit.Local().Format(time.DateTime)
	}
	if d.This {
		text += "   this home"
	}
	if d.Retired != nil {
		text += fmt.Sprintf("   retired on %s at commit %d", d.Retired.Local().Format(time.DateOnly), d.Last)
	}
	if d.Refused > 0 {
		text += fmt.Sprintf(", %s since refused", count(d.Refused, "commit"))
	}
	return text
}
