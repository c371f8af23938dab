package web

import (
	"fmt"
	"math"
	"strings"
)

// A plot is drawn in a box of plotWidth by plotHeight that the page stretches; what
// is written stands beside it as text, so that it keeps its size and can be read aloud.
const (
	plotWidth  = 600
	plotHeight = 160
)

// plot is a picture of how figures went.
type plot struct {
	Title string
	Value string // what it comes to now
	Tells string // the whole in a sentence, for those who do not see it
	Top   string // what the upper edge stands for
	From  string // the first day
	To    string // the last
	Bands []band
	Bars  []bar
	Empty string // why there is nothing to draw; the rest does not matter then
	Rows  []plotRow
	Heads []string // of the columns of Rows
}

// band is an area between two lines, or a line above nothing.
type band struct {
	Kind string // its class in the style sheet
	Name string
	Area string // of an SVG path
	Line string
}

// bar is a rectangle.
type bar struct {
	Kind       string
	X, Y, W, H string
}

// plotRow is a row of the table below a plot.
type plotRow struct {
	Day   string
	Cells []string
}

func coordinate(f float64) string {
	return strings.TrimSuffix(strings.TrimSuffix(fmt.Sprintf("%.1f", f), "0"), ".")
}

// ceiling is the next round figure, for the upper edge.
func ceiling(v float64) float64 {
	if v <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10} {
		if m*unit >= v {
			return m * unit
		}
	}
	return 10 * unit
}

// thin takes at most n of so many places, the first and the last among them.
func thin(of, n int) []int {
	if of <= 0 {
		return nil
	}
	places := []int{}
	for i := range min(of, n) {
		at := of - 1
		if k := min(of, n) - 1; k > 0 {
			at = i * (of - 1) / k
		}
		places = append(places, at)
	}
	return places
}

// stack draws areas one upon another, from the lowest, below top. Each of values has
// one figure a place.
func stack(kinds, names []string, values [][]float64, top float64) []band {
	var bands []band
	below := make([]float64, len(values[0]))
	for i, of := range values {
		above := make([]float64, len(of))
		for j := range of {
			above[j] = below[j] + of[j]
		}
		line := across(above, top)
		bands = append(bands, band{Kind: kinds[i], Name: names[i], Line: "M" + line, Area: "M" + line + "L" + back(below, top) + "Z"})
		below = above
	}
	return bands
}

func point(i, n int, v, top float64) string {
	x := float64(plotWidth)
	if n > 1 {
		x = float64(i) / float64(n-1) * plotWidth
	}
	return coordinate(x) + " " + coordinate(plotHeight*(1-v/top))
}

// across is a line from left to right; one figure alone goes all the way.
func across(of []float64, top float64) string {
	if len(of) == 1 {
		of = []float64{of[0], of[0]}
	}
	points := make([]string, len(of))
	for i, v := range of {
		points[i] = point(i, len(of), v, top)
	}
	return strings.Join(points, "L")
}

func back(of []float64, top float64) string {
	if len(of) == 1 {
		of = []float64{of[0], of[0]}
	}
	points := make([]string, len(of))
	for i, v := range of {
		points[len(of)-1-i] = point(i, len(of), v, top)
	}
	return strings.Join(points, "L")
}

// bars draws figures of places beside one another, stacked from the lowest.
func bars(kinds []string, values [][]float64, top float64) (all []bar) {
	n := len(values[0])
	step := float64(plotWidth) / float64(n)
	for j := range n {
		y := float64(plotHeight)
		for i, of := range values {
			h := of[j] / top * plotHeight
			if h <= 0 {
				continue
			}
			h = max(h, 1.5) // or nobody sees it
			y -= h
			all = append(all, bar{Kind: kinds[i], X: coordinate(float64(j)*step + step*.15), Y: coordinate(max(y, 0)), W: coordinate(step * .7), H: coordinate(h)})
		}
	}
	return all
}
