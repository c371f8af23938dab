package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
)

func manCommand() *command {
	return &command{
		name:    "man",
		args:    "DIR",
		summary: "write the manual pages",
		text:    "Writes tunesafe.1, and a page for each command, into a folder that exists.",
		hidden:  true,
		bind: func(*pflag.FlagSet) action {
			return func(_ context.Context, _ *env, args []string) error {
				if err := want(args, 1, 1, "DIR"); err != nil {
					return err
				}
				return writeManual(args[0])
			}
		},
	}
}

func writeManual(dir string) error {
	pages := map[string]string{"tunesafe.1": overviewPage()}
	for _, c := range commands() {
		if !c.hidden {
			pages["tunesafe-"+c.name+".1"] = commandPage(c)
		}
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func overviewPage() string {
	var b strings.Builder
	heading(&b, "tunesafe", about)
	b.WriteString(".SH SYNOPSIS\n.B tunesafe\n[\\-\\-home DIR] COMMAND [ARGUMENT…]\n.SH COMMANDS\n")
	for _, c := range commands() {
		if !c.hidden {
			fmt.Fprintf(&b, ".TP\n.BR tunesafe\\-%s (1)\n%s\n", roff(c.name), roff(c.summary))
		}
	}
	b.WriteString(".SH FILES\n.TP\n.I ~/.local/share/tunesafe\n" +
		"The home: configuration, keys, state and cache. $XDG_DATA_HOME/tunesafe if that is set.\n" +
		".TP\n.I ~/.local/share/tunesafe\\-store\nThe store, where none is named.\n")
	b.WriteString(".SH ENVIRONMENT\n.TP\n.B " + roff(homeEnv) + "\nThe home, unless \\-\\-home is given.\n" +
		".TP\n.BR AWS_ACCESS_KEY_ID \", \" AWS_SECRET_ACCESS_KEY\nThe store's credentials; other ways of the AWS tools work too.\n")
	exitStatus(&b)
	return b.String()
}

func commandPage(c *command) string {
	var b strings.Builder
	heading(&b, "tunesafe-"+c.name, c.summary)
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B tunesafe %s\n[FLAG…] %s\n.SH DESCRIPTION\n", roff(c.name), roff(c.args))
	b.WriteString(strings.ReplaceAll(roff(c.text), "\n\n", "\n.PP\n") + "\n.SH OPTIONS\n")
	set, _, _ := c.flags()
	set.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			flagEntry(&b, f)
		}
	})
	exitStatus(&b)
	b.WriteString(".SH SEE ALSO\n.BR tunesafe (1)\n")
	return b.String()
}

func flagEntry(b *strings.Builder, f *pflag.Flag) {
	kind, usage := pflag.UnquoteUsage(f)
	b.WriteString(".TP\n.B ")
	if f.Shorthand != "" {
		fmt.Fprintf(b, "\\-%s, ", f.Shorthand)
	}
	fmt.Fprintf(b, "%s\n%s\n", roff(strings.TrimSpace("--"+f.Name+" "+kind)), roff(usage))
}

func heading(b *strings.Builder, name, summary string) {
	fmt.Fprintf(b, ".TH %s 1 \"\" \"tunesafe %s\"\n.SH NAME\n%s \\- %s\n",
		strings.ToUpper(roff(name)), roff(versionText()), roff(name), roff(summary))
}

func exitStatus(b *strings.Builder) {
	b.WriteString(".SH EXIT STATUS\n0 on success, 1 on failure, 2 if the command line is wrong, 3 if wait ran out of time, 4 if a backup could not read something, 5 if it held something, 6 if status \\-\\-check has something for a person, 7 if check or log verify found something wrong.\n")
}

// roff escapes what would otherwise steer troff: roff(7).
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
