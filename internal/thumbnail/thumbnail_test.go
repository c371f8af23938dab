package thumbnail

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// sample reads a test picture of Go's own libraries: one scene in many formats.
func sample(t testing.TB, module bool, name string) []byte {
	t.Helper()
	args := []string{"list", "-f", "{{.Dir}}", "image"}
	if module {
		args = []string{"list", "-m", "-f", "{{.Dir}}", "golang.org/x/image"}
	}
	dir, err := exec.Command("go", args...).Output()
	if err != nil {
		t.Fatal("go list:", err)
	}
	b, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// thumb makes a thumbnail as a cache does.
func thumb(b []byte, width int) ([]byte, error) {
	p, err := examine(b)
	if err != nil {
		return nil, err
	}
	return p.make(b, width)
}

func decoded(t *testing.T, b []byte) image.Image {
	t.Helper()
	img, err := jpeg.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// corner is the mean colour of a quarter of a picture.
func corner(img image.Image, right, low bool) (sum [3]int) {
	r := img.Bounds()
	half := max(1, r.Dx()/2)
	at := image.Point{}
	if right {
		at.X = half
	}
	if low {
		at.Y = half
	}
	for y := range half {
		for x := range half {
			c := color.RGBAModel.Convert(img.At(at.X+x, at.Y+y)).(color.RGBA)
			sum[0], sum[1], sum[2] = sum[0]+int(c.R), sum[1]+int(c.G), sum[2]+int(c.B)
		}
	}
	for i := range sum {
		sum[i] /= half * half
	}
	return sum
}

// TestFormats makes the same scene small from each format: it looks the same.
func TestFormats(t *testing.T) {
	pictures := map[string][]byte{}
	for _, name := range []string{"video-001.png", "video-001.jpeg", "video-001.progressive.jpeg", "video-001.cmyk.jpeg", "video-001.221212.jpeg", "video-001.gif", "video-001.interlaced.gif"} {
		pictures[name] = sample(t, false, name)
	}
	pictures["video-001.lossy.webp"] = sample(t, true, "video-001.lossy.webp")
	model := func(name string) image.Image {
		b, err := thumb(sample(t, false, name), 64)
		if err != nil {
			t.Fatal(err)
		}
		return decoded(t, b)
	}
	usual, inked := model("video-001.png"), model("video-001.cmyk.png") // inks are not the colours of a screen
	for name, b := range pictures {
		model := usual
		if strings.Contains(name, "cmyk") {
			model = inked
		}
		got, err := thumb(b, 64)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		img := decoded(t, got)
		if r := img.Bounds(); r.Dx() != 64 || r.Dy() != 64 {
			t.Errorf("%s: %v", name, r)
		}
		for i := range 4 {
			is, was := corner(img, i&1 > 0, i&2 > 0), corner(model, i&1 > 0, i&2 > 0)
			for k := range 3 {
				if d := is[k] - was[k]; d > 16 || d < -16 {
					t.Errorf("%s: a quarter has the colour %v, that of the original %v", name, is, was)
				}
			}
		}
	}
	for _, name := range []string{"yellow_rose.lossless.webp", "yellow_rose.lossy-with-alpha.webp", "yellow_rose.png", "gopher-doc.1bpp.png", "bw-gopher.png"} {
		if _, err := thumb(sample(t, true, name), 64); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// striped is a wide picture, red in its middle and green at its sides.
func striped(w, h int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := color.NRGBA{0, 255, 0, 255}
			if x >= (w-h)/2 && x < (w+h)/2 {
				c = color.NRGBA{255, 0, 0, 255}
			}
			img.SetNRGBA(x, y, c)
		}
	}
	return img
}

func encoded(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestSquare shows the middle, whatever the sides and the width.
func TestSquare(t *testing.T) {
	for _, sides := range [][2]int{{900, 300}, {301, 299}, {1000, 10}, {641, 641}} {
		b := encoded(t, striped(sides[0], sides[1]))
		for _, width := range []int{1, 7, 160, 320, 640} {
			got, err := thumb(b, width)
			if err != nil {
				t.Fatal(err)
			}
			img := decoded(t, got)
			if want := min(width, sides[1]); img.Bounds() != image.Rect(0, 0, want, want) {
				t.Errorf("%v at %d: %v", sides, width, img.Bounds())
			}
			if c := corner(img, false, false); width > 1 && sides[1] > 1 && (c[0] < 200 || c[1] > 60) {
				t.Errorf("%v at %d is not the middle: %v", sides, width, c)
			}
		}
	}
	clear := image.NewNRGBA(image.Rect(0, 0, 50, 50)) // nothing but transparent
	got, err := thumb(encoded(t, clear), 20)
	if err != nil {
		t.Fatal(err)
	}
	if c := corner(decoded(t, got), false, false); c != [3]int{255, 255, 255} {
		t.Errorf("what is transparent is %v", c)
	}
}

// TestAnimation reads the first picture of an animation, and nothing behind it.
func TestAnimation(t *testing.T) {
	var g gif.GIF
	for _, c := range []color.Color{color.RGBA{255, 0, 0, 255}, color.RGBA{0, 255, 0, 255}} {
		g.Image = append(g.Image, image.NewPaletted(image.Rect(0, 0, 300, 300), color.Palette{c, color.Black}))
		g.Delay = append(g.Delay, 1)
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, &g); err != nil {
		t.Fatal(err)
	}
	for _, cut := range []int{0, 200} { // the end, which has the second
		got, err := thumb(b.Bytes()[:b.Len()-cut], 160)
		if err != nil {
			t.Fatal(err)
		}
		if c := corner(decoded(t, got), true, true); c[0] < 240 || c[1] > 10 {
			t.Errorf("it is not the first: %v", c)
		}
	}
	if _, err := thumb(webpOf(true, 100, 100), 160); !errors.Is(err, ErrUnknown) {
		t.Error("an animated WebP:", err)
	}
}

// webpOf is the head of a WebP.
func webpOf(animated bool, w, h int) []byte {
	b := []byte("RIFF\xff\xff\x00\x00WEBPVP8X\x0a\x00\x00\x00\x00\x00\x00\x00")
	if animated {
		b[20] = 2
	}
	for _, side := range []int{w - 1, h - 1} {
		b = append(b, byte(side), byte(side>>8), byte(side>>16))
	}
	return append(b, "ANIM\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
}

// pngOf is the head of a PNG that says to be so large.
func pngOf(w, h uint32) []byte {
	b := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR")
	b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, w), h)
	b = append(b, 8, 6, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[12:]))
	return append(b, "\x00\x00\x10\x00IDAT\x78\x9c"...)
}

// jpegOf is a JPEG whose frame header says another size.
func jpegOf(t testing.TB, w, h uint16) []byte {
	b := bytes.Clone(sample(t, false, "video-001.progressive.jpeg"))
	at := bytes.Index(b, []byte{0xFF, 0xC2})
	binary.BigEndian.PutUint16(b[at+5:], h)
	binary.BigEndian.PutUint16(b[at+7:], w)
	return b
}

// TestBombs refuses pictures that say to be huge, and takes no memory to do so.
func TestBombs(t *testing.T) {
	bombs := map[string][]byte{
		"png":      pngOf(50_000, 50_000),
		"thin png": pngOf(1<<30, 1),
		"jpeg":     jpegOf(t, 65_500, 65_500),
		"heavy":    jpegOf(t, 4000, 4000), // whose coefficients are in memory at once
		"gif":      []byte("GIF89a\xff\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\xff\xff\xff\xff\x00\x08"),
		"webp":     webpOf(false, 1<<14, 1<<14),
	}
	for name, b := range bombs {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := thumb(b, 320)
		runtime.ReadMemStats(&after)
		if want := map[bool]error{true: ErrUnknown, false: ErrTooLarge}[name == "heavy"]; !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
			t.Errorf("%s took %d bytes", name, n)
		}
	}
}

