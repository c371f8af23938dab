package repo

import (
	"bytes"
	"context"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/tunesafe/tunesafe/internal/store/mem"
)

// TestLargePackIsSealedAsItGrows: of a large pack nothing lies in memory but the object that
// it becomes, and that is lent again for the next; what is in it comes back.
func TestLargePackIsSealedAsItGrows(t *testing.T) {
	const size, count, most = 3000, 2700, 7 << 20
	recovery, err := NewRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	k, _, err := Create(context.Background(), mem.New(), recovery)
	if err != nil {
		t.Fatal(err)
	}
	blob := make([]byte, size)
	r := rand.NewChaCha8([32]byte{})
	build := func() *Sealed {
		t.Helper()
		p := NewPack(k, Probe)
		r.Seed([32]byte{})
		for range count {
			_, _ = r.Read(blob)
			p.Add(k.BlobID(blob), blob)
		}
		if p.packed.pieces != nil {
			t.Errorf("%d pieces lie beside the object", len(p.packed.pieces))
		}
		s, row, err := p.Finish()
		if err != nil {
			t.Fatal(err)
		}
		plain, err := k.OpenObject(s.Name, s.Body)
		if err != nil {
			t.Fatal(err)
		}
		r.Seed([32]byte{})
		for _, f := range row.Frames {
			unpacked, err := unpackFrame(plain[:f.Packed], f.Size())
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range f.Blobs {
				if _, _ = r.Read(blob); !bytes.Equal(blob, unpacked[:b.Size]) || k.BlobID(blob) != b.ID {
					t.Fatal("a blob is not what was added")
				}
				unpacked = unpacked[b.Size:]
			}
			plain = plain[f.Packed:]
		}
		return s
	}
	build().Release()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	p := NewPack(k, Probe)
	for range count {
		_, _ = r.Read(blob)
		p.Add(k.BlobID(blob), blob)
	}
	s, _, err := p.Finish()
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > most {
		t.Errorf("%d bytes were allocated for a second pack of %d", took, len(s.Body))
	}
	s.Release()
}
