package repo

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/tunesafe/tunesafe/internal/crashpoint"
	"github.com/tunesafe/tunesafe/internal/store"
)

// Format is the number of the newest repository format this package knows.
const Format = 1

//go:embed readme.txt
var readme []byte

const (
	repoFile     = "repo.json"
	recoveryFile = "keys/recovery.age"
	rootFile     = "keys/root.age"
	rootTitle    = "root-key: "
)

// description is repo.json.
type description struct {
	Format  int    `json:"format"`
	ID      string `json:"id"`
	Created string `json:"created"`
}

// Exists tells whether a repository lies in the store. Keys alone, left by a
// creation that was cut short, are none; a log or devices without repo.json are
// one, damaged.
func Exists(ctx context.Context, st store.Store) (bool, error) {
	for _, prefix := range []string{repoFile, "log/", "devices/"} {
		for _, err := range st.List(ctx, prefix, "") {
			return err == nil, err
		}
	}
	return false, nil
}

// Create makes a repository that recovery opens, and returns its keys and its
// root signing key, which enrols devices and is then best forgotten. repo.json
// is written last: without it there is no repository.
func Create(ctx context.Context, st store.Store, recovery *age.X25519Identity) (*Keys, ed25519.PrivateKey, error) {
	if there, err := Exists(ctx, st); err != nil {
		return nil, nil, err
	} else if there {
		return nil, nil, ErrExists
	}
	k, root, err := makeKeys()
	if err != nil {
		return nil, nil, err
	}
	about, err := json.Marshal(description{Format, k.id, time.Now().UTC().Format(time.RFC3339)})
	if err != nil {
		return nil, nil, err
	}
	if err := sealKey(ctx, st, k, root, KeyInfo{Name: RecoveryName, Recipient: recovery.Recipient()}); err != nil {
		return nil, nil, err
	}
	if err := st.Put(ctx, readmeFile, readme); err != nil {
		return nil, nil, err
	}
	crashpoint.At("init.keys")
	if err := st.Put(ctx, repoFile, append(about, '\n')); err != nil {
		return nil, nil, err
	}
	return k, root, nil
}

// rootText is what rootFile holds.
func rootText(root ed25519.PrivateKey) []byte {
	return []byte(rootTitle + b64.EncodeToString(root.Seed()) + "\n")
}

func makeKeys() (*Keys, ed25519.PrivateKey, error) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, nil, err
	}
	public, root, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, nil, err
	}
	var random [48]byte
	rand.Read(random[:])
	k, err := newKeys(hex.EncodeToString(random[:16]), random[16:], public, []string{identity.String()}, nil)
	return k, root, err
}

// Unlock opens the repository's keys by the recovery key, or by any identity
// that one of keys/ is sealed to; that of a passphrase is given by
// [OpenPassphrase]. The root key is nil where the key given opens the data alone.
func Unlock(ctx context.Context, st store.Store, recovery age.Identity) (*Keys, ed25519.PrivateKey, error) {
	about, _, err := describe(ctx, st)
	if err != nil {
		return nil, nil, err
	}
	text, name, err := openKeys(ctx, st, recovery)
	if err != nil {
		return nil, nil, err
	}
	k, err := ParseKeys(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w: %w", name, ErrCorrupt, err)
	}
	if about.ID != k.id {
		return nil, nil, fmt.Errorf("%s is of repository %s, %s of %s: %w", repoFile, about.ID, name, k.id, ErrCorrupt)
	}
	root, err := openRoot(ctx, st, k, rootOf(strings.TrimSuffix(path.Base(name), ".age")), recovery)
	return k, root, err
}

// RepoHash gives the SHA-256 of repo.json, which a device's first commit
// carries, after comparing its id with that of the keys.
func RepoHash(ctx context.Context, st store.Store, k *Keys) (string, error) {
	about, sum, err := describe(ctx, st)
	if err != nil {
		return "", err
	}
	if about.ID != k.id {
		return "", fmt.Errorf("%s is of another repository, %.40q: %w", repoFile, about.ID, ErrWrongKey)
	}
	return sum, nil
}