// TestBroken says of what is cut short, or something else, that it is no picture.
func TestBroken(t *testing.T) {
	whole := sample(t, false, "video-001.jpeg")
	for name, b := range map[string][]byte{
		"nothing":  nil,
		"text":     []byte("<!doctype html><script>alert(1)</script>"),
		"svg":      []byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`),
		"head":     whole[:20],
		"half":     whole[:len(whole)/2],
		"png":      pngOf(10, 10),
		"liar":     append([]byte("\x89PNG\r\n\x1a\n"), whole...),
		"gif":      []byte("GIF89a\x10\x00\x10\x00\x00\x00\x00"),
		"no sides": pngOf(0, 0),
	} {
		if _, err := thumb(b, 320); !errors.Is(err, ErrUnknown) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzThumbnail makes small whatever it is given, or refuses it.
func FuzzThumbnail(f *testing.F) {
	for _, name := range []string{"video-001.progressive.jpeg", "video-001.cmyk.jpeg", "triangle-001.gif"} {
		f.Add(sample(f, false, name))
	}
	f.Add(sample(f, true, "gopher-doc.with-alpha.lossless.webp"))
	f.Add(sample(f, true, "video-001.lossy.webp"))
	f.Add(pngOf(50_000, 50_000))
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := thumb(b, 160)
		if err != nil {
			return
		}
		if img := decoded(t, out); img.Bounds().Dx() != img.Bounds().Dy() || img.Bounds().Dx() > 160 {
			t.Error(img.Bounds())
		}
	})
}

// BenchmarkMake makes the cover of an album small.
func BenchmarkMake(b *testing.B) {
	img := image.NewRGBA(image.Rect(0, 0, 1400, 1400))
	for i := range img.Pix {
		img.Pix[i] = byte(i*i>>7 + i)
	}
	var cover bytes.Buffer
	if err := jpeg.Encode(&cover, img, nil); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := thumb(cover.Bytes(), 320); err != nil {
			b.Fatal(err)
		}
	}
}
