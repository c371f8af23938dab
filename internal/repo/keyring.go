package repo

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/tunesafe/tunesafe/internal/crashpoint"
	"github.com/tunesafe/tunesafe/internal/store"
)

// KeyInfo describes a key that opens the repository.
type KeyInfo struct {
	Name       string
	Passphrase bool // its identity lies in the bucket, sealed to a passphrase
	ReadOnly   bool // it opens the data and not the root: it enrols no device
	Added      time.Time

	// Recipient is what the repository's keys are sealed to, also those of
	// epochs to come. It is nil of a key that no record vouches for: nothing is
	// sealed to that again.
	Recipient *age.X25519Recipient
}

// RecoveryName is the name of the key that the repository was made with.
const RecoveryName = "recovery"

// The files of a key: see FORMAT.md §3.
const (
	identityEnd = ".identity.age"
	rootEnd     = ".root.age"
	recordEnd   = ".record.age"
)

func keyFile(name string) string { return "keys/" + name + ".age" }

func rootOf(name string) string {
	if name == RecoveryName {
		return rootFile
	}
	return "keys/" + name + rootEnd
}

// keyName is what a key may be called.
var keyName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,39}$`)

var (
	// ErrKeyName: a key cannot have that name.
	ErrKeyName = errors.New("a key's name has 1 to 40 lower-case letters, digits, - and _, and is not root")
	// ErrKeyExists: there is a key of that name.
	ErrKeyExists = errors.New("there is a key of that name")
	// ErrNoKey: there is no key of that name.
	ErrNoKey = errors.New("there is no key of that name")
	// ErrLastKey: no other key would open all of the repository.
	ErrLastKey = errors.New("no other key opens the repository and its root")
	// ErrPassphrase: no key of the repository has that passphrase.
	ErrPassphrase = errors.New("not the passphrase of a key of this repository")
)

// record is keys/<name>.record.age. It vouches for a key: without the root
// key's word anybody who has the keys could have epochs to come sealed to him.
type record struct {
	Key        string `json:"key"`
	Recipient  string `json:"recipient"`
	Passphrase bool   `json:"passphrase,omitempty"`
	ReadOnly   bool   `json:"read_only,omitempty"`
	Added      string `json:"added"`
	Sig        string `json:"sig"`

	sig []byte
}

// signed is what the root key signs.
func (r *record) signed() []byte {
	return fmt.Appendf(nil, "tunesafe key 1 %s %s %t %t %s\n", r.Key, r.Recipient, r.Passphrase, r.ReadOnly, r.Added)
}

// AddKey lets another key open the repository: info.Recipient's, or, if that is
// nil, a new one that passphrase opens. The record comes last: what is left
// without one is not sealed to again, and may be added again.
func AddKey(ctx context.Context, st store.Store, k *Keys, root ed25519.PrivateKey, info KeyInfo, passphrase string) error {
	if err := k.checkRoot(root); err != nil {
		return err
	}
	if !keyName.MatchString(info.Name) || info.Name == "root" {
		return fmt.Errorf("%q: %w", info.Name, ErrKeyName)
	}
	infos, _, err := ListKeys(ctx, st, k)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(infos, func(i KeyInfo) bool { return i.Name == info.Name && i.Recipient != nil }) {
		return fmt.Errorf("%s: %w", info.Name, ErrKeyExists)
	}
	if info.Recipient == nil {
		info.Passphrase = true
		if info.Recipient, err = newPassphrase(ctx, st, info.Name, passphrase); err != nil {
			return err
		}
	}
	return sealKey(ctx, st, k, root, info)
}

// sealKey writes the files of a key, but for its identity.
func sealKey(ctx context.Context, st store.Store, k *Keys, root ed25519.PrivateKey, info KeyInfo) error {
	if !info.ReadOnly {
		if err := putSealed(ctx, st, rootOf(info.Name), rootText(root), info.Recipient); err != nil {
			return err
		}
	}
	crashpoint.At("init.root")
	text, err := k.MarshalText()
	if err != nil {
		return err
	}
	if err := putSealed(ctx, st, keyFile(info.Name), text, info.Recipient); err != nil {
		return err
	}
	return signKey(ctx, st, k, root, info)
}

// signKey writes the record of a key.
func signKey(ctx context.Context, st store.Store, k *Keys, root ed25519.PrivateKey, info KeyInfo) error {
	r := record{
		Key: info.Name, Recipient: info.Recipient.String(), Passphrase: info.Passphrase, ReadOnly: info.ReadOnly,
		Added: time.Now().UTC().Format(time.RFC3339),
	}
	r.sig = ed25519.Sign(root, r.signed())
	return r.put(ctx, st, k)
}

func (r *record) put(ctx context.Context, st store.Store, k *Keys) error {
	r.Sig = b64.EncodeToString(r.sig)
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return putSealed(ctx, st, "keys/"+r.Key+recordEnd, append(text, '\n'), k.ring.Load().recipient)
}

// RecordRecovery writes the record of the recovery key where it has none, as in
// repositories that were made before there were records.
func RecordRecovery(ctx context.Context, st store.Store, k *Keys, root ed25519.PrivateKey, recovery *age.X25519Identity) error {
	name := "keys/" + RecoveryName + recordEnd
	if _, err := st.Stat(ctx, name); !errors.Is(err, store.ErrNotExist) {
		return err
	}
	if _, err := getSealed(ctx, st, recoveryFile, recovery); err != nil { // another key, perhaps
		return nil
	}
	return signKey(ctx, st, k, root, KeyInfo{Name: RecoveryName, Recipient: recovery.Recipient()})
}

// newPassphrase makes an identity, writes it sealed to a passphrase, and gives
// its recipient.
func newPassphrase(ctx context.Context, st store.Store, name, passphrase string) (*age.X25519Recipient, error) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, err
	}
	return identity.Recipient(), putIdentity(ctx, st, name, passphrase, identity)
}

// A guess at a passphrase costs 2^workFactor·1 KiB of memory and about a second.
// A bucket could ask for any work; no more than twice that much is done.
const (
	workFactor    = 18
	maxWorkFactor = 19
)

func putIdentity(ctx context.Context, st store.Store, name, passphrase string, identity *age.X25519Identity) error {
	to, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return err
	}
	to.SetWorkFactor(workFactor)
	return putSealed(ctx, st, "keys/"+name+identityEnd, []byte(identity.String()+"\n"), to)
}

func getIdentity(ctx context.Context, st store.Store, name, passphrase string) (*age.X25519Identity, error) {
	open, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, err
	}
	open.SetMaxWorkFactor(maxWorkFactor)
	text, err := getSealed(ctx, st, name, open)
	if errors.Is(err, ErrWrongKey) {
		return nil, ErrPassphrase
	}
	if err != nil {
		return nil, err
	}
	identity, err := age.ParseX25519Identity(string(bytes.TrimSpace(text)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w: malformed", name, ErrCorrupt)
	}
	return identity, nil
}

// OpenPassphrase gives the key that has the passphrase, for [Unlock];
// [ErrPassphrase].
func OpenPassphrase(ctx context.Context, st store.Store, passphrase string) (*age.X25519Identity, error) {
	if passphrase == "" {
		return nil, ErrPassphrase
	}
	for info, err := range st.List(ctx, "keys/", "") {
		if err != nil {
			return nil, err
		}
		if !strings.HasSuffix(info.Key, identityEnd) {
			continue
		}
		identity, err := getIdentity(ctx, st, info.Key, passphrase)
		if err == nil || !errors.Is(err, ErrPassphrase) && !errors.Is(err, ErrCorrupt) {
			return identity, err
		}
	}
	return nil, ErrPassphrase
}

// ChangePassphrase seals the identity of the key to another passphrase. Nothing
// else is sealed again.
func ChangePassphrase(ctx context.Context, st store.Store, name, old, passphrase string) error {
	identity, err := getIdentity(ctx, st, "keys/"+name+identityEnd, old)
	if errors.Is(err, store.ErrNotExist) {
		return fmt.Errorf("%s: %w that has a passphrase", name, ErrNoKey)
	}
	if err != nil {
		return err
	}
	return putIdentity(ctx, st, name, passphrase, identity)
}

// ListKeys lists the keys that open the repository, by name, those too of which
// only the record is left. bad are records that are not valid, each named by its
// error.
func ListKeys(ctx context.Context, st store.Store, k *Keys) (infos []KeyInfo, bad []error, err error) {
	byName := map[string]KeyInfo{}
	var records []string
	for info, err := range st.List(ctx, "keys/", "") {
		if err != nil {
			return nil, nil, err
		}
		name, ok := strings.CutSuffix(strings.TrimPrefix(info.Key, "keys/"), ".age")
		if strings.HasSuffix(info.Key, recordEnd) {
			records = append(records, info.Key)
		} else if ok && !strings.Contains(name, ".") && info.Key != rootFile {
			byName[name] = KeyInfo{Name: name}
		}
	}
	for _, name := range records {
		r, err := getRecord(ctx, st, k, name)
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrSignature) {
			return nil, nil, err
		}
		if err != nil {
			bad = append(bad, err)
		} else {
			byName[r.Name] = r
		}
	}
	for _, info := range byName {
		infos = append(infos, info)
	}
	slices.SortFunc(infos, func(a, b KeyInfo) int { return cmp.Compare(a.Name, b.Name) })
	return infos, bad, nil
}

func getRecord(ctx context.Context, st store.Store, k *Keys, name string) (info KeyInfo, err error) {
	r, err := readRecord(ctx, st, k, name)
	if err != nil {
		return info, err
	}
	return k.vouched(name, r)
}

// vouched verifies what a record says.
func (k *Keys) vouched(name string, r record) (info KeyInfo, err error) {
	to, err1 := age.ParseX25519Recipient(r.Recipient)
	added, err2 := time.Parse(time.RFC3339, r.Added)
	switch {
	case err1 != nil, err2 != nil, name != "keys/"+r.Key+recordEnd:
		return info, fmt.Errorf("%s: %w: malformed", name, ErrCorrupt)
	case !ed25519.Verify(k.root, r.signed(), r.sig):
		return info, fmt.Errorf("%s: %w: not the root key's signature", name, ErrSignature)
	}
	return KeyInfo{Name: r.Key, Passphrase: r.Passphrase, ReadOnly: r.ReadOnly, Added: added, Recipient: to}, nil
}

// readRecord opens a record; what it says is not verified yet.
func readRecord(ctx context.Context, st store.Store, k *Keys, name string) (r record, err error) {
	text, err := getSealed(ctx, st, name, k.ring.Load().identities...)
	if errors.Is(err, ErrWrongKey) {
		return r, fmt.Errorf("%s: %w: sealed to another repository's key", name, ErrCorrupt)
	}
	if err != nil {
		return r, err
	}
	return parseRecord(name, text)
}

func parseRecord(name string, text []byte) (r record, err error) {
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("%s: %w: %w", name, ErrCorrupt, err)
	}
	r.sig, err = b64.DecodeString(r.Sig)
	if err != nil {
		return r, fmt.Errorf("%s: %w: %w", name, ErrCorrupt, err)
	}
	return r, nil
}

// RemoveKey takes the key away from the bucket. What it opened before it may
// still open, from a copy or an old version of its file: only an epoch begun
// afterwards is closed to it. What [ListKeys] goes by goes last, so that a removal
// that was cut short is still listed.
func RemoveKey(ctx context.Context, st store.Store, k *Keys, name string) error {
	infos, _, err := ListKeys(ctx, st, k)
	if err != nil {
		return err
	}
	there, left := false, false
	for _, i := range infos {
		there = there || i.Name == name
		left = left || i.Name != name && !i.ReadOnly && (i.Recipient != nil || i.Name == RecoveryName)
	}
	switch {
	case !there:
		return fmt.Errorf("%s: %w", name, ErrNoKey)
	case !left:
		return fmt.Errorf("%s: %w", name, ErrLastKey)
	}
	for _, file := range []string{rootOf(name), "keys/" + name + identityEnd, "keys/" + name + recordEnd, keyFile(name)} {
		if err := remove(ctx, st, file); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// remove deletes an object, or has it seen no more where the bucket keeps it.
func remove(ctx context.Context, st store.Store, name string) error {
	err := st.Delete(ctx, name)
	if errors.Is(err, store.ErrKept) {
		return nil
	}
	if v, ok := store.AbleTo[store.Versioned](st); ok && errors.Is(err, store.ErrLocked) {
		return v.Hide(ctx, name)
	}
	return err
}

// neededFile is an object below keys/, and what its loss means.
type neededFile struct{ name, says string }

// keyFiles lists what the keys must have in the bucket. Those of the recovery key
// are needed for as long as no other key does what it does.
func keyFiles(infos []KeyInfo) (files []neededFile) {
	full := false
	for _, i := range infos {
		if i.Name == RecoveryName || i.Recipient == nil {
			continue
		}
		full = full || !i.ReadOnly
		says := "the key " + i.Name + " opens nothing without it"
		files = append(files, neededFile{keyFile(i.Name), says})
		if !i.ReadOnly {
			files = append(files, neededFile{rootOf(i.Name), says})
		}
		if i.Passphrase {
			files = append(files, neededFile{"keys/" + i.Name + identityEnd, says})
		}
	}
	if !full || slices.ContainsFunc(infos, func(i KeyInfo) bool { return i.Name == RecoveryName }) {
		const says = "the recovery key opens nothing without it"
		files = append(files, neededFile{recoveryFile, says}, neededFile{rootFile, says})
	}
	return files
}
