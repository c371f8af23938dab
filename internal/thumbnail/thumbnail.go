// Package thumbnail makes small pictures of covers, and keeps them in a folder.
//
// Pictures in music files are whatever somebody put there. What a picture says of its
// size is read before it is decoded: one that would take more memory than maxMemory,
// as a huge one of few bytes does, is not decoded at all.
// Those that are decoded at once share that memory: others wait for it.
//
// A small picture is a square of the middle, as covers are shown, in JPEG, on white
// where it was transparent. Of an animation it is the first picture. What is small
// already stays as it is.
package thumbnail

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	stddraw "image/draw"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"net/http"

	"golang.org/x/image/draw"
	"golang.org/x/image/webp"
)

// Widths are those that small pictures are made in: of lists and players, of walls,
// and of an album, on screens of one and of two points a pixel.
var Widths = [...]int{160, 320, 640}

const (
	maxMemory = 96 << 20 // for what is decoded at once
	maxSide   = 16 << 10 // pixels
	maxPixels = 64 << 20
	quality   = 82
	// small is how many bytes a picture may have that is left as it is where it has
	// no more pixels than wanted.
	small = 24 << 10
)

// ErrUnknown: it is no picture, or none that is decoded here. A browser may know it.
var ErrUnknown = errors.New("no picture that can be decoded")

// ErrTooLarge: it says to be larger than any cover is. Nobody should decode it.
var ErrTooLarge = errors.New("the picture says to be too large")

// codec reads one kind of picture.
type codec struct {
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
	weight func(b []byte, m color.Model) int64 // bytes that decoding takes for a pixel
}

var codecs = map[string]codec{
	"image/jpeg": {jpeg.DecodeConfig, jpeg.Decode, weighJPEG},
	"image/png":  {png.DecodeConfig, png.Decode, weighPNG},
	"image/gif":  {gif.DecodeConfig, gif.Decode, func([]byte, color.Model) int64 { return 2 }},
	"image/webp": {webp.DecodeConfig, webp.Decode, func([]byte, color.Model) int64 { return 9 }},
}

// weighJPEG: a progressive one has all its coefficients in memory at once.
func weighJPEG(b []byte, m color.Model) int64 {
	components := int64(3)
	switch m {
	case color.GrayModel:
		components = 1
	case color.CMYKModel:
		components = 8 // it is copied once
	}
	if progressive(b) {
		return components * (1 + 4)
	}
	return components
}

// progressive tells it by the first frame header of a JPEG.
func progressive(b []byte) bool {
	for at := 2; at+4 <= len(b) && b[at] == 0xFF; {
		switch kind := b[at+1]; {
		case kind == 0xFF: // filling
			at++
		case kind == 0xC2:
			return true
		case kind == 0xC0, kind == 0xC1, kind == 0xDA:
			return false
		case kind == 1, kind >= 0xD0 && kind <= 0xD8: // nothing follows
			at += 2
		default:
			at += 2 + int(b[at+2])<<8 + int(b[at+3])
		}
	}
	return true // whatever it is, it may be
}

func weighPNG(b []byte, m color.Model) int64 {
	weight := int64(4)
	switch m {
	case color.RGBA64Model, color.NRGBA64Model:
		weight = 8
	case color.GrayModel:
		weight = 1
	}
	const interlace = 28                         // where the header says so
	if len(b) > interlace && b[interlace] != 0 { // its passes are decoded apart
		weight *= 2
	}
	return weight
}

// plan is what is known of a picture before it is decoded.
type plan struct {
	codec
	image.Config
	memory int64 // that decoding takes
}

// examine reads what a picture says of itself.
func examine(b []byte) (p plan, err error) {
	c, ok := codecs[http.DetectContentType(b)]
	if !ok {
		return p, ErrUnknown
	}
	p.codec = c
	if p.Config, err = c.config(bytes.NewReader(b)); err != nil {
		return p, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	if p.Width <= 0 || p.Height <= 0 {
		return p, ErrUnknown
	}
	const block = 16 // JPEG and WebP are made of blocks
	side := func(n int) int64 { return (int64(n) + block - 1) / block * block }
	p.memory = side(p.Width) * side(p.Height) * c.weight(b, p.ColorModel)
	switch {
	case p.Width > maxSide, p.Height > maxSide, p.Width*p.Height > maxPixels:
		return p, fmt.Errorf("%w: %d × %d", ErrTooLarge, p.Width, p.Height)
	case p.memory > maxMemory:
		return p, fmt.Errorf("%w within memory: %d × %d", ErrUnknown, p.Width, p.Height)
	}
	return p, nil
}

// small reports whether it needs not be made smaller.
func (p plan) small(b []byte, width int) bool {
	return len(b) <= small && min(p.Width, p.Height) <= width
}

// make decodes a picture and scales it to a square.
func (p plan) make(b []byte, width int) ([]byte, error) {
	img, err := p.decode(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	r := square(img.Bounds())
	if r.Empty() {
		return nil, ErrUnknown
	}
	coarse := shrink(img, r, max(1, r.Dx()/width))
	out := coarse
	if coarse.Rect.Dx() > width {
		out = image.NewRGBA(image.Rect(0, 0, width, width))
		draw.CatmullRom.Scale(out, out.Rect, coarse, coarse.Rect, stddraw.Src, nil)
	}
	var small bytes.Buffer
	err = jpeg.Encode(&small, out, &jpeg.Options{Quality: quality})
	return small.Bytes(), err
}

// square is the middle of a picture.
func square(r image.Rectangle) image.Rectangle {
	side := min(r.Dx(), r.Dy())
	at := image.Pt(r.Min.X+(r.Dx()-side)/2, r.Min.Y+(r.Dy()-side)/2)
	return image.Rectangle{Min: at, Max: at.Add(image.Pt(side, side))}
}

// shrink makes one pixel of each square of by × by, on white. It works in strips, so
// that it takes no memory for a copy of what it shrinks.
func shrink(img image.Image, r image.Rectangle, by int) *image.RGBA {
	side := r.Dx() / by
	out := image.NewRGBA(image.Rect(0, 0, side, side))
	strip := image.NewRGBA(image.Rect(0, 0, side*by, by))
	for y := range side {
		stddraw.Draw(strip, strip.Rect, image.White, image.Point{}, stddraw.Src)
		stddraw.Draw(strip, strip.Rect, img, r.Min.Add(image.Pt(0, y*by)), stddraw.Over)
		row := out.Pix[y*out.Stride:]
		for x := range side {
			copy(row[4*x:4*x+4], mean(strip, x*by, by))
		}
	}
	return out
}

// mean is the colour of a square of a strip.
func mean(strip *image.RGBA, from, by int) []byte {
	var sum [4]uint32
	for y := range by {
		pix := strip.Pix[y*strip.Stride+4*from : y*strip.Stride+4*(from+by)]
		for i, v := range pix {
			sum[i&3] += uint32(v)
		}
	}
	n := uint32(by * by)
	return []byte{byte((sum[0] + n/2) / n), byte((sum[1] + n/2) / n), byte((sum[2] + n/2) / n), byte((sum[3] + n/2) / n)}
}
