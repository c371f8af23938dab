package sync

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// BenchmarkFirstBackup uploads 20 files of 5 MB into memory: what is left is
// cutting, hashing, sealing and the local database.
func BenchmarkFirstBackup(b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 2))
	files := make([][]byte, 20)
	for i := range files {
		files[i] = wav(rnd, 5_000_000)
	}
	b.SetBytes(int64(len(files) * len(files[0])))
	b.ReportAllocs()
	for range b.N {
		b.StopTimer()
		d := newWorld(b).device("bench")
		for i, p := range files {
			d.write(fmt.Sprintf("%d.wav", i), p)
		}
		b.StartTimer()
		d.wait()
		b.StopTimer()
		d.close()
	}
}

// wav makes a sound file of n random bytes, cheaply.
func wav(rnd *rand.Rand, n int) []byte {
	p := append([]byte("RIFF\xff\xff\xff\x7fWAVEfmt \x10\x00\x00\x00\x01\x00\x02\x00\x44\xac\x00\x00\x10\xb1\x02\x00\x04\x00\x10\x00data\xff\xff\xff\x7f"), make([]byte, n)...)
	for i := 44; i+8 <= len(p); i += 8 {
		v := rnd.Uint64()
		for k := range 8 {
			p[i+k] = byte(v >> (8 * k))
		}
	}
	return p
}
