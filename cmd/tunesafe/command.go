package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/internal/home"
)

// homeEnv names the home of whoever gives no --home.
const homeEnv = "TUNESAFE_HOME"

// command is one word after tunesafe.
type command struct {
	name    string
	args    string // as in "restore PATH… DEST"
	summary string // one line, for the overview
	text    string // paragraphs for help and manual page
	hidden  bool   // from the overview; people do not type it
	bind    func(f *pflag.FlagSet) action
}

// action does what a command is for; args are what is left beside the flags.
type action func(ctx context.Context, e *env, args []string) error

// env is what a command sees of the world.
type env struct {
	home           home.Home
	stdin          io.Reader
	stdout, stderr io.Writer
}

// commands is the table, in the order of the overview.
func commands() []*command {
	return []*command{
		initCommand, mountCommand, unmountCommand, statusCommand, waitCommand,
		backupCommand, approveCommand, rejectCommand, estimateCommand,
		agentCommand, pauseCommand, resumeCommand, runNowCommand, installCommand, uninstallCommand,
		snapshotsCommand, historyCommand, diffCommand, undoCommand,
		restoreCommand, lsCommand, pinCommand, unpinCommand, pinsCommand, pictureCommand, pruneCommand, checkCommand, healthCommand, rehearseCommand, logCommand, repairCommand, recoveryKeyCommand,
		keysCommand, recoveryKitCommand, devicesCommand, storeCommand,
		webCommand, logsCommand, serveCommand, versionCommand, helpCommand(),
		completionCommand(), manCommand(),
	}
}

func lookUp(name string) *command {
	for _, c := range commands() {
		if c.name == name {
			return c
		}
	}
	return nil
}

// usageError is a command line that cannot be understood.
type usageError struct {
	command string // "" is before any command
	text    string
}

// Error implements error.
func (e *usageError) Error() string { return e.text }

// misuse makes a usageError; dispatch adds the command.
func misuse(format string, a ...any) error { return &usageError{text: fmt.Sprintf(format, a...)} }

// flags makes the flag set of a command, which every --help, completion and
// manual page is made from.
func (c *command) flags() (set *pflag.FlagSet, homeDir *string, do action) {
	set = pflag.NewFlagSet(c.name, pflag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.SortFlags = false
	set.Usage = func() {}
	do = c.bind(set)
	homeDir = set.String("home", "", "the home folder `DIR` (default $"+homeEnv+", else ~/.local/share/tunesafe)")
	return set, homeDir, do
}

// dispatch finds the command and runs it.
func dispatch(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	global := pflag.NewFlagSet("tunesafe", pflag.ContinueOnError)
	global.SetOutput(io.Discard)
	global.SetInterspersed(false)
	global.Usage = func() {}
	before := global.String("home", "", "")
	version := global.Bool("version", false, "")
	if err := global.Parse(args); errors.Is(err, pflag.ErrHelp) {
		return printOverview(stdout)
	} else if err != nil {
		return &usageError{text: err.Error()}
	}
	e := &env{stdin: stdin, stdout: stdout, stderr: stderr}
	rest := global.Args()
	if *version {
		rest = []string{"version"}
	}
	if len(rest) == 0 {
		printOverview(stderr)
		return &usageError{text: "no command given"}
	}
	c := lookUp(rest[0])
	if c == nil {
		return &usageError{text: fmt.Sprintf("unknown command %q", rest[0])}
	}
	return c.run(ctx, e, *before, rest[1:])
}

// run parses the flags of the command and does it.
func (c *command) run(ctx context.Context, e *env, homeBefore string, args []string) error {
	set, homeDir, do := c.flags()
	if err := set.Parse(args); errors.Is(err, pflag.ErrHelp) {
		return printHelp(e.stdout, c)
	} else if err != nil {
		return &usageError{c.name, err.Error()}
	}
	dir := *homeDir
	if dir == "" {
		dir = homeBefore
	}
	var err error
	if e.home, err = chooseHome(dir); err != nil {
		return err
	}
	err = do(ctx, e, set.Args())
	if u, ok := errors.AsType[*usageError](err); ok && u.command == "" {
		u.command = c.name
	}
	return err
}

// chooseHome resolves the home, absolutely: see package s3server for why.
func chooseHome(dir string) (home.Home, error) {
	if dir == "" {
		dir = os.Getenv(homeEnv)
	}
	if dir == "" {
		var err error
		if dir, err = home.Default(); err != nil {
			return "", fmt.Errorf("%w: %w", errNoHomeDir, err)
		}
	}
	return home.At(dir)
}

// want checks the number of arguments; most < 0 is any number.
func want(args []string, least, most int, names string) error {
	switch {
	case len(args) < least && names == "":
		return misuse("an argument is missing")
	case len(args) < least:
		return misuse("%s is missing", names)
	case most >= 0 && len(args) > most:
		return misuse("unexpected argument %q", strings.Join(args[most:], " "))
	}
	return nil
}
