package sync

import (
	"fmt"
	"math/rand/v2"
	"runtime"
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

// BenchmarkTinyTracks uploads a thousand tracks of 12 KB into memory: what is left is what
// each file costs, whatever its size.
func BenchmarkTinyTracks(b *testing.B) {
	const tracks = 1000
	rnd := rand.New(rand.NewPCG(1, 2))
	files := make([][]byte, tracks)
	for i := range files {
		files[i] = wav(rnd, 12_000)
	}
	var before, after runtime.MemStats
	var allocs uint64
	for range b.N {
		b.StopTimer()
		d := newWorld(b).device("bench")
		for i, p := range files {
			d.write(fmt.Sprintf("%d.wav", i), p)
		}
		runtime.ReadMemStats(&before)
		b.StartTimer()
		d.wait()
		b.StopTimer()
		runtime.ReadMemStats(&after)
		allocs += after.Mallocs - before.Mallocs
		d.close()
	}
	b.ReportMetric(float64(allocs)/float64(b.N)/tracks, "allocs/track")
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/tracks, "us/track")
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
