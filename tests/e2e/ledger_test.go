package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/s3proxy"
)

// ledger tells the kind of every object that a repository's log names, of a pack of several
// all of them, as in "tags+art"; the kind of a commit is "commit".
type ledger map[string]string

// readLedger reads the log as FORMAT.md describes it, with age and zstd and
// nothing of the program's.
func readLedger(t testing.TB, folder, recoveryKey string) ledger {
	t.Helper()
	key, err := os.ReadFile(recoveryKey)
	if err == nil {
		key, err = unseal(filepath.Join(folder, "keys", "recovery.age"), key)
	}
	if err != nil {
		t.Fatal(err)
	}
	l := ledger{}
	commits, err := filepath.Glob(filepath.Join(folder, "log", "*", "*.age"))
	if err != nil || len(commits) == 0 {
		t.Fatalf("no commits in %s: %v", folder, err)
	}
	for _, c := range commits {
		if err := l.read(folder, c, key); err != nil {
			t.Fatalf("%s: %v", c, err)
		}
	}
	return l
}

func (l ledger) read(folder, commit string, key []byte) error {
	sealed, err := unseal(commit, key)
	if err != nil {
		return err
	}
	z, err := zstd.NewReader(nil)
	if err != nil {
		return err
	}
	defer z.Close()
	lines, err := z.DecodeAll(sealed, nil)
	if err != nil {
		return err
	}
	name, err := filepath.Rel(folder, commit)
	l[filepath.ToSlash(name)] = "commit"
	for line := range bytes.Lines(lines) {
		var row struct{ Put, Kind string }
		if err := json.Unmarshal(line, &row); err != nil {
			return err
		}
		if row.Put != "" {
			l[row.Put] = strings.Join(slices.Compact(strings.Fields(row.Kind)), "+")
		}
	}
	return err
}

// unseal opens an age file with an identity file.
func unseal(name string, identities []byte) ([]byte, error) {
	ids, err := age.ParseIdentities(bytes.NewReader(identities))
	if err != nil {
		return nil, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := age.Decrypt(f, ids...)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// bytesByKind are numbers of bytes by kind of object.
type bytesByKind map[string]int64

// sent sorts the bodies of the PUTs in a proxy's log.
func (l ledger) sent(log []s3proxy.Entry) bytesByKind {
	n := bytesByKind{}
	for _, e := range log {
		if e.Op != "PutObject" || e.Status != 200 {
			continue
		}
		kind := l[strings.TrimPrefix(e.Key, drive.Prefix)]
		if kind == "" {
			kind = "other"
		}
		n[kind] += e.Up
	}
	return n
}

// of sums up the objects that hold any of these kinds.
func (n bytesByKind) of(kinds ...string) (sum int64) {
	for k, size := range n {
		if slices.ContainsFunc(strings.Split(k, "+"), func(kind string) bool { return slices.Contains(kinds, kind) }) {
			sum += size
		}
	}
	return sum
}

func (n bytesByKind) String() string {
	var s []string
	for _, k := range slices.Sorted(maps.Keys(n)) {
		s = append(s, fmt.Sprintf("%s %d", k, n[k]))
	}
	return strings.Join(s, ", ")
}
