package musiclib

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"image"
	"image/jpeg"
	"math"
	"math/rand/v2"
)

// cover is an album's picture; the zero cover is none.
type cover struct {
	jpeg []byte
	side int // pixels
}

// sum is the picture's SHA-256, in hexadecimal.
func (c cover) sum() string {
	if len(c.jpeg) == 0 {
		return ""
	}
	s := sha256.Sum256(c.jpeg)
	return hex.EncodeToString(s[:])
}

// newCover makes a square JPEG of about want bytes. The second try corrects
// the first one's size.
func newCover(r *rand.Rand, want int) cover {
	seed := r.Uint64()
	side := int(math.Sqrt(float64(want) / 0.6))
	var c cover
	for range 2 {
		side = max(side, 16)
		c = cover{encodeCover(rand.New(rand.NewPCG(seed, 0)), side), side}
		side = int(float64(side) * math.Sqrt(float64(want)/float64(len(c.jpeg))))
	}
	return c
}

// encodeCover draws a gradient with grain, which is what makes a photograph's
// bytes.
func encodeCover(r *rand.Rand, side int) []byte {
	img := image.NewYCbCr(image.Rect(0, 0, side, side), image.YCbCrSubsampleRatio420)
	dx, dy, base := r.Float64(), r.Float64(), r.IntN(80)
	for y := range side {
		for x := range side {
			light := (dx*float64(x) + dy*float64(y)) / float64(side) * 50
			img.Y[img.YOffset(x, y)] = byte(base + 20 + int(light) + r.IntN(56))
		}
	}
	cb, cr := byte(r.IntN(256)), byte(r.IntN(256))
	for i := range img.Cb {
		img.Cb[i], img.Cr[i] = cb, cr+byte(i*40/len(img.Cr))
	}
	var b bytes.Buffer
	// A bytes.Buffer takes everything, and the picture is no larger than JPEG allows.
	_ = jpeg.Encode(&b, img, &jpeg.Options{Quality: 75})
	return b.Bytes()
}
