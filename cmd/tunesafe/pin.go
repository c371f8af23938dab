package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/sync/stock"
)

var pinCommand = &command{
	name:    "pin",
	args:    "PATH…",
	summary: "keep an album, a folder or a playlist on this machine",
	text: `Has files stay on this machine, to be played without the store: a folder with all that
is or will be in it, a file, or what a playlist (.m3u, .m3u8) names. What is missing is
fetched in the background, whenever nobody else needs the line, by the process that
serves the drive; nothing of it is ever evicted, and it does not count to --cache-size.
A pin follows what it names when that is renamed. It is known on this machine alone.

It says how large it is, and pins nothing if all of it does not fit on the disk.`,
	bind: func(*pflag.FlagSet) action {
		return func(ctx context.Context, e *env, args []string) error {
			if err := want(args, 1, -1, "PATH"); err != nil {
				return err
			}
			return pins(ctx, e, control.DoPin, args)
		}
	},
}

var unpinCommand = &command{
	name:    "unpin",
	args:    "PATH…",
	summary: "end what tunesafe pin began",
	text: `Ends a pin, named as tunesafe pins lists it. What is here stays until the cache needs
the room.`,
	bind: func(*pflag.FlagSet) action {
		return func(ctx context.Context, e *env, args []string) error {
			if err := want(args, 1, -1, "PATH"); err != nil {
				return err
			}
			return pins(ctx, e, control.DoUnpin, args)
		}
	},
}

var pinsCommand = &command{
	name:    "pins",
	summary: "list what is pinned, and how much of it is here",
	text:    `Lists what tunesafe pin has stay on this machine, and how much of it is here.`,
	bind: func(*pflag.FlagSet) action {
		return func(ctx context.Context, e *env, args []string) error {
			if err := want(args, 0, 0, ""); err != nil {
				return err
			}
			return pins(ctx, e, control.DoList, nil)
		}
	},
}

func pins(ctx context.Context, e *env, do string, paths []string) error {
	r := control.PinRequest{Do: do}
	for _, p := range paths {
		r.Paths = append(r.Paths, []byte(p))
	}
	return withOwner(ctx, e, func(o control.Owner) error {
		report, err := o.Pin(ctx, r)
		if err != nil {
			return err
		}
		writePins(e.stdout, do, report)
		return nil
	})
}

func writePins(w io.Writer, do string, r control.PinReport) {
	if do == control.DoUnpin {
		fmt.Fprintf(w, "no longer pinned; %s left\n", count(int64(len(r.Pins)), "pin"))
		return
	}
	if len(r.Pins) == 0 {
		fmt.Fprintln(w, "nothing is pinned")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	missing := int64(0)
	for _, p := range r.Pins {
		text := "is not on the drive any more"
		if !p.Gone {
			text = pinText(p)
		}
		missing += p.Bytes - p.BytesHere
		fmt.Fprintf(t, "%s\t%s\n", shown(p.Path, !isTerminal(w)), text)
	}
	t.Flush()
	switch {
	case missing <= 0:
	case r.Serves:
		fmt.Fprintln(w, "what is missing is fetched when nobody else needs the line; tunesafe status shows how far it is")
	default:
		fmt.Fprintln(w, "what is missing is fetched once the drive is mounted or the agent runs")
	}
}

func pinText(p control.Pin) string {
	if p.Files == p.Here {
		return fmt.Sprintf("%s, %s, all here", count(p.Files, "file"), size(p.Bytes))
	}
	return fmt.Sprintf("%s, %s; %d (%s) here", count(p.Files, "file"), size(p.Bytes), p.Here, size(p.BytesHere))
}

// keptTexts tells what is kept on this machine, a row each; empty where there is nothing.
func keptTexts(k *control.Kept) (pinned, instant string) {
	if k == nil {
		return "", ""
	}
	if k.Files > 0 {
		pinned = pinText(control.Pin{Files: k.Files, Here: k.Here, Bytes: k.Bytes, BytesHere: k.BytesHere})
		if k.Trouble != "" && k.Here < k.Files {
			pinned += "; waits: " + k.Trouble
		}
	}
	if k.Instant > 0 {
		instant = fmt.Sprintf("the first %v of %d of %s here (%s)", k.Instant, k.Heads, count(k.Tracks, "track"), size(k.HeadBytes))
		if k.HeadsEnded {
			instant += "; there is no room for more"
		}
	}
	return pinned, instant
}

// Pin implements [control.Owner].
func (o *owner) Pin(ctx context.Context, r control.PinRequest) (report control.PinReport, err error) {
	report = control.PinReport{Serves: o.serves, Room: o.cache.Room(), Pins: []control.Pin{}}
	if err := o.learn(ctx, false); err != nil {
		return report, err
	}
	var paths []string
	for _, p := range r.Paths {
		name := o.onDrive(string(p))
		if _, err := find(o.cache, name); err != nil && r.Do == control.DoPin {
			return report, err
		}
		paths = append(paths, name)
	}
	var all []stock.Pinned
	switch r.Do {
	case control.DoPin:
		all, err = o.stock.Pin(paths)
	case control.DoUnpin:
		if err = o.stock.Unpin(paths); err == nil {
			all, err = o.stock.Pins()
		}
	default:
		all, err = o.stock.Pins()
	}
	for _, p := range all {
		report.Pins = append(report.Pins, control.Pin{Path: p.Path, Files: p.Files, Here: p.Here, Bytes: p.Bytes, BytesHere: p.BytesHere, Gone: p.Gone})
	}
	return report, err
}

// keptStatus tells what is kept here; nil if nothing is.
func (d *drive) keptStatus() *control.Kept {
	s := d.stock.Status()
	if s.Files == 0 && s.Instant == 0 {
		return nil
	}
	k := &control.Kept{Files: s.Files, Here: s.Here, Bytes: s.Bytes, BytesHere: s.BytesHere, Instant: s.Instant,
		Heads: s.Heads, Tracks: s.Tracks, HeadBytes: s.HeadBytes, HeadsEnded: s.HeadsEnded}
	if s.Trouble != nil {
		k.Trouble = oneLine(s.Trouble.Error())
	}
	return k
}

// stocking fetches what is to be kept here until stop.
func (o *owner) stocking(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		o.stock.Run(ctx)
	}()
	return func() { cancel(); <-ended }
}

// mostInstant bounds --instant: what is longer is better pinned.
const mostInstant = time.Minute
