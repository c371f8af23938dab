package repo

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/blake2b"

	"github.com/tunesafe/tunesafe/internal/store/mem"
)

func TestBlobID(t *testing.T) {
	k := newEnv(t).k
	p := noise(1, 100000)
	h := must(blake2b.New(16, k.hashKey[:]))(t)
	h.Write(p)
	want := ID(h.Sum(nil))
	stream := k.NewHash()
	stream.Write(p[:7])
	stream.Write(p[7:])
	if got := stream.Sum(); got != want || k.BlobID(p) != want {
		t.Errorf("%s and %s, want %s", got, k.BlobID(p), want)
	}
	if id, err := ParseID(want.String()); err != nil || id != want || len(want.String()) != 22 {
		t.Error(id, err)
	}
	for _, bad := range []string{"", "x", want.String() + "A", strings.Repeat("=", 22), strings.Repeat("\n", 22), strings.Repeat("A", 21) + "B"} {
		if _, err := ParseID(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestKeysText(t *testing.T) {
	k := newEnv(t).k
	text := must(k.MarshalText())(t)
	again := must(ParseKeys(text))(t)
	if !bytes.Equal(must(again.MarshalText())(t), text) || again.BlobID([]byte("x")) != k.BlobID([]byte("x")) || again.Epoch() != 1 {
		t.Error("not the same keys")
	}
	s := must(k.Seal("meta", []byte("x")))(t)
	if got := must(again.OpenObject(s.Name, s.Body))(t); string(got) != "x" {
		t.Errorf("opens %q", got)
	}
	for line := range strings.Lines(string(text)) {
		if _, err := ParseKeys([]byte(strings.Replace(string(text), line, "", 1))); err == nil {
			t.Errorf("taken without %q", line)
		} else if strings.Contains(err.Error(), k.ring.Load().secrets[0]) {
			t.Error("the error tells the secret")
		}
	}
	// An epoch that the root key did not begin.
	if _, err := ParseKeys([]byte(string(text) + must(NewRecoveryKey())(t).String() + "\n")); err == nil {
		t.Error("an epoch is taken that nobody signed")
	}
}

func TestParseRecoveryKey(t *testing.T) {
	key := must(NewRecoveryKey())(t)
	text := key.String()
	for _, good := range []string{text, " " + text + "\r\n", "# created: today\n# public key: age1x\n" + text + "\n", text[:30] + "\n   " + text[30:], text[:20] + " " + text[20:], strings.ToLower(text)} {
		if got, err := ParseRecoveryKey(good); err != nil || got.(interface{ String() string }).String() != text {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "# x", text[:70], text + text, strings.Replace(text, "1", "2", 1)} {
		if _, err := ParseRecoveryKey(bad); err == nil || len(text) > 0 && strings.Contains(err.Error(), text[20:40]) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestUnlock(t *testing.T) {
	e := newEnv(t)
	ctx := t.Context()
	k, root, err := Unlock(ctx, e.st, e.recovery)
	if err != nil || !root.Equal(e.root) || k.RepoID() != e.k.RepoID() {
		t.Fatal(err)
	}
	if _, _, err := Create(ctx, e.st, e.recovery); !errors.Is(err, ErrExists) {
		t.Errorf("%v, want %v", err, ErrExists)
	}
	if _, _, err := Unlock(ctx, e.st, must(NewRecoveryKey())(t)); !errors.Is(err, ErrWrongKey) {
		t.Errorf("%v, want %v", err, ErrWrongKey)
	}
	if _, _, err := Unlock(ctx, mem.New(), e.recovery); !errors.Is(err, ErrNoRepository) {
		t.Errorf("%v, want %v", err, ErrNoRepository)
	}
	// Another recipient of the keys opens all but the root.
	friend := must(NewRecoveryKey())(t)
	if err := putSealed(ctx, e.st, "keys/friend.age", must(e.k.MarshalText())(t), friend.Recipient()); err != nil {
		t.Fatal(err)
	}
	if k, root, err := Unlock(ctx, e.st, friend); err != nil || root != nil || k.RepoID() != e.k.RepoID() {
		t.Error(err)
	}
	about := e.body(repoFile)
	e.overwrite(repoFile, bytes.Replace(about, []byte(`"format":1`), []byte(`"format":2`), 1))
	if _, _, err := Unlock(ctx, e.st, e.recovery); !errors.Is(err, ErrNewerFormat) {
		t.Errorf("%v, want %v", err, ErrNewerFormat)
	}
	e.overwrite(repoFile, newEnv(t).body(repoFile))
	_, _, err = Unlock(ctx, e.st, e.recovery)
	wantErr(t, err, ErrCorrupt, repoFile)
	e.overwrite(repoFile, about)
	for _, name := range []string{recoveryFile, rootFile} {
		good := e.body(name)
		e.overwrite(name, flip(good, len(good)-3))
		_, _, err = Unlock(ctx, e.st, e.recovery)
		wantErr(t, err, ErrCorrupt, name)
		e.overwrite(name, good)
	}
	e.st.Delete(ctx, repoFile) // devices/ shows that a repository is here
	if there, err := Exists(ctx, e.st); err != nil || !there {
		t.Error(there, err)
	}
}

func TestDevices(t *testing.T) {
	e := newEnv(t)
	ctx := t.Context()
	file := must(json.Marshal(e.d))(t)
	if d, err := ParseDevice(file); err != nil || d.ID != e.d.ID || !d.Key.Equal(e.d.Key) || d.Name != "host" {
		t.Error(d, err)
	}
	if _, err := Enrol(ctx, e.st, e.k, newEnv(t).root, "x"); !errors.Is(err, ErrWrongKey) {
		t.Errorf("%v, want %v", err, ErrWrongKey)
	}
	// A certificate that another root signed, and one under another's name.
	other := newEnv(t)
	forged := must(newKeys(e.k.id, e.k.hashKey[:], other.k.root, e.k.ring.Load().secrets, nil))(t)
	evil := must(Enrol(ctx, e.st, forged, other.root, "evil"))(t)
	copied := "devices/00000000000000aa.age"
	e.overwrite(copied, e.body("devices/"+e.d.ID+".age"))
	certs, bad, err := Devices(ctx, e.st, e.k)
	if err != nil || len(certs) != 1 || len(bad) != 2 || certs[e.d.ID].Name != "host" {
		t.Fatal(certs, bad, err)
	}
	err = errors.Join(bad...)
	wantErr(t, err, ErrSignature, evil.ID)
	wantErr(t, err, ErrCorrupt, copied)
}

func TestReadmeIsShort(t *testing.T) {
	if n := bytes.Count(readme, []byte("\n")); n > 60 {
		t.Errorf("%d lines, want at most 60", n)
	}
}
