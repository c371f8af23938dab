package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/home"
)

var repairCommand = &command{
	name:    "repair",
	summary: "make a damaged home, or a damaged store, work again",
	text: `Rebuilds what is damaged or missing in the home's local database from the store,
and has a home that is a copy of another, or was restored from a backup, go on as
a device of its own. Names, tags and everything else that was uploaded come back.
Files that were never uploaded are put into the folder lost+found of the drive,
under their names where the damaged database still tells them. What was damaged is
kept, in the folder state of the home; nothing in the store is deleted.

With --bucket what is damaged or missing in the store is put back, too: keys,
certificates and the log as this home keeps them, packs as they were uploaded, sound
and everything else out of the cache, out of the folders that are backed up
(whatever the files are called and however they are tagged by now), and out of
every folder that --from names, which may be another home of the same repository.
Nothing is taken that is not, byte for byte, what was lost. --read reads all of the
store for it, as tunesafe check --read does; without it only what is missing or has
another size is seen. Files of which bytes are lost are named, and the exit code is
7; what is left of them stays in the store, as a source may turn up. --give-up says
that none will: the damaged objects are to be deleted by the next prune, and commits
that no home has are passed over from then on, what the packs of a checkpoint still
tell of them is taken in, and files that only those placed are put into lost+found.

With --bucket the drive may be mounted, but then lost commits of the log are left
alone; for all else it must not be. The recovery key is needed only where the home
holds none, which is the case on every machine but the first.`,
	bind: bindRepair,
}

func bindRepair(f *pflag.FlagSet) action {
	var o repairOptions
	o.bind(f, "", "open the repository with")
	f.BoolVar(&o.store, "bucket", false, "put back what is damaged or missing in the store")
	f.BoolVar(&o.all, "read", false, "read all of the store to find what is damaged (with --bucket)")
	f.StringArrayVar(&o.from, "from", nil, "look for lost bytes in the folder, or home, `DIR`, too; may be repeated (with --bucket)")
	f.BoolVar(&o.giveUp, "give-up", false, "do without what no source has (with --bucket)")
	return func(ctx context.Context, e *env, args []string) error {
		if err := want(args, 0, 0, ""); err != nil {
			return err
		}
		if !o.store && (o.all || o.giveUp || len(o.from) > 0) {
			return misuse("--read, --from and --give-up need --bucket")
		}
		var err error
		if o.key, err = o.read(); err != nil {
			return err
		}
		return repair(ctx, e, o)
	}
}

func repair(ctx context.Context, e *env, o repairOptions) error {
	if o.store && o.key == nil {
		client, err := control.Dial(ctx, e.home.RunDir())
		if err == nil {
			return repairFromHere(ctx, e, o, client.Repair)
		}
		if !errors.Is(err, control.ErrNoOwner) {
			return err
		}
	}
	d, err := openToRepair(ctx, e.home, o.key)
	if errors.Is(err, cache.ErrDamaged) {
		d, err = setAside(ctx, e, o.key, err)
	}
	if err != nil {
		return err
	}
	if o.store {
		own := &owner{drive: d}
		return errors.Join(repairFromHere(ctx, e, o, func(ctx context.Context, r control.RepairRequest, progress func(control.RepairProgress)) (control.RepairReport, error) {
			return own.repairStore(ctx, r, o.key, progress)
		}), d.Close())
	}
	return errors.Join(d.repairHome(ctx, func(format string, args ...any) { fmt.Fprintf(e.stdout, format+"\n", args...) }), d.Close())
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

// repairHome has the home take in what it lacks, and tells what became of it.
func (d *drive) repairHome(ctx context.Context, tell func(string, ...any)) error {
	pulled, warning, err := d.takeIn(ctx)
	if err := errors.Join(err, warning); err != nil {
		return err
	}
	if pulled.Copied {
		tell("this home was a copy: it is device %s now", d.worker.Device().ID)
	}
	for _, name := range pulled.Beside {
		tell("changed here and in the other copy, and kept beside: %s", name)
	}
	for _, name := range d.found {
		tell("not uploaded before, and kept: %s", name)
	}
	tell("the home is in order: tunesafe mount DIR%s", homeFlag(d.home))
	return nil
}
