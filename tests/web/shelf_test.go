package web

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// shelf is a library of small tracks without sound, whose tags and covers are like
// those of people.
type shelf struct {
	dir     string
	tracks  int
	album   int // tracks of one
	cover   int // pixels of a side
	covers  int // that differ in more than some bytes
	perRoom int // albums of an artist
}

// words of titles, of several scripts and lengths.
var shelfWords = strings.Fields("love night blue heart the of dream river Sommer Straße été café light fire Björk wind stone road Mädchen song " +
	"ghost moon Sonata Allegro Symphony minor live remastered again never always home dance rain golden city 夜 東京 Ночь Σελήνη")

// make writes the library.
func (s shelf) make(t testing.TB) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	text := func(most int) string {
		w := make([]string, 1+rng.IntN(most))
		for i := range w {
			w[i] = shelfWords[rng.IntN(len(shelfWords))]
		}
		return strings.Join(w, " ")
	}
	covers := make([][]byte, s.covers)
	for i := range covers {
		covers[i] = painted(t, uint64(i), s.cover)
	}
	artist := ""
	for n := 0; n < s.tracks; n += s.album {
		a := n / s.album
		if a%s.perRoom == 0 {
			artist = fmt.Sprint(text(3), " ", a/s.perRoom)
		}
		album := text(5)
		dir := filepath.Join(s.dir, fmt.Sprintf("%05d", a))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		files := map[string][]byte{"cover.jpg": fmt.Appendf(bytes.Clone(covers[a%s.covers]), "%08d", a)}
		for k := range min(s.album, s.tracks-n) {
			title := text(7)
			files[fmt.Sprintf("%02d %.60s.flac", k+1, strings.ToValidUTF8(title, ""))] = quiet(n+k,
				"TITLE="+title, "ARTIST="+artist, "ALBUM="+album, fmt.Sprint("TRACKNUMBER=", k+1), fmt.Sprint("DATE=", 1950+a%70))
		}
		for name, b := range files {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// quiet is a track that says such things, with hardly any sound.
func quiet(n int, comments ...string) []byte {
	var b bytes.Buffer
	text := binary.LittleEndian.AppendUint32(nil, 0)
	text = binary.LittleEndian.AppendUint32(text, uint32(len(comments)))
	for _, c := range comments {
		text = append(binary.LittleEndian.AppendUint32(text, uint32(len(c))), c...)
	}
	info := make([]byte, 34)
	binary.BigEndian.PutUint64(info[10:], 44100<<44|1<<41|15<<36|uint64(44100*(60+n%300))) // rate, channels, bits, samples
	b.WriteString("fLaC")
	for _, block := range [][]byte{info, text} {
		kind := byte(0)
		if &block[0] == &text[0] {
			kind = 0x80 | 4
		}
		b.Write([]byte{kind, byte(len(block) >> 16), byte(len(block) >> 8), byte(len(block))})
		b.Write(block)
	}
	fmt.Fprintf(&b, "\xff\xf8%0200d", n)
	return b.Bytes()
}

// painted is a JPEG as large as the cover of an album is: coarse shapes, and a grain.
func painted(t testing.TB, seed uint64, side int) []byte {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 3))
	base := [3]int{rng.IntN(200), rng.IntN(200), rng.IntN(200)}
	img := image.NewRGBA(image.Rect(0, 0, side, side))
	r, cx, cy := side/4+rng.IntN(side/4), rng.IntN(side), rng.IntN(side)
	for y := range side {
		for x := range side {
			v := (x + y) * 80 / (2 * side)
			if (x-cx)*(x-cx)+(y-cy)*(y-cy) < r*r {
				v = 120 - v
			}
			v += rng.IntN(24)
			img.SetRGBA(x, y, color.RGBA{clip(base[0] + v), clip(base[1] + v/2), clip(base[2] + 60 - v/2), 255})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 85}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func clip(v int) uint8 { return uint8(max(0, min(v, 255))) }
