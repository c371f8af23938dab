// Bench measures the drive beside the disk under it and go-fuse's own loopback,
// in one run, and prints a table:
//
//	go run ./tests/cmd/bench -program bin/tunesafe
//
// The columns take turns in every round, and the figure is the median of the
// rounds: on a machine that does other work too, only the ratios within a row
// mean something. Tunesafe is the program itself with a store on this machine,
// mounted with a settle time of an hour: its worker sees every change, and
// uploads nothing while the clock runs.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	program string
	dir     string
	rounds  int
	only    *regexp.Regexp
	mega    int  // bytes of the large file, in MiB
	names   int  // files of the large tree
	most    int  // files of the largest tree
	keep    bool // leave everything mounted, for a profiler
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == serveLoopback {
		os.Exit(loopback(os.Args[2], os.Args[3], os.Getenv("PASSTHROUGH") == "1"))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) (err error) {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&o.program, "program", "bin/tunesafe", "the program to measure")
	f.StringVar(&o.dir, "dir", "", "where to work; default a new folder below the temporary one")
	f.IntVar(&o.rounds, "rounds", 3, "rounds of every work")
	only := f.String("only", "", "a regular expression of the rows to measure; default all")
	f.IntVar(&o.mega, "mib", 1024, "size of the large file, in MiB")
	f.IntVar(&o.names, "names", 100_000, "files of the large tree")
	f.IntVar(&o.most, "most", 1_000_000, "files of the largest tree")
	f.BoolVar(&o.keep, "keep", false, "wait for an interrupt before taking everything down")
	if err := f.Parse(args); err != nil {
		return err
	}
	if o.only, err = regexp.Compile(*only); err != nil {
		return err
	}
	b, err := newBench(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		if o.keep {
			fmt.Fprintf(os.Stderr, "everything is left in %s until an interrupt\n", b.dir)
			<-ctx.Done()
		}
		if e := b.close(); err == nil {
			err = e
		}
	}()
	t := table{w: stdout}
	t.head()
	for _, w := range works(b) {
		if !o.only.MatchString(w.name) {
			continue
		}
		if err := b.measure(ctx, w, &t); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	for _, w := range figures() {
		if !o.only.MatchString(w.name) {
			continue
		}
		if err := w.run(ctx, b, &t); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	fmt.Fprintf(stdout, "%d bars not met\n", t.below)
	return nil
}

// work is a row: the same done in every column.
type work struct {
	name    string
	prepare func(ctx context.Context, dir string) error            // once a column, before the clock
	run     func(ctx context.Context, dir string, round int) error // timed
	clean   func(dir string) error                                 // after each round
	bars    []bar
}

// bar is what a row must reach: the speed of a column as a part of another's, or
// ofLoopback of the loopback's in the same mode.
type bar struct {
	column, of string
	least      float64
}

// measure runs a work in all columns, and prints its row.
func (b *bench) measure(ctx context.Context, w work, t *table) error {
	for _, c := range b.columns {
		if w.prepare != nil {
			if err := w.prepare(ctx, c.dir(w)); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	took := map[string][]time.Duration{}
	for round := range b.rounds {
		for i := range b.columns {
			c := b.columns[(i+round)%len(b.columns)]
			settleDisk()
			began := time.Now()
			if err := w.run(ctx, c.dir(w), round); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			took[c.name] = append(took[c.name], time.Since(began))
			if w.clean != nil {
				if err := w.clean(c.dir(w)); err != nil {
					return fmt.Errorf("%s: %w", c.name, err)
				}
			}
		}
	}
	mid := map[string]time.Duration{}
	for name, d := range took {
		slices.Sort(d)
		mid[name] = d[len(d)/2]
	}
	t.row(w, mid)
	return nil
}

// table prints rows as they come, and below each how it stands to its bars.
type table struct {
	w     io.Writer
	below int // bars not met
}

const (
	nameWidth  = 56
	valueWidth = 13
)

func (t *table) head() {
	fmt.Fprintf(t.w, "%-*s", nameWidth, "work, medians in ms")
	for _, n := range columnNames {
		fmt.Fprintf(t.w, "%*s", valueWidth, n)
	}
	fmt.Fprintln(t.w)
}

func (t *table) row(w work, mid map[string]time.Duration) {
	fmt.Fprintf(t.w, "%-*s", nameWidth, w.name)
	for _, n := range columnNames {
		if d, ok := mid[n]; ok {
			fmt.Fprintf(t.w, "%*.1f", valueWidth, float64(d)/1e6)
		} else {
			fmt.Fprintf(t.w, "%*s", valueWidth, "-")
		}
	}
	fmt.Fprintln(t.w)
	for _, b := range w.bars {
		speed := func(of string) float64 { return float64(mid[of]) / float64(mid[b.column]) }
		ok := speed(b.of) >= b.least
		fmt.Fprintf(t.w, "    %s: %.2f of the speed of %s, bar %.2f", b.column, speed(b.of), b.of, b.least)
		if loop := limits[b.column]; loop != b.of {
			// Where go-fuse's own loopback is the limit, most of it will do.
			fmt.Fprintf(t.w, "; %.2f of %s, bar %.2f", speed(loop), loop, ofLoopback)
			ok = ok || speed(loop) >= ofLoopback
		}
		fmt.Fprintf(t.w, ": %s\n", t.verdict(ok))
	}
}

// figure prints a row that only Tunesafe has.
func (t *table) figure(name, value string, ok bool) {
	fmt.Fprintf(t.w, "%-*s%s: %s\n", nameWidth, name, value, t.verdict(ok))
}

func (t *table) verdict(ok bool) string {
	if ok {
		return "ok"
	}
	t.below++
	return "BELOW"
}
