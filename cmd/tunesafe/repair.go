package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/home"
)

var repairCommand = &command{
	name:    "repair",
	summary: "make a damaged or copied home work again",
	text: `Rebuilds what is damaged or missing in the home's local database from the store,
and has a home that is a copy of another, or was restored from a backup, go on as
a device of its own. Names, tags and everything else that was uploaded come back.
Files that were never uploaded are put into the folder lost+found of the drive,
under their names where the damaged database still tells them. What was damaged is
kept, in the folder state of the home; nothing in the store is deleted.

The drive must not be mounted. The recovery key is needed only where the home
holds none, which is the case on every machine but the first.`,
	bind: bindRepair,
}

func bindRepair(f *pflag.FlagSet) action {
	var o opener
	o.bind(f, "", "open the repository with")
	return func(ctx context.Context, e *env, args []string) error {
		if err := want(args, 0, 0, ""); err != nil {
			return err
		}
		key, err := o.read()
		if err != nil {
			return err
		}
		return repair(ctx, e, key)
	}
}

func repair(ctx context.Context, e *env, key *secret) error {
	d, err := openToRepair(ctx, e.home, key)
	if errors.Is(err, cache.ErrDamaged) {
		d, err = setAside(ctx, e, key, err)
	}
	if err != nil {
		return err
	}
	return errors.Join(d.repair(ctx, e), d.Close())
}

func openToRepair(ctx context.Context, h home.Home, key *secret) (*drive, error) {
	lock, err := h.LockWithin(ctx, lockPatience)
	if err != nil {
		return nil, err
	}
	return openDrive(ctx, h, lock, driveOptions{recovery: key})
}

// setAside opens the home with an empty database in place of the damaged one.
func setAside(ctx context.Context, e *env, key *secret, why error) (*drive, error) {
	fmt.Fprintf(e.stdout, "%s\n", oneLine(why.Error()))
	lock, err := e.home.LockWithin(ctx, lockPatience)
	if err != nil {
		return nil, err
	}
	aside, err := e.home.SetStateAside()
	if err := errors.Join(err, lock.Unlock()); err != nil {
		return nil, err
	}
	fmt.Fprintf(e.stdout, "what was there is kept in %s\n", aside)
	return openToRepair(ctx, e.home, key)
}

func (d *drive) repair(ctx context.Context, e *env) error {
	pulled, warning, err := d.takeIn(ctx)
	if err := errors.Join(err, warning); err != nil {
		return err
	}
	if pulled.Copied {
		fmt.Fprintf(e.stdout, "this home was a copy: it is device %s now\n", d.worker.Device().ID)
	}
	for _, name := range pulled.Beside {
		fmt.Fprintf(e.stdout, "changed here and in the other copy, and kept beside: %s\n", name)
	}
	for _, name := range d.found {
		fmt.Fprintf(e.stdout, "not uploaded before, and kept: %s\n", name)
	}
	fmt.Fprintf(e.stdout, "the home is in order: tunesafe mount DIR%s\n", homeFlag(d.home))
	return nil
}
