package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/estimate"
	"github.com/tunesafe/tunesafe/internal/price"
	"github.com/tunesafe/tunesafe/internal/schedule"
)

var estimateCommand = &command{
	name:    "estimate",
	args:    "DIR…",
	summary: "what a backup of folders sends, takes and costs, before it does",
	text: `Counts what a first backup of DIR would send: bytes, requests, the time it takes, and
what common suppliers ask for it. Nothing is sent, and no home is needed. Tags and the
like are read, and sound is not; with --quick no file is opened, and names and sizes
tell, roughly. What the repository has already is not taken off.

The time is for the line as --rate gives it, or else as a running tunesafe has measured
it, and for --hours of each day.

Prices are what was known to us on the date in the last column, without taxes, and
change: look at the supplier's page before you decide. To use others, put a table called prices.toml into
the home; --prices prints the one that is used, to begin with.`,
	bind: bindEstimate,
}

func bindEstimate(f *pflag.FlagSet) action {
	rate := f.String("rate", "", "bytes a second that the line takes, as 36kB/s or 1Mbit/s")
	hours := f.Float64("hours", 24, "hours of each day in which it is used")
	quick := f.Bool("quick", false, "open no file: go by names and sizes")
	exclude := f.StringArray("exclude", nil, "leave out what matches `PATTERN`, in gitignore syntax; may be given again")
	table := f.Bool("prices", false, "print the prices that are used")
	return func(ctx context.Context, e *env, args []string) error {
		classes, text, err := price.Table(e.home.PricesFile())
		if *table {
			fmt.Fprint(e.stdout, text)
			return err
		}
		if err != nil {
			return err
		}
		if len(args) == 0 {
			return misuse("estimate needs a folder")
		}
		if *hours <= 0 || *hours > 24 {
			return misuse("--hours is from 0 to 24")
		}
		line, measured, err := lineRate(ctx, e, *rate)
		if err != nil {
			return err
		}
		for i := range args {
			if args[i], err = filepath.Abs(args[i]); err != nil {
				return err
			}
		}
		sum, err := estimate.Folders(ctx, args, estimate.Options{Exclude: *exclude, Avoid: []string{string(e.home)}, Quick: *quick})
		if err != nil {
			return err
		}
		return printEstimate(e.stdout, sum, pace{line, measured, *hours}, classes)
	}
}

// pace is how fast a line takes bytes, and for how much of a day.
type pace struct {
	rate     float64 // bytes a second; 0: not known
	measured bool
	hours    float64
}

// lineRate is what the user gave, or what a running process has measured.
func lineRate(ctx context.Context, e *env, given string) (rate float64, measured bool, err error) {
	if given != "" {
		n, err := schedule.ParseRate(given)
		if err != nil {
			return 0, false, misuse("--rate: %v", err)
		}
		return float64(n), false, nil
	}
	c, err := control.Dial(ctx, e.home.RunDir())
	if err != nil {
		return 0, false, nil
	}
	s, err := c.Status(ctx)
	if err != nil {
		return 0, false, nil
	}
	return s.Rate, true, nil
}

func printEstimate(w io.Writer, s *estimate.Sum, p pace, classes []price.Class) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "Folder:\t%s files in %s folders, %s, of which %s sound and other large data\n", humanize.Comma(s.Files), humanize.Comma(s.Folders), size(s.Bytes), size(s.Sound))
	if s.Left > 0 || len(s.Unread) > 0 {
		fmt.Fprintf(t, "Left out:\t%d by patterns or as sockets, %d unreadable\n", s.Left, len(s.Unread))
	}
	fmt.Fprintf(t, "To upload:\t%s in %s requests, of which tags and names are %s\n", size(s.Send), humanize.Comma(s.Puts), size(s.Labour))
	fmt.Fprintf(t, "To restore:\tthe same bytes in %s requests\n", humanize.Comma(s.Gets))
	fmt.Fprintf(t, "Time:\t%s\n", p.text(s))
	if err := t.Flush(); err != nil {
		return err
	}
	return printCosts(w, s, classes)
}

// text says how long an upload takes.
func (p pace) text(s *estimate.Sum) string {
	if p.rate <= 0 {
		return "not known; give --rate"
	}
	how := "as you say"
	if p.measured {
		how = "as measured"
	}
	return fmt.Sprintf("at %s/s (%s), %g hours a day: tags and names %s, all %s", size(int64(p.rate)), how, p.hours, p.takes(s.Labour), p.takes(s.Send))
}

func (p pace) takes(n int64) string {
	hours := float64(n) / p.rate / 3600
	switch days := hours / p.hours; {
	case hours < 1:
		return fmt.Sprintf("%.0f minutes", math.Ceil(60*hours))
	case days < 1:
		return fmt.Sprintf("%.1f hours", hours)
	default:
		return fmt.Sprintf("%.0f days", math.Ceil(days))
	}
}

// useOf is what a backup asks of a store.
func useOf(s *estimate.Sum) price.Use {
	u := price.Use{Stored: s.Send, Puts: s.Puts, Gets: s.Gets}
	for _, n := range s.Small {
		u.Sizes = append(u.Sizes, price.Size{Bytes: n, Count: 1})
	}
	return u
}

func printCosts(w io.Writer, s *estimate.Sum, classes []price.Class) error {
	u := useOf(s)
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SUPPLIER\tUPLOAD\tA MONTH\tRESTORE\t\tAS OF\tNOTES")
	for _, c := range classes {
		cost := c.Of(u)
		fmt.Fprintf(t, "%s, %s\t%.2f\t%.2f\t%.2f\t%s\t%s\t%s\n", c.Supplier, c.Name, cost.Upload, cost.Month, cost.Restore,
			c.Currency, c.Date.Format(time.DateOnly), notes(c))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, "\nWithout taxes, power and what your provider asks for the line. Prices change: look at the supplier's page.")
	return err
}

// notes says what else is charged.
func notes(c price.Class) string {
	var list []string
	if c.Month > 0 {
		list = append(list, fmt.Sprintf("at least %.2f a month", c.Month))
	}
	if c.Days > 0 {
		list = append(list, fmt.Sprintf("at least %d days", c.Days))
	}
	if c.FreeGB > 0 {
		list = append(list, fmt.Sprintf("%g GB free", c.FreeGB))
	}
	if c.Note != "" {
		list = append(list, c.Note)
	}
	return strings.Join(list, "; ")
}
