package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// panel is one plot of the figure: rows of the table as lines.
type panel struct {
	title string
	lines []plotLine
	unit  func(v float64) string
}

type plotLine struct{ row, label string }

// panels are what the figure shows.
func panels() []panel {
	seconds := func(v float64) string {
		if v < 1 {
			return fmt.Sprintf("%g ms", math.Round(v*1e6)/1000)
		}
		return fmt.Sprintf("%g s", v)
	}
	megabytes := func(v float64) string { return fmt.Sprintf("%g MB", v) }
	plain := func(v float64) string { return figure(v, 0) }
	return []panel{
		{"Time", []plotLine{{firstBackup + ", wall", "first backup"}, {unchangedRun + ", wall", "unchanged run"}, {retaggedNight + ", wall", "100 retagged"},
			{checkpointMade + ", wall", "checkpoint"}, {coldOpen + ", wall", "cold mount"}, {listedCold + ", wall", "ls -lR, cold"},
			{listedWarm + ", wall", "ls -lR again"}, {nextSearch + ", wall", "search"}}, seconds},
		{"Memory at most", []plotLine{{firstBackup + ", memory at most", "first backup"}, {unchangedRun + ", memory at most", "unchanged run"},
			{checkpointMade + ", memory at most", "checkpoint"}, {coldOpen + ", memory at most", "cold mount"},
			{listedCold + ", memory at most", "ls -lR, cold"}, {firstSearch + ", memory at most", "search"}}, megabytes},
		{"Requests", []plotLine{{firstBackup + ", requests", "first backup"}, {retaggedNight + ", requests", "100 retagged"},
			{checkpointMade + ", requests", "checkpoint"}, {coldOpen + ", requests", "cold mount"}}, plain},
	}
}

// The figure's measures, in pixels.
const (
	plotWide, plotHigh = 250.0, 300.0
	plotLeft, plotTop  = 62.0, 40.0
	plotLabels         = 96.0 // beside a plot, for the names of lines
	plotBottom         = 62.0
	labelGap           = 13.0
)

// plotStyle suits light pages and dark ones: a picture in a page knows which of the two the
// reader has.
const plotStyle = `<style>
text{font:11px sans-serif;fill:#333}.t{font-size:13px;font-weight:bold}.g{stroke:#ccc;stroke-width:.6}.a{stroke:#777}.one{stroke:#999;stroke-dasharray:4 3;fill:none}
.l0{stroke:#0b63b0}.l1{stroke:#b3470b}.l2{stroke:#1a7f37}.l3{stroke:#8b3fb0}.l4{stroke:#a11a4a}.l5{stroke:#00767d}.l6{stroke:#7a6200}.l7{stroke:#666}
polyline,circle{fill:none;stroke-width:2}
@media (prefers-color-scheme:dark){text{fill:#ddd}.g{stroke:#444}.a{stroke:#999}.one{stroke:#888}
.l0{stroke:#6cb6ff}.l1{stroke:#f69d50}.l2{stroke:#57d06e}.l3{stroke:#d2a8ff}.l4{stroke:#ff7ba6}.l5{stroke:#4fd1d9}.l6{stroke:#e3c341}.l7{stroke:#aaa}}
</style>`

