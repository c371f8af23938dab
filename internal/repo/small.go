package repo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/tunesafe/tunesafe/internal/store"
)

const readmeFile = "readme.txt"

// saneSmall tells whether an object outside of log/, audio/ and meta/ may be what
// was written under its name, as far as the keys can tell.
func (k *Keys) saneSmall(name string, body []byte) bool {
	switch folder, _, _ := strings.Cut(name, "/"); {
	case name == repoFile:
		var about description
		return json.Unmarshal(body, &about) == nil && about.ID == k.id
	case folder == "devices":
		text, err := openSealed(name, body, k.ring.Load().identities...)
		if device, ok := parseRetiredName(name); ok && err == nil {
			_, err = k.parseRetirement(name, device, text)
		} else if err == nil {
			_, err = k.parseCertificate(name, text, nil)
		}
		return err == nil
	case folder == "keys" && strings.HasSuffix(name, recordEnd):
		text, err := openSealed(name, body, k.ring.Load().identities...)
		if err == nil {
			var r record
			if r, err = parseRecord(name, text); err == nil {
				_, err = k.vouched(name, r)
			}
		}
		return err == nil
	case folder == "keys":
		_, err := age.ExtractHeader(bytes.NewReader(body))
		return err == nil && len(body) > headerSize
	}
	return false
}

// openSealed opens a file that putSealed wrote.
func openSealed(name string, body []byte, identities ...age.Identity) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(body), identities...)
	if noMatch := new(age.NoIdentityMatchError); errors.As(err, &noMatch) {
		return nil, fmt.Errorf("%s: %w", name, ErrWrongKey)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, ErrCorrupt, err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, ErrCorrupt, err)
	}
	return text, nil
}

// damagedCopy tells whether there is damage in what is there of an object that was:
// it was cut short, or is the same in most places. A file of keys that another
// device wrote anew, for another passphrase, has nothing but its form in common.
func damagedCopy(was, is []byte) bool {
	if len(is) != len(was) {
		return bytes.HasPrefix(was, is) || bytes.HasPrefix(is, was)
	}
	same := 0
	for i := range was {
		if was[i] == is[i] {
			same++
		}
	}
	return same > len(was)/2
}

// Rewritten is what [MendSmall] did about one object.
type Rewritten struct {
	Name string
	How  string // for people
	Err  error  // why it could not be mended; nil if it was
}

// MendSmall puts back what is damaged or missing of repo.json, readme.txt, keys/ and
// devices/. Sources are what the home keeps and, for keys/recovery.age, the recovery
// key, which may be nil. Of a key that another device removed nothing is there any
// more, and nothing is put back.
func MendSmall(ctx context.Context, st store.Store, k *Keys, kept *Kept, recovery age.Identity) (done []Rewritten, err error) {
	m := &mender{st: st, k: k, kept: kept}
	if err := m.certificates(ctx); err != nil {
		return m.done, err
	}
	if err := m.keys(ctx, recovery); err != nil {
		return m.done, err
	}
	if err := m.description(ctx); err != nil {
		return m.done, err
	}
	body, err := m.get(ctx, readmeFile)
	if err == nil && !bytes.Equal(body, readme) {
		err = m.put(ctx, readmeFile, readme, "written anew")
	}
	return m.done, err
}

type mender struct {
	st   store.Store
	k    *Keys
	kept *Kept
	done []Rewritten
}

// get reads a small object; nil if it is not there or far too long.
func (m *mender) get(ctx context.Context, name string) ([]byte, error) {
	body, err := getAll(ctx, m.st, name, maxSmall)
	if errors.Is(err, store.ErrNotExist) || errors.Is(err, ErrCorrupt) {
		return nil, nil
	}
	return body, err
}

func (m *mender) put(ctx context.Context, name string, body []byte, how string) error {
	if err := m.st.Put(ctx, name, body); err != nil {
		return err
	}
	m.done = append(m.done, Rewritten{Name: name, How: how})
	return m.kept.Add(name, body)
}

func (m *mender) fail(name string, err error) {
	m.done = append(m.done, Rewritten{Name: name, Err: err})
}

