package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/internal/control"
)

var lsCommand = &command{
	name:    "ls",
	args:    "[PATH…]",
	summary: "list what is on the drive, without mounting",
	text: `Lists a folder of the drive; without PATH its top. With -l also mode, size, time,
and whether a file is safe.`,
	bind: bindLs,
}

func bindLs(f *pflag.FlagSet) action {
	long := f.BoolP("long", "l", false, "one line a name, with mode, size, time and state")
	return func(ctx context.Context, e *env, args []string) error {
		if len(args) == 0 {
			args = []string{"/"}
		}
		return withOwner(ctx, e, func(o control.Owner) error {
			for i, name := range args {
				if len(args) > 1 {
					fmt.Fprintf(e.stdout, "%s%s:\n", strings.Repeat("\n", min(i, 1)), name)
				}
				if err := list(ctx, e.stdout, o, name, *long); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

func list(ctx context.Context, w io.Writer, o control.Owner, name string, long bool) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	plain := !isTerminal(w)
	err := o.List(ctx, control.ListRequest{Path: []byte(name)}, func(e control.Entry) {
		text := shown(e.Name, plain)
		if !long {
			fmt.Fprintln(t, text)
			return
		}
		if len(e.Target) > 0 {
			text += " -> " + shown(e.Target, plain)
		}
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\n", modeText(e.Mode), e.Size, e.Mtime.Local().Format(time.DateTime), e.State, text)
	})
	if err != nil {
		return err
	}
	return t.Flush()
}

// shown keeps names from steering a terminal; programs get them as they are.
func shown(name []byte, plain bool) string {
	if plain {
		return string(name)
	}
	quoted := fmt.Sprintf("%q", name)
	if quoted == `"`+string(name)+`"` {
		return string(name)
	}
	return quoted
}

// typeLetters are those of ls, by the type bits of st_mode: inode(7).
var typeLetters = map[uint32]byte{
	modeFile: '-', modeDir: 'd', modeLink: 'l',
	0o010000: 'p', 0o020000: 'c', 0o060000: 'b', 0o140000: 's',
}

// modeText is as by ls.
func modeText(mode uint32) string {
	text := []byte("?rwxrwxrwx")
	if letter, ok := typeLetters[mode&modeType]; ok {
		text[0] = letter
	}
	for i := range 9 {
		if mode&(1<<(8-i)) == 0 {
			text[i+1] = '-'
		}
	}
	for i, special := range []struct {
		bit  uint32
		with byte
	}{{0o4000, 's'}, {0o2000, 's'}, {0o1000, 't'}} {
		at := 3 * (i + 1)
		if mode&special.bit == 0 {
			continue
		}
		if text[at] == '-' {
			special.with -= 'a' - 'A'
		}
		text[at] = special.with
	}
	return string(text)
}