// plot draws time, memory and requests by the number of tracks, both axes logarithmic.
func (g *growth) plot() string {
	var b strings.Builder
	all := panels()
	wide := float64(len(all)) * (plotLeft + plotWide + plotLabels)
	high := plotTop + plotHigh + plotBottom
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %g %g\" role=\"img\" aria-label=\"Time, memory and requests by the number of tracks\">\n%s\n", wide, high, plotStyle)
	for i, p := range all {
		g.draw(&b, p, float64(i)*(plotLeft+plotWide+plotLabels)+plotLeft)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// axis puts powers of ten on a line of so many pixels.
type axis struct{ from, to, at, length float64 }

func (a axis) place(v float64) float64 {
	return a.at + a.length*(math.Log10(v)-a.from)/(a.to-a.from)
}

// draw draws one panel, its plot beginning at x.
func (g *growth) draw(b *strings.Builder, p panel, x float64) {
	least, most := math.Inf(1), 0.0
	for _, l := range p.lines {
		for _, v := range g.figures(l.row) {
			if v > 0 {
				least, most = min(least, v), max(most, v)
			}
		}
	}
	if most == 0 {
		return
	}
	first, last := float64(g.sizes[0]), float64(g.sizes[len(g.sizes)-1])
	across := axis{math.Floor(math.Log10(first)), math.Max(math.Ceil(math.Log10(last)), math.Floor(math.Log10(first))+1), x, plotWide}
	up := axis{math.Floor(math.Log10(least)), math.Max(math.Ceil(math.Log10(most)), math.Floor(math.Log10(least))+1), plotTop + plotHigh, -plotHigh}
	fmt.Fprintf(b, "<text class=\"t\" x=\"%g\" y=\"%g\">%s</text>\n", x, plotTop-16, p.title)
	for e := up.from; e <= up.to; e++ {
		y := up.place(math.Pow(10, e))
		fmt.Fprintf(b, "<line class=\"g\" x1=\"%g\" x2=\"%g\" y1=\"%.1f\" y2=\"%.1f\"/><text x=\"%g\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
			x, x+plotWide, y, y, x-6, y+4, p.unit(math.Pow(10, e)))
	}
	for e := across.from; e <= across.to; e++ {
		at := across.place(math.Pow(10, e))
		fmt.Fprintf(b, "<line class=\"g\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%g\" y2=\"%g\"/><text x=\"%.1f\" y=\"%g\" text-anchor=\"middle\">%s</text>\n",
			at, at, plotTop, plotTop+plotHigh, at, plotTop+plotHigh+16, figure(math.Pow(10, e), 0))
	}
	fmt.Fprintf(b, "<path class=\"a\" fill=\"none\" d=\"M%g %gV%gH%g\"/><text x=\"%g\" y=\"%g\" text-anchor=\"middle\">tracks; dashed: linear</text>\n",
		x, plotTop, plotTop+plotHigh, x+plotWide, x+plotWide/2, plotTop+plotHigh+36)
	decades := math.Min(up.to-up.from, across.to-across.from)
	fmt.Fprintf(b, "<path class=\"one\" d=\"M%g %gL%.1f %.1f\"/>\n", x, plotTop+plotHigh,
		across.place(math.Pow(10, across.from+decades)), up.place(math.Pow(10, up.from+decades)))
	g.drawLines(b, p, across, up)
}

// drawLines draws the lines, each named at its end.
func (g *growth) drawLines(b *strings.Builder, p panel, across, up axis) {
	type name struct {
		y    float64
		text string
	}
	var names []name
	for i, l := range p.lines {
		var points []string
		at := g.figures(l.row)
		end := 0.0
		for _, n := range g.sizes {
			if v := at[n]; v > 0 {
				end = up.place(v)
				points = append(points, fmt.Sprintf("%.1f,%.1f", across.place(float64(n)), end))
			}
		}
		if len(points) == 0 {
			continue
		}
		fmt.Fprintf(b, "<polyline class=\"l%d\" points=\"%s\"/>\n", i, strings.Join(points, " "))
		for _, p := range points {
			cx, cy, _ := strings.Cut(p, ",")
			fmt.Fprintf(b, "<circle class=\"l%d\" cx=\"%s\" cy=\"%s\" r=\"2\"/>\n", i, cx, cy)
		}
		names = append(names, name{end, fmt.Sprintf("<line class=\"l%d\" stroke-width=\"2\" x1=\"%g\" x2=\"%g\" y1=\"%%[1]g\" y2=\"%%[1]g\"/><text x=\"%g\" y=\"%%[2]g\">%s</text>\n",
			i, across.at+plotWide+6, across.at+plotWide+16, across.at+plotWide+20, l.label)})
	}
	slices.SortFunc(names, func(x, y name) int { return cmp.Compare(x.y, y.y) })
	above := plotTop - labelGap
	for i, n := range names {
		// None above the one before, and room for those that follow.
		y := min(max(n.y, above+labelGap), plotTop+plotHigh-labelGap*float64(len(names)-1-i))
		above = y
		fmt.Fprintf(b, n.text, math.Round(y), math.Round(y)+4)
	}
}
