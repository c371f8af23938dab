package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/pflag"
)

var recoveryKeyCommand = &command{
	name:    "recovery-key",
	args:    "[show]",
	summary: "show the recovery key, or note that you keep a copy of it",
	text: `Shows the recovery key of a repository that this home created. It opens the
repository from any machine, with tunesafe or without.

With --saved it is noted that you keep a copy elsewhere, and status stops
reminding you. The key stays in the home.`,
	bind: bindRecoveryKey,
}

func bindRecoveryKey(f *pflag.FlagSet) action {
	saved := f.Bool("saved", false, "note that a copy is kept elsewhere")
	return func(_ context.Context, e *env, args []string) error {
		if err := want(args, 0, 1, ""); err != nil {
			return err
		}
		if len(args) == 1 && (args[0] != "show" || *saved) {
			return misuse("unexpected argument %q", args[0])
		}
		if *saved {
			return noteSaved(e)
		}
		return showKey(e)
	}
}

func showKey(e *env) error {
	if err := e.home.Check(); err != nil {
		return err
	}
	key, err := e.home.RecoveryKey()
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", e.home, errNoRecoveryKey)
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(e.stdout, key)
	return nil
}

func noteSaved(e *env) error {
	c, err := e.home.Config()
	if err != nil {
		return err
	}
	c.RecoveryKeySaved = true
	if err := e.home.SetConfig(c); err != nil {
		return err
	}
	fmt.Fprintln(e.stdout, "noted; status does not remind you any more")
	return nil
}
