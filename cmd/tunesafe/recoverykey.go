package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/internal/home"
	"github.com/tunesafe/tunesafe/internal/recoverykit"
	"github.com/tunesafe/tunesafe/internal/repo"
)

var recoveryKeyCommand = &command{
	name:    "recovery-key",
	args:    "[show | --combine FILE…]",
	summary: "show the recovery key, or note that you keep a copy of it",
	text: `Shows the recovery key of a repository that this home created. It opens the
repository from any machine, with tunesafe or without.

With --saved it is noted that you keep a copy elsewhere, and status stops
reminding you. The key stays in the home.

With --combine the shares of a key, that tunesafe recovery-kit --shares made, are
joined, and the key is printed. Each FILE holds one or several, typed or scanned.`,
	bind: bindRecoveryKey,
}

func bindRecoveryKey(f *pflag.FlagSet) action {
	saved := f.Bool("saved", false, "note that a copy is kept elsewhere")
	combine := f.Bool("combine", false, "join the shares in the files named")
	return func(_ context.Context, e *env, args []string) error {
		if *combine {
			return combineKey(e, args)
		}
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

// combineKey joins shares. It needs no home.
func combineKey(e *env, files []string) error {
	if err := want(files, 1, -1, "FILE"); err != nil {
		return err
	}
	var shares []string
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		found := recoverykit.FindShares(string(text))
		if len(found) == 0 {
			return fmt.Errorf("%s: %w", name, recoverykit.ErrShare)
		}
		shares = append(shares, found...)
	}
	key, err := recoverykit.CombineKey(shares)
	if err != nil {
		return err
	}
	if _, err := repo.ParseRecoveryKey(key); err != nil {
		return recoverykit.ErrMixedShares
	}
	fmt.Fprintln(e.stdout, key)
	return nil
}

func noteSaved(e *env) error {
	if err := keepSaved(e.home); err != nil {
		return err
	}
	fmt.Fprintln(e.stdout, "noted; status does not remind you any more")
	return nil
}

// keepSaved notes that a copy of the key is kept elsewhere.
func keepSaved(h home.Home) error {
	c, err := h.Config()
	if err != nil {
		return err
	}
	c.RecoveryKeySaved = true
	return h.SetConfig(c)
}
