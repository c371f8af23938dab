package main

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// sheet is the figures of a run. Each row is about one work and one measure, and
// smaller is better; where it is the other way round the row says so.
type sheet struct {
	began    time.Time
	versions []string
	missing  []string
	failed   []string
	scale    string // how much was done
	sections []*section
}

// section is a table: its first column is what the others are compared with.
type section struct {
	title   string
	intro   string
	columns []string
	limits  []string // columns that are limits rather than rivals
	rows    []*row
}

type row struct {
	name    string
	unit    string
	digits  int
	more    bool // is better
	alone   bool // is told, not compared: the first column has no rival in it
	note    string
	samples map[string][]float64
	words   map[string]string // instead of a figure
}

func (s *sheet) section(title, intro string, columns []string, limits ...string) *section {
	for _, sec := range s.sections {
		if sec.title == title {
			return sec
		}
	}
	sec := &section{title: title, intro: intro, columns: columns, limits: limits}
	s.sections = append(s.sections, sec)
	return sec
}

// row returns the row of that name, made when first asked for.
func (s *section) row(name, unit string, digits int, note string) *row {
	for _, r := range s.rows {
		if r.name == name {
			return r
		}
	}
	r := &row{name: name, unit: unit, digits: digits, note: note, samples: map[string][]float64{}, words: map[string]string{}}
	s.rows = append(s.rows, r)
	return r
}

func (r *row) add(column string, v float64) { r.samples[column] = append(r.samples[column], v) }

func median(v []float64) float64 {
	v = slices.Clone(v)
	slices.Sort(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// figure is a number as people read it.
func figure(v float64, digits int) string {
	s := fmt.Sprintf("%.*f", digits, v)
	whole, rest, _ := strings.Cut(s, ".")
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if rest != "" {
		whole += "." + rest
	}
	return whole
}

// cell is what a column says in a row: its median, and in the first column the
// spread, in the others how many times the first's it is.
func (r *row) cell(column, first string) string {
	v := r.samples[column]
	if len(v) == 0 {
		return r.words[column]
	}
	m := median(v)
	s := figure(m, r.digits)
	if column == first {
		s = "**" + s + "**"
		if lo, hi := slices.Min(v), slices.Max(v); figure(lo, r.digits) != figure(hi, r.digits) {
			s += fmt.Sprintf(" (%s–%s)", figure(lo, r.digits), figure(hi, r.digits))
		}
		return s
	}
	base := r.samples[first]
	if r.alone || len(base) == 0 || median(base) == 0 {
		return s
	}
	ratio := m / median(base)
	digits := 2
	if ratio >= 10 {
		digits = 0
	}
	return fmt.Sprintf("%s · ×%s", s, figure(ratio, digits))
}

// even is how near two figures are that count as the same.
const even = 1.05

// place says how the first column stands in a row.
func (s *section) place(r *row) string {
	base := r.samples[s.columns[0]]
	if r.alone || len(base) == 0 {
		return ""
	}
	mine, rivals := median(base), 0
	type behind struct {
		name  string
		ratio float64
	}
	var better []behind
	for _, c := range s.columns[1:] {
		if len(r.samples[c]) == 0 || slices.Contains(s.limits, c) {
			if r.words[c] != "" {
				rivals++
			}
			continue
		}
		rivals++
		theirs := median(r.samples[c])
		ratio := mine / theirs
		if r.more {
			ratio = theirs / mine
		}
		if mine != theirs && (ratio > even || math.IsInf(ratio, 0)) {
			better = append(better, behind{c, ratio})
		}
	}
	switch {
	case rivals == 0:
		return ""
	case len(better) == 0:
		return "ahead"
	}
	slices.SortFunc(better, func(a, b behind) int { return -cmp.Compare(a.ratio, b.ratio) })
	if math.IsInf(better[0].ratio, 0) {
		return "behind " + better[0].name
	}
	return fmt.Sprintf("behind %s, ×%.2f", better[0].name, better[0].ratio)
}

// markdown is the tables.
func (s *sheet) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Written by `make bench` on %s: %s; %s.\n%s\n", s.began.Format("2006-01-02 15:04"), machine(), strings.Join(s.versions, ", "), s.scale)
	if len(s.missing) > 0 {
		fmt.Fprintf(&b, "Not on this machine, so not compared: %s.\n", strings.Join(s.missing, ", "))
	}
	for _, f := range s.failed {
		fmt.Fprintf(&b, "\nFailed: %s\n", strings.ReplaceAll(f, "\n", " "))
	}
	for _, sec := range s.sections {
		sec.write(&b)
	}
	return b.String()
}

func (s *section) write(b *strings.Builder) {
	var columns []string
	for _, c := range s.columns {
		if slices.ContainsFunc(s.rows, func(r *row) bool { return r.cell(c, s.columns[0]) != "" }) {
			columns = append(columns, c)
		}
	}
	if len(columns) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n| work | %s | tunesafe is | remark |\n|---|%s---|---|\n", s.title, s.intro,
		strings.Join(columns, " | "), strings.Repeat("---:|", len(columns)))
	for _, r := range s.rows {
		cells := make([]string, len(columns))
		for i, c := range columns {
			cells[i] = r.cell(c, s.columns[0])
		}
		name := r.name
		if r.unit != "" {
			name += ", " + r.unit
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", name, strings.Join(cells, " | "), s.place(r), r.note)
	}
}

// machine says what this ran on.
func machine() string {
	model := runtime.GOARCH
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
				model = strings.TrimSpace(v)
				break
			}
		}
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("%d cores of %s, Linux %s, SHA-256 at %.0f MB/s a core, %s", runtime.NumCPU(), model, strings.TrimSpace(string(kernel)), hashRate(), load())
}

// hashRate is how many megabytes a second one core hashes, the best of some tries: what
// a program can do at most that names objects by SHA-256.
func hashRate() float64 {
	p, best := make([]byte, 4<<20), 0.0
	for range 8 {
		began := time.Now()
		sha256.Sum256(p)
		best = max(best, float64(len(p))/1e6/time.Since(began).Seconds())
	}
	return best
}

func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "load unknown"
	}
	return "load " + strings.Fields(string(text))[0] + " in the end"
}

// The part of the file between these lines is the run's; the rest is left alone.
const (
	fromHere = "<!-- make bench writes from here -->"
	toHere   = "<!-- to here -->"
)

// splice puts the tables between two lines of the file, at its top if it has not got them.
func splice(file, fromHere, toHere, text string) error {
	old, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	part := fromHere + "\n" + text + toHere + "\n"
	before, rest, ok := strings.Cut(string(old), fromHere+"\n")
	_, after, closed := strings.Cut(rest, toHere+"\n")
	if !ok || !closed {
		before, after = "# Benchmarks\n\n", "\n"+string(old)
	}
	return os.WriteFile(file, []byte(before+part+after), 0o644)
}