const putBack = "put back as this home keeps it"

// certificates puts back certificates. One that is not kept is another device's:
// that device has it.
func (m *mender) certificates(ctx context.Context) error {
	names := m.kept.Names("devices/")
	for info, err := range m.st.List(ctx, "devices/", "") {
		if err != nil {
			return err
		}
		names = append(names, info.Key)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		is, err := m.get(ctx, name)
		if err != nil {
			return err
		}
		if m.k.saneSmall(name, is) {
			if err := m.mark(ctx, name, is); err != nil {
				return err
			}
			continue
		}
		was := m.kept.Get(name)
		if !m.k.saneSmall(name, was) {
			m.fail(name, fmt.Errorf("%s: %w: its own home can put it back", name, ErrCorrupt))
		} else if err := m.put(ctx, name, was, putBack); err != nil {
			return err
		}
	}
	return nil
}

// mark repeats in the log what a retirement says, see [retiredMark].
func (m *mender) mark(ctx context.Context, name string, body []byte) error {
	device, ok := parseRetiredName(name)
	if !ok {
		return nil
	}
	is, err := m.get(ctx, retiredMark(device))
	if err != nil || bytes.Equal(is, body) {
		return err
	}
	if err := m.st.Put(ctx, retiredMark(device), body); err != nil {
		return err
	}
	m.done = append(m.done, Rewritten{Name: retiredMark(device), How: "written anew"})
	return nil
}

