package repo

import (
	"bytes"
	"crypto/sha256"
	"io"
	"testing"

	"filippo.io/age"
	"pgregory.net/rapid"
)

// sizes are those around which chunks and padding change.
var sizes = []int{0, 1, 17, chunkSize - 1, chunkSize, chunkSize + 1, 2 * chunkSize, 3*chunkSize + 100, MaxBlob/4 + 5}

func TestSealIsAge(t *testing.T) {
	k := newEnv(t).k
	for _, n := range sizes {
		plain := noise(1, n)
		s := must(k.Seal("meta", plain))(t)
		if int64(len(s.Body)) != sealedSize(int64(n)) || sha256.Sum256(s.Body[:pinnedSize]) != s.Head {
			t.Fatalf("%d bytes sealed to %d", n, len(s.Body))
		}
		r := must(age.Decrypt(bytes.NewReader(s.Body), k.ring.Load().identities...))(t)
		if got := must(io.ReadAll(r))(t); !bytes.Equal(got, plain) {
			t.Fatalf("age opens another text of %d bytes", n)
		}
		if got := must(k.OpenObject(s.Name, s.Body))(t); !bytes.Equal(got, plain) {
			t.Fatalf("OpenObject gives another text of %d bytes", n)
		}
		s.Release()
	}
}

func TestOpenWhatAgeSealed(t *testing.T) {
	k := newEnv(t).k
	for _, n := range sizes {
		var b bytes.Buffer
		w := must(age.Encrypt(&b, k.ring.Load().recipient))(t)
		w.Write(noise(2, n))
		w.Close()
		name := objectName("meta", sha256.Sum256(b.Bytes()))
		if got := must(k.OpenObject(name, b.Bytes()))(t); !bytes.Equal(got, noise(2, n)) {
			t.Fatalf("another text of %d bytes", n)
		}
	}
}

func TestSealPieces(t *testing.T) {
	k := newEnv(t).k
	rapid.Check(t, func(t *rapid.T) {
		lengths := rapid.SliceOfN(rapid.IntRange(0, 3*chunkSize/2), 1, 6).Draw(t, "lengths")
		var pieces [][]byte
		for i, n := range lengths {
			pieces = append(pieces, noise(uint64(i), n))
		}
		s, err := k.sealInto("audio", pieces...)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := k.OpenObject(s.Name, s.Body); err != nil || !bytes.Equal(got, bytes.Join(pieces, nil)) {
			t.Fatal("another text", err)
		}
	})
}

func TestPlainSizeInverts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, MaxObject).Draw(t, "n")
		if got, err := plainSize(sealedSize(n)); err != nil || got != n {
			t.Fatal(n, got, err)
		}
	})
	for _, bad := range []int64{-1, 0, pinnedSize, pinnedSize + 15, pinnedSize + sealedChunk + 16, sealedSize(MaxObject) + 1, 1 << 62} {
		if n, err := plainSize(bad); err == nil {
			t.Errorf("%d is taken for %d bytes", bad, n)
		}
	}
}

// regions are offsets in each region of a sealed object of more than one chunk.
func regions(size int) map[string]int {
	return map[string]int{
		"version": 3, "stanza": 40, "wrapped key": 90, "header MAC": 140, "nonce": 175,
		"first chunk": pinnedSize + 10, "first tag": pinnedSize + chunkSize + 3, "last byte": size - 1,
	}
}

func flip(body []byte, at int) []byte {
	body = bytes.Clone(body)
	body[at] ^= 1
	return body
}

func TestOpenObjectFindsDamage(t *testing.T) {
	k, other := newEnv(t).k, newEnv(t).k
	plain := noise(3, 2*chunkSize+50)
	s := must(k.Seal("audio", plain))(t)
	for region, at := range regions(len(s.Body)) {
		bad := flip(s.Body, at)
		_, err := k.OpenObject(s.Name, bad)
		wantErr(t, err, ErrCorrupt, s.Name)
		name := objectName("audio", sha256.Sum256(bad)) // as if the name were right
		if got, err := k.OpenObject(name, bad); err == nil || got != nil {
			t.Errorf("%s: opened", region)
		} else {
			wantErr(t, err, ErrCorrupt, name)
		}
	}
	for _, n := range []int{0, 1, 100, pinnedSize, pinnedSize + 20, pinnedSize + sealedChunk, len(s.Body) - 1} {
		cut := s.Body[:n]
		name := objectName("audio", sha256.Sum256(cut))
		_, err := k.OpenObject(name, cut)
		wantErr(t, err, ErrCorrupt, name)
	}
	foreign := must(other.Seal("audio", plain))(t)
	_, err := k.OpenObject(foreign.Name, foreign.Body)
	wantErr(t, err, ErrCorrupt, foreign.Name)
	for _, name := range []string{"", "audio", "audio/00/00.age", "meta/../x.age", s.Name + "x"} {
		if _, err := k.OpenObject(name, s.Body); err == nil {
			t.Errorf("opened as %q", name)
		}
	}
}

func TestSealRefusesTooLarge(t *testing.T) {
	k := newEnv(t).k
	if _, err := k.Seal("meta", make([]byte, MaxObject+1)); err == nil {
		t.Error("sealed")
	}
	if _, _, err := SealAudio(k, Blob{Data: make([]byte, MaxBlob+1)}); err == nil {
		t.Error("sealed audio")
	}
}

func TestReleaseReuses(t *testing.T) {
	k := newEnv(t).k
	for i := range 4 {
		plain := noise(uint64(i), MaxBlob-i)
		s := must(k.Seal("audio", plain))(t)
		if got := must(k.OpenObject(s.Name, s.Body))(t); !bytes.Equal(got, plain) {
			t.Fatal("another text")
		}
		s.Release()
	}
}

func BenchmarkSeal(b *testing.B) {
	k, _, err := makeKeys()
	if err != nil {
		b.Fatal(err)
	}
	plain := noise(1, 8<<20)
	for _, what := range []string{"seal", "open"} {
		s := must(k.Seal("audio", plain))(b)
		b.Run(what, func(b *testing.B) {
			b.SetBytes(int64(len(plain)))
			b.ReportAllocs()
			for b.Loop() {
				if what == "seal" {
					must(k.Seal("audio", plain))(b).Release()
				} else {
					must(k.openBody(s.Body))(b)
				}
			}
		})
	}
}