// describe reads repo.json.
func describe(ctx context.Context, st store.Store) (about description, sum string, err error) {
	body, err := getAll(ctx, st, repoFile, maxSmall)
	if errors.Is(err, store.ErrNotExist) {
		return about, "", fmt.Errorf("%w: %w", ErrNoRepository, err)
	}
	if err != nil {
		return about, "", err
	}
	if err := json.Unmarshal(body, &about); err != nil || about.Format < 1 {
		return about, "", fmt.Errorf("%s: %w", repoFile, ErrCorrupt)
	}
	if about.Format > Format {
		return about, "", fmt.Errorf("%w: it has format %d", ErrNewerFormat, about.Format)
	}
	return about, hexSum(body), nil
}

// openKeys finds the file of keys/ that identity opens, the usual one first.
func openKeys(ctx context.Context, st store.Store, identity age.Identity) (text []byte, name string, err error) {
	text, err = getSealed(ctx, st, recoveryFile, identity)
	if err == nil || !errors.Is(err, ErrWrongKey) && !errors.Is(err, store.ErrNotExist) {
		return text, recoveryFile, err
	}
	for info, listErr := range st.List(ctx, "keys/", "") {
		if listErr != nil {
			return nil, "", listErr
		}
		name, ok := strings.CutSuffix(path.Base(info.Key), ".age")
		if !ok || strings.Contains(name, ".") || info.Key == recoveryFile || info.Key == rootFile {
			continue
		}
		if text, err := getSealed(ctx, st, info.Key, identity); err == nil {
			return text, info.Key, nil
		}
	}
	if errors.Is(err, store.ErrNotExist) {
		return nil, "", fmt.Errorf("%s: %w", recoveryFile, ErrMissing)
	}
	return nil, "", err
}

// openRoot reads the root key from the object name; nil if it is not there, or
// sealed to others.
func openRoot(ctx context.Context, st store.Store, k *Keys, name string, identity age.Identity) (ed25519.PrivateKey, error) {
	text, err := getSealed(ctx, st, name, identity)
	if errors.Is(err, ErrWrongKey) || errors.Is(err, store.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return k.parseRoot(name, text)
}

func (k *Keys) parseRoot(name string, text []byte) (ed25519.PrivateKey, error) {
	seed, ok := strings.CutPrefix(strings.TrimSpace(string(text)), rootTitle)
	raw, err := b64.DecodeString(seed)
	if !ok || err != nil || len(raw) != ed25519.SeedSize {
		return nil, fmt.Errorf("%s: %w: malformed", name, ErrCorrupt)
	}
	root := ed25519.NewKeyFromSeed(raw)
	if !root.Public().(ed25519.PublicKey).Equal(k.root) {
		return nil, fmt.Errorf("%s: %w: not the root key of this repository", name, ErrCorrupt)
	}
	return root, nil
}

// putSealed writes text under fixed names, sealed to one recipient; the bytes under
// all of them are the same.
func putSealed(ctx context.Context, st store.Store, name string, text []byte, to age.Recipient, more ...string) error {
	var b bytes.Buffer
	w, err := age.Encrypt(&b, to)
	if err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	for _, name := range append([]string{name}, more...) {
		if err := st.Put(ctx, name, b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// getSealed is the inverse of putSealed.
func getSealed(ctx context.Context, st store.Store, name string, identities ...age.Identity) ([]byte, error) {
	body, err := getAll(ctx, st, name, maxSmall)
	if err != nil {
		return nil, err
	}
	return openSealed(name, body, identities...)
}

// getAll reads a whole object of at most limit bytes.
func getAll(ctx context.Context, st store.Store, name string, limit int64) ([]byte, error) {
	r, err := st.Get(ctx, name, 0, -1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if errors.Is(err, store.ErrDamaged) {
		return nil, fmt.Errorf("%s: %w: %w", name, ErrCorrupt, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("%s: %w: more than %d bytes", name, ErrCorrupt, limit)
	}
	return body, nil
}

func hexSum(p []byte) string {
	sum := sha256.Sum256(p)
	return hex.EncodeToString(sum[:])
}
