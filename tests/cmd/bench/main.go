// Bench compares Tunesafe with other programs and with the limits of the machine, in
// one run, and writes the tables of docs/BENCHMARKS.md:
//
//	go run ./tests/cmd/bench -program bin/tunesafe -to docs/BENCHMARKS.md
//
// There are two kinds of rows. In the scenes every program backs the same library
// up to the same S3 server behind the counting proxy, retags it, scans it cold, plays
// from it and restores it. In the works the drive stands beside the disk under it and
// go-fuse's own loopback; its worker sees every change there, and uploads nothing
// while the clock runs.
//
// The programs take turns, and the figure is the median of the rounds: on a machine that
// does other work too, only the ratios within a row mean something. Programs that are
// not here are said to be missing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tunesafe/tunesafe/tests/musiclib"
)

// options are the flags.
type options struct {
	program string
	gateway string // the S3 server
	dir     string
	to      string // the file that gets the tables
	rounds  int
	only    *regexp.Regexp
	peers   map[string]bool // none for all
	mega    int             // bytes of the large file, in MiB
	names   int             // files of the large tree
	most    int             // files of the largest tree
	keep    bool            // leave everything mounted, for a profiler
	quick   bool            // the figures mean nothing

	main, small musiclib.Options // the libraries
	lineBytes   int64            // of the library that goes over a line
	lineRate    int64            // bytes a second
	kindNames   []string         // containers
	perKind     int              // tracks of each
	sizes       []int            // tracks of the libraries of the scene scale

	here []maker
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == serveLoopback {
		os.Exit(loopback(os.Args[2], os.Args[3], os.Getenv("PASSTHROUGH") == "1"))
	}
	if len(os.Args) > 1 && os.Args[1] == copyRaw {
		os.Exit(copyRawMain(os.Args[2:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	_, err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func parse(args []string) (o options, err error) {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&o.program, "program", "bin/tunesafe", "the program to measure")
	f.StringVar(&o.gateway, "server", ".bin/versitygw", "the S3 server, a versitygw")
	f.StringVar(&o.dir, "dir", "", "where to work; default a new folder below the temporary one")
	f.StringVar(&o.to, "to", "", "the file to write the tables into; default only the terminal")
	f.IntVar(&o.rounds, "rounds", 3, "rounds of every work that a busy machine disturbs")
	only := f.String("only", "", "a regular expression of the scenes and works to measure; default all but \"largest tree\" and \"scale\"")
	peers := f.String("peers", "", "the programs to compare, with commas; default all that are here")
	f.IntVar(&o.mega, "mib", 1024, "size of the large file, in MiB")
	f.IntVar(&o.names, "names", 100_000, "files of the large tree")
	f.IntVar(&o.most, "most", 1_000_000, "files of the largest tree")
	mb := f.Int64("mb", 1060, "size of the library, in megabytes")
	tiny := f.Int("tiny", 20_000, "tracks of the library of tiny ones")
	sizes := f.String("scale", "1000,10000,100000", "tracks of the libraries of the scene scale, with commas")
	lineMB := f.Int64("line-mb", 240, "size of the library that goes over a slow line, in megabytes")
	lineRate := f.Int64("line-rate", 16, "megabytes a second of that line")
	f.BoolVar(&o.keep, "keep", false, "wait for an interrupt before taking everything down")
	f.BoolVar(&o.quick, "quick", false, "do a little of all, to see that it works: the figures mean nothing")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if *only == "" {
		*only = "^(backup|drive|line|tiny|kinds|large tree)$|[a-z] file|thread|random|retag 1,000"
	}
	if o.only, err = regexp.Compile(*only); err != nil {
		return o, err
	}
	if *peers != "" {
		o.peers = map[string]bool{}
		for _, name := range strings.Split(*peers, ",") {
			o.peers[name] = true
		}
	}
	if o.quick {
		*sizes = "40,120"
	}
	if o.sizes, err = parseSizes(*sizes); err != nil {
		return o, err
	}
	o.lineBytes, o.lineRate = *lineMB*1e6, *lineRate*1e6
	o.perKind, o.kindNames = 100, []string{"mp3", "m4a-front", "m4a-back", alac, "flac", "ogg", "opus", "wav"}
	o.main = musiclib.Options{Albums: 20, TracksPerAlbum: 10, TotalBytes: *mb * 1e6, ArtBytes: [2]int{100e3, 300e3}, Seed: 1}
	o.small = musiclib.Options{Albums: *tiny / 10, TracksPerAlbum: 10, TotalBytes: int64(*tiny) * 25e3, ArtBytes: [2]int{2e3, 4e3}, Seed: 1, Plain: true}
	if o.quick {
		o.rounds, o.mega, o.names, o.most = 1, 8, 200, 400
		o.main = musiclib.Options{Albums: 12, TracksPerAlbum: 6, TotalBytes: 72e6, ArtBytes: [2]int{20e3, 60e3}, Seed: 1}
		o.small.Albums, o.small.TotalBytes = 10, 3e6
		o.lineBytes, o.lineRate, o.perKind, o.kindNames = 4e6, 20e6, 2, []string{"mp3", "ogg"}
	}
	o.program, err = filepath.Abs(o.program)
	return o, err
}

func run(ctx context.Context, args []string, stdout io.Writer) (l *lab, err error) {
	o, err := parse(args)
	if err != nil {
		return nil, err
	}
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "tunesafe-bench-"); err != nil {
			return nil, err
		}
		defer func() {
			if e := os.RemoveAll(o.dir); err == nil {
				err = e
			}
		}()
	}
	l = &lab{options: o, log: os.Stderr, out: stdout, sheet: &sheet{began: time.Now()}, spent: map[string]cost{}}
	l.here, l.sheet.missing = l.cast(ctx)
	l.sheet.scale = fmt.Sprintf("The library: %d tracks of seven kinds, %d MB, a picture in each; %d rounds of what a busy machine disturbs, one of the rest.",
		o.main.Albums*o.main.TracksPerAlbum, o.main.TotalBytes/1e6, o.rounds)
	for _, part := range []func(context.Context) error{l.works, l.scenes} {
		if err := part(ctx); err != nil {
			fmt.Fprint(stdout, l.sheet.markdown()) // what there is
			return l, errors.Join(err, l.save())
		}
	}
	fmt.Fprint(stdout, l.sheet.markdown())
	return l, l.save()
}

// save writes the tables as far as they are.
func (l *lab) save() error {
	if l.to == "" || len(l.sheet.sections) == 0 {
		return nil
	}
	return splice(l.to, fromHere, toHere, l.sheet.markdown())
}

// scenes runs what needs a server.
func (l *lab) scenes(ctx context.Context) (err error) {
	list := slices.DeleteFunc(scenes(), func(s scene) bool { return !l.only.MatchString(s.name) })
	if len(list) == 0 {
		return nil
	}
	if l.server, err = startServer(ctx, l.gateway, filepath.Join(l.dir, "server")); err != nil {
		return err
	}
	defer l.server.stop()
	for _, s := range list {
		if err := s.run(ctx, l); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if err := l.save(); err != nil {
			return err
		}
	}
	return nil
}

// works runs what stands beside the disk.
func (l *lab) works(ctx context.Context) (err error) {
	wanted := func(name string) bool { return l.only.MatchString(name) }
	if !slices.ContainsFunc(works(nil), func(w work) bool { return wanted(w.name) }) && !slices.ContainsFunc(figures(), func(f figureOf) bool { return wanted(f.name) }) {
		return nil
	}
	b, err := newBench(ctx, l.options)
	if err != nil {
		return err
	}
	defer func() {
		if l.keep {
			fmt.Fprintf(os.Stderr, "everything is left in %s until an interrupt\n", b.dir)
			<-ctx.Done()
		}
		if e := b.close(); err == nil {
			err = e
		}
	}()
	t := table{l.sheet.section("The drive beside the disk", "Medians. \"disk\" is ext4 or whatever is under all of them, \"loopback\" go-fuse's own example, which "+
		"does nothing but pass on; \"/pt\" is with the kernel's passthrough.", columnNames, native, loopPlain, loopPass, ownPlain)}
	for _, w := range works(b) {
		if wanted(w.name) {
			if err := b.measure(ctx, w, t); err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
		}
	}
	for _, f := range figures() {
		if wanted(f.name) {
			if err := f.run(ctx, b, t); err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
		}
	}
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
func (b *bench) measure(ctx context.Context, w work, t table) error {
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
	t.row(w, took)
	return nil
}

// table is the section of these rows.
type table struct{ *section }

func (t table) row(w work, took map[string][]time.Duration) {
	r := t.section.row(w.name, "ms", 1, "")
	mid := map[string]float64{}
	for column, list := range took {
		for _, d := range list {
			r.add(column, float64(d)/1e6)
		}
		mid[column] = median(r.samples[column])
	}
	var notes []string
	for _, b := range w.bars {
		speed := mid[b.of] / mid[b.column]
		note := fmt.Sprintf("%s: %.2f of the speed of %s, aim %.2f", b.column, speed, b.of, b.least)
		if loop := limits[b.column]; loop != b.of && speed < b.least {
			// Where go-fuse's own loopback is the limit, most of it will do.
			note += fmt.Sprintf("; %.2f of %s, aim %.2f", mid[loop]/mid[b.column], loop, ofLoopback)
		}
		notes = append(notes, note)
	}
	r.note = strings.Join(notes, "; ")
}

// figure adds a row that only Tunesafe has.
func (t table) figure(name, value string, ok bool) {
	r := t.section.row(name, "", 0, "")
	r.words[ownPass] = value
	if !ok {
		r.note = "below its aim"
	}
}
