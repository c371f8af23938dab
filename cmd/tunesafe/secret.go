package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"filippo.io/age"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/tunesafe/tunesafe/internal/home"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/store"
)

// opener is what a person has to open a repository with: a file with a recovery
// key, one with a passphrase, or what is typed. Secrets are never arguments or
// variables of the environment, which other programs can see.
type opener struct {
	keyFile        string
	passphraseFile string
}

// bind adds the flags; prefix is put before that of the passphrase.
func (o *opener) bind(f *pflag.FlagSet, prefix, what string) {
	f.StringVar(&o.keyFile, "recovery-key", "", what+" the recovery key in `FILE`, or another that was added")
	f.StringVar(&o.passphraseFile, prefix+"passphrase-file", "", what+" the passphrase in the first line of `FILE`")
}

// secret is a key, or a passphrase that opens one.
type secret struct {
	identity   age.Identity
	passphrase string
}

// read gives the secret in the files named; nil if none is.
func (o *opener) read() (*secret, error) {
	switch {
	case o.keyFile != "" && o.passphraseFile != "":
		return nil, misuse("a recovery key and a passphrase exclude each other")
	case o.keyFile != "":
		key, err := home.ReadRecoveryKey(o.keyFile)
		return &secret{identity: key}, err
	case o.passphraseFile != "":
		text, err := readPassphrase(o.passphraseFile)
		return &secret{passphrase: text}, err
	}
	return nil, nil
}

// readOrAsk gives the secret in the files named, else the home's recovery key,
// else what is typed.
func (o *opener) readOrAsk(e *env) (*secret, error) {
	if s, err := o.read(); s != nil || err != nil {
		return s, err
	}
	key, err := e.home.RecoveryKey()
	if err == nil {
		return &secret{identity: key}, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return askSecret(e)
}

func askSecret(e *env) (*secret, error) {
	text, err := ask(e, "recovery key or passphrase: ")
	if err != nil {
		return nil, err
	}
	if key, err := repo.ParseRecoveryKey(text); err == nil {
		return &secret{identity: key}, nil
	}
	return &secret{passphrase: text}, nil
}

// key gives the identity that opens the repository in the store.
func (s *secret) key(ctx context.Context, st store.Store) (age.Identity, error) {
	if s.identity != nil {
		return s.identity, nil
	}
	return repo.OpenPassphrase(ctx, st, s.passphrase)
}

// readPassphrase reads the first line of a file.
func readPassphrase(name string) (string, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSuffix(line, "\r"), nil
}

// leastPassphrase is the length, in characters, of the shortest that is taken:
// whoever has a copy of the bucket can try passphrases for as long as he likes.
const leastPassphrase = 12

// newPassphrase gives a passphrase to be set, from a file or typed twice.
func newPassphrase(e *env, file string) (string, error) {
	return newSecret(e, file, "passphrase", errShortPassphrase)
}

// newSecret is that for what is called so; short is the error of one that is too short.
func newSecret(e *env, file, what string, short error) (text string, err error) {
	if file != "" {
		text, err = readPassphrase(file)
	} else if text, err = ask(e, "new "+what+": "); err == nil {
		var again string
		if again, err = ask(e, "the same again: "); err == nil && again != text {
			err = errNotTheSame
		}
	}
	if err == nil {
		err = longEnough(text, short)
	}
	return text, err
}

// ask reads a line from the terminal, which does not show it.
func ask(e *env, prompt string) (string, error) {
	f, ok := e.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return "", errNoTerminal
	}
	fmt.Fprint(e.stderr, prompt)
	defer fmt.Fprintln(e.stderr)
	text, err := term.ReadPassword(int(f.Fd()))
	return string(text), err
}

// canAsk tells whether somebody is there to type.
func canAsk(e *env) bool {
	f, ok := e.stdin.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
