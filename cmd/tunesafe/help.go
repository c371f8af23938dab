package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
)

// helpWidth is where descriptions of flags are wrapped, in columns.
const helpWidth = 80

// about heads overview and manual page.
const about = "a drive that is an encrypted backup of a music library in any S3 bucket"

func helpCommand() *command {
	return &command{
		name:    "help",
		args:    "[COMMAND]",
		summary: "explain a command",
		text:    "Explains a command; without one lists them.",
		bind: func(*pflag.FlagSet) action {
			return func(_ context.Context, e *env, args []string) error {
				if err := want(args, 0, 1, ""); err != nil {
					return err
				}
				if len(args) == 0 {
					return printOverview(e.stdout)
				}
				c := lookUp(args[0])
				if c == nil {
					return &usageError{text: fmt.Sprintf("unknown command %q", args[0])}
				}
				return printHelp(e.stdout, c)
			}
		},
	}
}

func printOverview(w io.Writer) error {
	fmt.Fprintf(w, "tunesafe: %s\n\nusage: tunesafe [--home DIR] COMMAND [ARGUMENT…]\n\n", about)
	for _, c := range commands() {
		if !c.hidden {
			fmt.Fprintf(w, "  %-14s%s\n", c.name, c.summary)
		}
	}
	_, err := fmt.Fprintf(w, "\ntunesafe help COMMAND explains one. To begin: tunesafe init\n")
	return err
}

func printHelp(w io.Writer, c *command) error {
	set, _, _ := c.flags()
	_, err := fmt.Fprintf(w, "usage: %s\n\n%s\n\nflags:\n%s", c.usage(), c.text, set.FlagUsagesWrapped(helpWidth))
	return err
}

// usage is the command line in short.
func (c *command) usage() string {
	return strings.TrimSpace("tunesafe " + c.name + " [FLAG…] " + c.args)
}
