package repo

import (
	"bytes"
	"crypto/rand"
	"io"
	"testing"

	"filippo.io/age"
	"time"

	"github.com/tunesafe/tunesafe/internal/store/mem"
)

func TestSmoke(t *testing.T) {
	ctx := t.Context()
	st := mem.New()
	rk, _ := NewRecoveryKey()
	k, root, err := Create(ctx, st, rk)
	if err != nil {
		t.Fatal(err)
	}
	k2, root2, err := Unlock(ctx, st, rk)
	if err != nil || !root.Equal(root2) || k2.RepoID() != k.RepoID() {
		t.Fatal(err)
	}
	d, err := Enrol(ctx, st, k, root, "host")
	if err != nil {
		t.Fatal(err)
	}
	certs, bad, err := Devices(ctx, st, k2)
	if err != nil || len(bad) > 0 || len(certs) != 1 {
		t.Fatal(err, bad)
	}
	for _, n := range []int{0, 1, 65535, 65536, 65537, 1 << 20, 5<<20 + 77} {
		p := make([]byte, n)
		rand.Read(p)
		s, err := k.Seal("meta", p)
		if err != nil {
			t.Fatal(err)
		}
		r, err := age.Decrypt(bytes.NewReader(s.Body), k.identities...)
		if err != nil {
			t.Fatal(err)
		}
		q, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(p, q) {
			t.Fatal(n, err)
		}
		q, err = k.OpenObject(s.Name, s.Body)
		if err != nil || !bytes.Equal(p, q) {
			t.Fatal(n, err)
		}
		s.Release()
	}
	pack := NewPack(k, Tags)
	p := []byte("hello")
	pack.Add(k.BlobID(p), p)
	s, row, err := pack.Finish()
	if err != nil {
		t.Fatal(err)
	}
	x, err := OpenIndex(t.TempDir() + "/index")
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Put(ctx, s.Name, s.Body); err != nil {
		t.Fatal(err)
	}
	if err := x.Acked(row, s.Header); err != nil {
		t.Fatal(err)
	}
	sum, _ := RepoHash(ctx, st, k)
	c := &Commit{Kind: Changes, Seq: 1, Repo: sum, Time: time.Now(), Puts: x.Unplaced()}
	cs, err := EncodeCommit(k, d, c)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Put(ctx, cs.Name, cs.Body); err != nil {
		t.Fatal(err)
	}
	err = ReadLog(ctx, st, k, certs, nil, func(c *Commit) error { return x.Apply(c) })
	if err != nil {
		t.Fatal(err)
	}
	pl, ok, err := x.Lookup(k.BlobID(p))
	t.Log(pl, ok, err, len(x.Unplaced()))
	tot, _ := x.Totals()
	heads, _ := x.Heads()
	t.Log(tot, heads)
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
}