// keys puts back keys/: as they were kept, or sealed anew.
func (m *mender) keys(ctx context.Context, recovery age.Identity) error {
	names := append(m.kept.Names("keys/"), recoveryFile, rootFile)
	there := map[string]bool{RecoveryName: true}
	for info, err := range m.st.List(ctx, "keys/", "") {
		if err != nil {
			return err
		}
		names = append(names, info.Key)
		there[keyOf(info.Key)] = true
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		is, err := m.get(ctx, name)
		if err != nil {
			return err
		}
		was := m.k.bestKept(m.kept, name, recovery)
		switch {
		case is == nil && !there[keyOf(name)]: // removed on purpose, by another device
			continue
		case m.k.goodKeys(name, is, was, recovery) && m.kept.nameOf(is, name) == name:
			continue
		case was != nil:
			err = m.put(ctx, name, was, putBack)
		case name == recoveryFile:
			err = m.sealRecovery(ctx, recovery)
		default:
			m.fail(name, fmt.Errorf("%s: %w, and this home keeps no copy of it", name, ErrMissing))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// keyOf is the name of the key that a file of keys/ is of.
func keyOf(file string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(file, "keys/"), ".")
	if name == "root" {
		return RecoveryName
	}
	return name
}

// goodKeys tells whether a file of keys/ is as it should be: it opens, or it is as it
// was, or another device wrote it anew.
func (k *Keys) goodKeys(name string, is, was []byte, recovery age.Identity) bool {
	if !k.saneSmall(name, is) {
		return false
	}
	if recovery != nil {
		text, err := openSealed(name, is, recovery)
		if !errors.Is(err, ErrWrongKey) {
			return err == nil && k.opensRight(name, text)
		}
		if _, err := openSealed(name, was, recovery); was != nil && err == nil {
			return false // it opened with that key before
		}
	}
	return was == nil || !damagedCopy(was, is) || bytes.Equal(was, is)
}

// opensRight tells whether a file of keys/ that a key opens holds what it should: the
// keys, or the root key, of this repository.
func (k *Keys) opensRight(name string, text []byte) bool {
	if name == rootFile || strings.HasSuffix(name, ".root.age") {
		_, err := k.parseRoot(name, text)
		return err == nil
	}
	other, err := ParseKeys(text)
	return err == nil && other.id == k.id
}

// bestKept is what the home keeps of a file of keys/: of several versions the newest
// that the recovery key opens, if there is one.
func (k *Keys) bestKept(kept *Kept, name string, recovery age.Identity) []byte {
	all := kept.all(name)
	for _, body := range all {
		if recovery == nil {
			break
		}
		if text, err := openSealed(name, body, recovery); err == nil && k.opensRight(name, text) {
			return body
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[0]
}

// sealRecovery seals the keys of this home to the recovery key anew.
func (m *mender) sealRecovery(ctx context.Context, recovery age.Identity) error {
	identity, ok := recovery.(*age.X25519Identity)
	if !ok {
		m.fail(recoveryFile, fmt.Errorf("%s: %w, and this home has neither a copy of it nor the recovery key", recoveryFile, ErrMissing))
		return nil
	}
	root, err := m.get(ctx, rootFile)
	if err != nil {
		return err
	}
	if _, err := openSealed(rootFile, root, recovery); root != nil && errors.Is(err, ErrWrongKey) {
		m.fail(recoveryFile, fmt.Errorf("%s: %w: what is sealed to it would lock out who has the right one", recoveryFile, ErrWrongKey))
		return nil
	}
	text, err := m.k.MarshalText()
	if err != nil {
		return err
	}
	if err := putSealed(ctx, m.st, recoveryFile, text, identity.Recipient()); err != nil {
		return err
	}
	m.done = append(m.done, Rewritten{Name: recoveryFile, How: "sealed anew to the recovery key"})
	return nil
}

// description puts back repo.json.
func (m *mender) description(ctx context.Context) error {
	sum, certs, err := m.firstSum(ctx)
	if err != nil {
		return err
	}
	is, err := m.get(ctx, repoFile)
	if err != nil {
		return err
	}
	if m.k.saneSmall(repoFile, is) && (sum == "" || hexSum(is) == sum) {
		return nil
	}
	if was := m.kept.Get(repoFile); was != nil && (sum == "" || hexSum(was) == sum) {
		return m.put(ctx, repoFile, was, putBack)
	}
	body, exact := m.k.rebuildDescription(sum, certs)
	if !exact && sum != "" {
		m.fail(repoFile, fmt.Errorf("%s: %w: the time it was made at is not known any more", repoFile, ErrCorrupt))
		return nil
	}
	return m.put(ctx, repoFile, body, "written anew")
}

// firstSum is the SHA-256 of repo.json as the first commits say it; empty if none
// can be read.
func (m *mender) firstSum(ctx context.Context) (string, map[string]Certificate, error) {
	certs, _, err := Devices(ctx, m.st, m.k)
	if err != nil {
		return "", nil, err
	}
	for _, device := range slices.Sorted(maps.Keys(certs)) {
		for info, err := range m.st.List(ctx, logPrefix(device)+"0000000000000001-", "") {
			if err != nil {
				return "", nil, err
			}
			c, err := getCommit(ctx, m.st, m.k, certs, info.Key)
			if err == nil && c.Seq == 1 {
				return c.Repo, certs, nil
			}
		}
		for _, name := range m.kept.Names(logPrefix(device)) {
			if _, h, err := parseCommitName(name); err != nil || h.Seq != 1 {
				continue
			}
			if c, err := DecodeCommit(m.k, certs, name, m.kept.Get(name)); err == nil {
				return c.Repo, certs, nil
			}
		}
	}
	return "", certs, nil
}

// madeWithin is how long before its first device a repository was made, at most.
const madeWithin = 3 * 24 * time.Hour

// rebuildDescription writes repo.json as it was. All of it is known but the second
// in which it was made, which was shortly before the first device enrolled: the
// SHA-256 tells which. Without that any will do.
func (k *Keys) rebuildDescription(sum string, certs map[string]Certificate) (body []byte, exact bool) {
	first := time.Now()
	for _, c := range certs {
		if c.Enrolled.Before(first) {
			first = c.Enrolled
		}
	}
	first = first.UTC().Truncate(time.Second)
	for at := first.Add(time.Minute); first.Sub(at) < madeWithin; at = at.Add(-time.Second) {
		body, err := k.describeAt(at)
		if err == nil && hexSum(body) == sum {
			return body, true
		}
	}
	body, _ = k.describeAt(first)
	return body, false
}

func (k *Keys) describeAt(t time.Time) ([]byte, error) {
	body, err := json.Marshal(description{Format, k.id, t.Format(time.RFC3339)})
	return append(body, '\n'), err
}
