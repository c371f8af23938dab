package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// growth is figures by the number of tracks. They are kept in a file beside the plot, so that a
// run of other sizes adds to them: the largest takes hours.
type growth struct {
	sizes []int
	rows  []*grown
	runs  map[int]string // when and where each size was measured
}

type grown struct {
	name, unit string
	digits     int
	at         map[int]float64
}

// keptGrowth is how growth lies in its file.
type keptGrowth struct {
	Runs map[int]string
	Rows []keptRow
}

type keptRow struct {
	Name, Unit string
	Digits     int
	At         map[int]float64
}

// readGrowth reads what earlier runs kept, without the sizes that are measured now.
func readGrowth(file string, now []int) (*growth, error) {
	g := &growth{sizes: slices.Clone(now), runs: map[int]string{}}
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return g, nil
	}
	var k keptGrowth
	if err == nil {
		err = json.Unmarshal(text, &k)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for _, n := range now {
		delete(k.Runs, n)
	}
	g.runs = k.Runs
	g.sizes = slices.Sorted(maps.Keys(k.Runs))
	for _, r := range k.Rows {
		row := g.row(r.Name, r.Unit, r.Digits)
		for _, n := range g.sizes {
			if v, ok := r.At[n]; ok {
				row.add(n, v)
			}
		}
	}
	g.sizes = append(g.sizes, now...)
	slices.Sort(g.sizes)
	return g, nil
}

// keep is the text of the file.
func (g *growth) keep() ([]byte, error) {
	k := keptGrowth{Runs: g.runs}
	for _, r := range g.rows {
		k.Rows = append(k.Rows, keptRow{r.name, r.unit, r.digits, r.at})
	}
	text, err := json.MarshalIndent(k, "", " ")
	return append(text, '\n'), err
}

// row returns the row of that name, made when first asked for.
func (g *growth) row(name, unit string, digits int) *grown {
	for _, r := range g.rows {
		if r.name == name {
			return r
		}
	}
	r := &grown{name: name, unit: unit, digits: digits, at: map[int]float64{}}
	g.rows = append(g.rows, r)
	return r
}

// figures are those of a row, if there is one.
func (g *growth) figures(name string) map[int]float64 {
	for _, r := range g.rows {
		if r.name == name {
			return r.at
		}
	}
	return nil
}

func (r *grown) add(tracks int, v float64) { r.at[tracks] = v }

// exponent is e where the figure grows as the e-th power of the number of tracks: 1 is
// linear. ok is false where there is nothing to compare.
func (r *grown) exponent(from, to int) (e float64, ok bool) {
	a, okA := r.at[from]
	b, okB := r.at[to]
	if !okA || !okB || a <= 0 || b <= 0 {
		return 0, false
	}
	return math.Log(b/a) / math.Log(float64(to)/float64(from)), true
}

// The part of the file between these lines is that of the scene.
const (
	growthFrom = "<!-- make bench BENCH_ONLY=scale writes from here -->"
	growthTo   = "<!-- of scale to here -->"
	growthPlot = "scale.svg"
	growthFile = "scale.json"
)

// markdown is the table.
func (g *growth) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## Growth with the number of tracks\n\nWritten by `make bench BENCH_ONLY=scale`. Tracks of about 4 KB with tags of their own, "+
		"without pictures (`tests/musiclib`), ten in an album; one run of each size, every work in a process of its own, %d of the tracks retagged for a night. \"its own\" is memory that is not a file's; the rest are "+
		"pages of mapped databases and of the program, which the kernel takes back when it needs them. Behind the figures of two sizes stands the exponent between them: "+
		"1 is linear, 0 does not grow.\n\n", scaleNight)
	for _, n := range g.sizes {
		if run, ok := g.runs[n]; ok {
			fmt.Fprintf(&b, "- %s tracks: %s\n", figure(float64(n), 0), run)
		}
	}
	fmt.Fprintf(&b, "\n![Time, memory and requests by the number of tracks, both axes logarithmic](%s)\n\n| work |", growthPlot)
	for i, n := range g.sizes {
		fmt.Fprintf(&b, " %s |", figure(float64(n), 0))
		if i > 0 {
			b.WriteString(" exponent |")
		}
	}
	fmt.Fprintf(&b, "\n|---|%s\n", strings.Repeat("---:|", 2*len(g.sizes)-1))
	for _, r := range g.rows {
		name := r.name
		if r.unit != "" {
			name += ", " + r.unit
		}
		fmt.Fprintf(&b, "| %s |", name)
		for i, n := range g.sizes {
			cell := ""
			if v, ok := r.at[n]; ok {
				cell = figure(v, r.digits)
			}
			fmt.Fprintf(&b, " %s |", cell)
			if i == 0 {
				continue
			}
			cell = ""
			if e, ok := r.exponent(g.sizes[i-1], n); ok {
				cell = fmt.Sprintf("%.2f", e)
			}
			fmt.Fprintf(&b, " %s |", cell)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// saveGrowth writes table and plot as far as they are.
func (l *lab) saveGrowth(g *growth) error {
	if l.to == "" {
		return nil
	}
	text, err := g.keep()
	if err != nil {
		return err
	}
	dir := filepath.Dir(l.to)
	err = errors.Join(os.WriteFile(filepath.Join(dir, growthPlot), []byte(g.plot()), 0o644), os.WriteFile(filepath.Join(dir, growthFile), text, 0o644))
	if err != nil {
		return err
	}
	return splice(l.to, growthFrom, growthTo, g.markdown())
}
