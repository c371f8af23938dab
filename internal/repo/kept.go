package repo

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // for what servers say
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tunesafe/tunesafe/internal/store"
)

// Kept is a folder of a home in which the small objects that nothing else could
// make again lie as they lie in the bucket: commits, certificates, sealed keys,
// repo.json. What the bucket loses of them is put back byte for byte. A nil *Kept
// keeps nothing.
//
// An object whose name says its SHA-256 lies in a file of that name; of any other
// the file's name ends in it. So what this disk damages is never put back.
type Kept struct{ dir string }

// OpenKept gives the folder dir, which is made when something is kept.
func OpenKept(dir string) *Kept { return &Kept{dir} }

// keepable tells whether objects of that name are kept.
func keepable(name string) bool {
	folder, _, _ := strings.Cut(name, "/")
	return store.CheckKey(name) == nil && (folder == "log" || folder == "keys" || folder == "devices" || name == repoFile)
}

// keptVersions are how many versions are kept of a file of keys/: what the newest is
// nobody can tell who has not the key that opens it, so it does not replace the others.
const keptVersions = 4

// Add keeps an object. Of a name that does not say the SHA-256 of its bytes the
// newest counts.
func (k *Kept) Add(name string, body []byte) error {
	if k == nil || !keepable(name) {
		return nil
	}
	file := filepath.Join(k.dir, name)
	if _, ok := store.SumOf(name); !ok {
		file += "-" + hexSum(body)
	}
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", body, 0o600); err != nil {
		return errors.Join(err, os.Remove(file+".new"))
	}
	if err := os.Rename(file+".new", file); err != nil {
		return err
	}
	keep := 1
	if strings.HasPrefix(name, "keys/") {
		keep = keptVersions
	}
	if all := k.versions(name); len(all) > keep {
		for _, old := range all[keep:] {
			os.Remove(old) // if it stays it is no harm
		}
	}
	return nil
}

// versions lists the files that hold an object, the newest first.
func (k *Kept) versions(name string) []string {
	file := filepath.Join(k.dir, name)
	if _, ok := store.SumOf(name); ok {
		return []string{file}
	}
	all, _ := filepath.Glob(file + "-*")
	all = slices.DeleteFunc(all, func(f string) bool { return !isHex(strings.TrimPrefix(f, file+"-"), 64) })
	slices.SortStableFunc(all, func(a, b string) int {
		x, err := os.Stat(a)
		y, err2 := os.Stat(b)
		if err != nil || err2 != nil {
			return 0
		}
		return y.ModTime().Compare(x.ModTime())
	})
	return all
}

// Get gives an object as it lay in the bucket, the newest version of it; nil if it is
// not kept.
func (k *Kept) Get(name string) []byte {
	if all := k.all(name); len(all) > 0 {
		return all[0]
	}
	return nil
}

// Listed gives an object that is kept just as a listing of the bucket tells of it: by the
// SHA-256 in its name, or by length and MD5. nil: it is to be read. Whoever uses it
// verifies it as he would had he read it: a store that tells of what it has not could as
// well give it.
func (k *Kept) Listed(info store.Info) []byte {
	body := k.Get(info.Key)
	if body == nil || int64(len(body)) != info.Size {
		return nil
	}
	if _, ok := store.SumOf(info.Key); ok {
		return body
	}
	if sum := md5.Sum(body); !bytes.Equal(sum[:], info.MD5) {
		return nil
	}
	return body
}

// nameOf gives the name of keys/ under which these bytes are kept, if it is not name.
func (k *Kept) nameOf(body []byte, name string) string {
	for _, other := range k.Names("keys/") {
		if other != name && bytes.Equal(k.Get(other), body) {
			return other
		}
	}
	return name
}

// all gives every version that is kept of an object, the newest first.
func (k *Kept) all(name string) (bodies [][]byte) {
	if k == nil || !keepable(name) {
		return nil
	}
	for _, file := range k.versions(name) {
		body, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		want, ok := store.SumOf(name)
		if !ok {
			hex.Decode(want[:], []byte(file[len(file)-64:]))
		}
		if sha256.Sum256(body) != want {
			os.Remove(file) // this disk damaged it
			continue
		}
		bodies = append(bodies, body)
	}
	return bodies
}

// Names lists what is kept below prefix.
func (k *Kept) Names(prefix string) (names []string) {
	if k == nil {
		return nil
	}
	filepath.WalkDir(filepath.Join(k.dir, prefix), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".new") {
			return nil
		}
		name, _ := filepath.Rel(k.dir, path)
		if i := len(name) - 65; i > 0 && name[i] == '-' && isHex(name[i+1:], 64) {
			name = name[:i]
		}
		if n := len(names); keepable(name) && (n == 0 || names[n-1] != name) { // several versions follow each other
			names = append(names, name)
		}
		return nil
	})
	return names
}

// KeepHidden keeps what somebody deleted in the bucket of repo.json, keys/ and devices/,
// where the bucket keeps versions and this home keeps no copy. It is believed as far as
// in KeepSmall.
func (k *Kept) KeepHidden(ctx context.Context, st store.Store, keys *Keys) error {
	v, ok := store.AbleTo[store.Versioned](st)
	if k == nil || !ok {
		return nil
	}
	for _, prefix := range []string{repoFile, "keys/", "devices/"} {
		for all, err := range v.Versions(ctx, prefix) {
			if err != nil {
				return err
			}
			name := all[0].Key
			live := slices.IndexFunc(all, func(v store.Version) bool { return !v.Gone && v.Size <= maxSmall })
			if !all[0].Gone || live < 0 || !keepable(name) || k.Get(name) != nil {
				continue
			}
			r, err := v.GetVersion(ctx, name, all[live].ID)
			if err != nil {
				return err
			}
			body, err := io.ReadAll(r)
			if err := errors.Join(err, r.Close()); err != nil {
				return err
			}
			if keys.saneSmall(name, body) {
				if err := k.Add(name, body); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// KeepSmall keeps what the bucket has of repo.json, keys/ and devices/ and this
// home does not keep yet, and keys that were sealed anew since. What is there is believed as far as it can be: a
// certificate by its signature, repo.json by its id, keys by being age files.
func (k *Kept) KeepSmall(ctx context.Context, st store.Store, keys *Keys) error {
	if k == nil {
		return nil
	}
	names := []string{repoFile}
	for _, prefix := range []string{"keys/", "devices/"} {
		for info, err := range st.List(ctx, prefix, "") {
			if err != nil {
				return err
			}
			names = append(names, info.Key)
		}
	}
	for _, name := range names {
		was := k.Get(name)
		if was != nil && !strings.HasPrefix(name, "keys/") {
			continue // nobody writes it anew
		}
		body, err := getAll(ctx, st, name, maxSmall)
		if errors.Is(err, store.ErrNotExist) || errors.Is(err, ErrCorrupt) {
			continue // found by Check
		}
		if err != nil {
			return err
		}
		if keys.saneSmall(name, body) && (was == nil || !damagedCopy(was, body)) && k.nameOf(body, name) == name {
			if err := k.Add(name, body); err != nil {
				return err
			}
		}
	}
	return nil
}
