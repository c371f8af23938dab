package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"filippo.io/age"

	"github.com/tunesafe/tunesafe/internal/crashpoint"
	"github.com/tunesafe/tunesafe/internal/home"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/store"
)

// entry is the way that init found into a repository.
type entry struct {
	keys       *repo.Keys
	root       ed25519.PrivateKey // enrols the device, then is forgotten; nil: the home is read-only
	opened     string             // the name of the key that opened it; empty: not known
	device     *repo.Device
	recovery   *age.X25519Identity // nil if the repository was there before
	madeBucket bool
	kept       bool     // the credentials, in the home
	ignored    []string // storage classes that the store does not keep
	where      home.Store
}

// enter makes a repository, or opens the one that is there with the key given.
//
// The recovery key is written before the repository is made: one made with a
// key that is lost would be in the way for ever. An init that was cut short in
// between is taken up again with the key it left.
//
// A repository that is there is opened with what is typed, if nothing is given.
func (b beginning) enter(ctx context.Context, st store.Store) (*entry, error) {
	there, err := repo.Exists(ctx, st)
	if err != nil {
		return nil, err
	}
	switch {
	case b.given != nil && !there:
		return nil, fmt.Errorf("%s %w", b.where, errNoRepoHere)
	case b.given != nil:
		return unlock(ctx, st, b.given)
	case there:
		in, err := resume(ctx, b.home, st, b.where)
		if !errors.Is(err, errRepoHere) || b.ask == nil {
			return in, err
		}
		given, err := b.ask(b.where)
		if err != nil {
			return nil, err
		}
		return unlock(ctx, st, given)
	}
	key, err := b.home.NewRecoveryKey()
	if err != nil {
		return nil, err
	}
	crashpoint.At("init.recovery")
	k, root, err := repo.Create(ctx, st, key)
	return &entry{keys: k, root: root, recovery: key, opened: repo.RecoveryName}, err
}

func unlock(ctx context.Context, st store.Store, s *secret) (*entry, error) {
	key, err := s.key(ctx, st)
	if err != nil {
		return nil, err
	}
	k, root, err := repo.Unlock(ctx, st, key)
	if err != nil {
		return nil, err
	}
	return &entry{keys: k, root: root, opened: keyNamed(ctx, st, k, key)}, nil
}

// resume opens a repository without a key given: only one that an init of this
// very home has made.
func resume(ctx context.Context, h home.Home, st store.Store, where home.Store) (*entry, error) {
	key, err := h.RecoveryKey()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s %w", where, errRepoHere)
	}
	if err != nil {
		return nil, err
	}
	in, err := unlock(ctx, st, &secret{identity: key})
	if errors.Is(err, repo.ErrWrongKey) {
		return nil, fmt.Errorf("%s %w", where, errRepoHere)
	}
	if err != nil {
		return nil, err
	}
	in.recovery = key
	return in, nil
}

// followLock has a home lock what it writes as the other machines of the repository do,
// unless it was told how.
func (in *entry) followLock(ctx context.Context, st *home.OpenStore, seen store.Store, where home.Store) (home.Store, error) {
	if where.LockDays > 0 || in.recovery != nil || in.root == nil || where.Local() {
		return where, nil
	}
	l, err := repo.LockOf(ctx, seen, in.keys)
	if err != nil || l.Days <= 0 {
		return where, err
	}
	where.LockDays, where.LockMode = min(l.Days, longestLock), l.Mode
	if err := where.Lock().Check(); err != nil {
		return where, err
	}
	st.SetLock(where.Lock())
	return where, st.TryLock(ctx)
}

func (in *entry) enrol(ctx context.Context, st store.Store, name string) (err error) {
	if name == "" {
		if name, err = os.Hostname(); err != nil {
			name = "unnamed"
		}
	}
	if in.root == nil {
		in.device, err = repo.NewDevice(name)
		return err
	}
	in.device, err = repo.Enrol(ctx, st, in.keys, in.root, name)
	return err
}

// save writes what the home keeps, config.toml last.
func (in *entry) save(h home.Home, where home.Store) error {
	if err := h.SetKeys(in.keys); err != nil {
		return err
	}
	if err := h.SetDevice(in.device); err != nil {
		return err
	}
	crashpoint.At("init.device")
	if in.recovery != nil { // a new repository is empty: all of it is known
		if err := h.SetKnown(); err != nil {
			return err
		}
	}
	return h.SetConfig(home.Config{
		Repository:       in.keys.RepoID(),
		Created:          time.Now().UTC().Truncate(time.Second),
		RecoveryKeySaved: in.recovery == nil,
		ReadOnly:         in.root == nil,
		OpenedBy:         in.opened,
		Store:            where,
	})
}

// tell prints what was done and what comes next.
func (in *entry) tell(w io.Writer, h home.Home, where home.Store) {
	if in.madeBucket && !where.Local() {
		fmt.Fprintf(w, "created the bucket of %s\n", where)
	}
	if in.recovery == nil {
		fmt.Fprintf(w, "opened repository %s in %s\n", in.keys.RepoID(), where)
	} else {
		fmt.Fprintf(w, "created repository %s in %s\n", in.keys.RepoID(), where)
	}
	if in.root == nil {
		fmt.Fprintf(w, "the key opens the data and enrols no machine: this home is read-only\n")
	}
	if where.Local() {
		fmt.Fprintf(w, "this store is on the same machine: a copy, and not yet a backup (a bucket elsewhere is given with --store)\n")
	} else if in.kept {
		fmt.Fprintf(w, "kept the store's credentials in %s\n", h.CredentialsFile())
	} else if where.Profile != "" {
		fmt.Fprintf(w, "kept no credentials: profile %s of the AWS configuration gives them\n", where.Profile)
	}
	for _, class := range in.ignored {
		fmt.Fprintf(w, "the store took an object of class %s and keeps it in another: it may have one class only\n", class)
	}
	if where.LockDays > 0 {
		fmt.Fprintln(w, lockText(where))
	}
	if in.recovery != nil {
		showRecoveryKey(w, h, in.recovery)
	}
	fmt.Fprintf(w, "next: tunesafe mount DIR%s\n", homeFlag(h))
}

// showRecoveryKey prints the key and what to do with it.
func showRecoveryKey(w io.Writer, h home.Home, key *age.X25519Identity) {
	fmt.Fprintf(w, "the recovery key, also in %s:\n\n    %s\n\n", h.RecoveryFile(), key)
	fmt.Fprintf(w, "keep a copy of it elsewhere: whoever has it can read the backup, and without it nothing can be restored\n")
	fmt.Fprintf(w, "when you have: tunesafe recovery-key --saved%s\n", homeFlag(h))
}

// homeFlag is what a command line needs to name h.
func homeFlag(h home.Home) string {
	if usual, err := chooseHome(""); err == nil && usual == h {
		return ""
	}
	return " --home " + string(h)
}
