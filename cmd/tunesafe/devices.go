package main

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/internal/repo"
)

var devicesCommand = &command{
	name:    "devices",
	args:    "[list | retire NAME | new-epoch]",
	summary: "list the machines of the repository, and retire one that was lost",
	text: `Lists the homes that write to the repository: name, id, and when each committed last.

retire says of one, by name or id, that it belongs to the repository no longer: what
it commits from now on is refused by all others and reported by check, and it stops
by itself when it learns of it. What it committed before stays. A new key epoch
begins: whoever has the lost home reads nothing that is written from now on; the
other machines take the new keys before they write the next time, or when they start.

new-epoch only begins a new key epoch, as is due after a key was removed.

Revoke the lost home's credentials for the bucket at your provider, too: with them
objects can be deleted. A home in which the repository was made holds the recovery
key; if such a one was stolen, the thief can open everything, and what helps is a
new repository.

retire and new-epoch need the recovery key, or another key that opens everything.`,
	bind: bindDevices,
}

func bindDevices(f *pflag.FlagSet) action {
	var o opener
	o.bind(f, "", "open the repository with")
	return func(ctx context.Context, e *env, args []string) error {
		if err := want(args, 0, 2, ""); err != nil {
			return err
		}
		switch word := strings.Join(args[:min(len(args), 1)], ""); {
		case len(args) == 0, word == "list" && len(args) == 1:
			return listDevices(ctx, e)
		case word == "retire" && len(args) == 1:
			return misuse("NAME is missing")
		case word == "retire":
			return retire(ctx, e, o, args[1])
		case word == "new-epoch" && len(args) == 1:
			return newEpoch(ctx, e, o)
		}
		return misuse("unexpected argument %q", args[len(args)-1])
	}
}

func listDevices(ctx context.Context, e *env) error {
	d, err := openBucket(ctx, e)
	if err != nil {
		return err
	}
	defer d.Close()
	certs, bad, err := repo.Devices(ctx, d.store, d.keys)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(e.stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintf(t, "NAME\tID\tENROLLED\tLAST COMMIT\n")
	for _, c := range byName(certs) {
		last, err := lastCommit(ctx, d, c)
		if err != nil {
			return err
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", oneLine(c.Name), c.Device, c.Enrolled.Local().Format(time.DateOnly), last)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, err := range bad {
		warn(e.stderr, explain(err))
	}
	return nil
}

func byName(certs map[string]repo.Certificate) (list []repo.Certificate) {
	for _, c := range certs {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b repo.Certificate) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Device, b.Device))
	})
	return list
}

// lastCommit words the newest commit of a device, by the store's clock.
func lastCommit(ctx context.Context, d *drive, c repo.Certificate) (string, error) {
	at, err := repo.LastCommit(ctx, d.store, c.Device)
	if err != nil {
		return "", err
	}
	text := "none"
	if !at.IsZero() {
		text = at.Local().Format(time.DateTime)
	}
	if c.Device == d.device.ID {
		text += "   this home"
	}
	if c.Retired != nil {
		text += fmt.Sprintf("   retired on %s at commit %d", c.Retired.Time.Local().Format(time.DateOnly), c.Retired.Last.Seq)
	}
	refused, err := repo.Refused(ctx, d.store, c)
	if len(refused) > 0 {
		text += fmt.Sprintf(", %s since refused", count(int64(len(refused)), "commit"))
	}
	return text, err
}

// named finds the device of that id, or the only one of that name.
func named(certs map[string]repo.Certificate, name string) (found repo.Certificate, err error) {
	if c, ok := certs[name]; ok {
		return c, nil
	}
	for _, c := range certs {
		if c.Name != name {
			continue
		}
		if found.Device != "" {
			return found, fmt.Errorf("%s: %w", name, errManyDevices)
		}
		found = c
	}
	if found.Device == "" {
		return found, fmt.Errorf("%s: %w", name, errNoDevice)
	}
	return found, nil
}

func retire(ctx context.Context, e *env, o opener, name string) error {
	d, err := openBucket(ctx, e)
	if err != nil {
		return err
	}
	defer d.Close()
	certs, _, err := repo.Devices(ctx, d.store, d.keys)
	if err != nil {
		return err
	}
	c, err := named(certs, name)
	if err != nil {
		return err
	}
	if c.Device == d.device.ID {
		return fmt.Errorf("%s: %w", name, errOwnDevice)
	}
	root, err := d.unlockRoot(ctx, e, o)
	if err != nil {
		return err
	}
	if c.Retired, err = repo.Retire(ctx, d.store, d.keys, root, c); err != nil {
		return err
	}
	certs[c.Device] = c
	fmt.Fprintf(e.stdout, "retired %s (%s): what it commits after commit %d is refused\n", oneLine(c.Name), c.Device, c.Retired.Last.Seq)
	if err := d.beginEpoch(ctx, e, root, certs); err != nil {
		return err
	}
	fmt.Fprintln(e.stdout, "revoke its credentials for the bucket at your provider: with them objects can be deleted")
	fmt.Fprintln(e.stdout, "if the repository was made on it, it held the recovery key, unless you had removed recovery.key there: whoever has that opens everything, and only a new repository keeps him out")
	return nil
}

func newEpoch(ctx context.Context, e *env, o opener) error {
	d, err := openBucket(ctx, e)
	if err != nil {
		return err
	}
	defer d.Close()
	root, err := d.unlockRoot(ctx, e, o)
	if err != nil {
		return err
	}
	certs, _, err := repo.Devices(ctx, d.store, d.keys)
	if err != nil {
		return err
	}
	return d.beginEpoch(ctx, e, root, certs)
}

// beginEpoch begins a key epoch and says for whom.
func (d *drive) beginEpoch(ctx context.Context, e *env, root ed25519.PrivateKey, certs map[string]repo.Certificate) error {
	infos, _, err := repo.ListKeys(ctx, d.store, d.keys)
	if err != nil {
		return err
	}
	next, err := repo.BeginEpoch(ctx, d.store, d.keys, root, certs)
	if err != nil {
		return err
	}
	if err := d.home.SetKeys(next); err != nil {
		return err
	}
	var open, closed, machines []string
	for _, i := range infos {
		if i.Recipient == nil {
			closed = append(closed, i.Name)
		} else {
			open = append(open, i.Name)
		}
	}
	for _, c := range byName(certs) {
		if c.Retired == nil {
			machines = append(machines, oneLine(c.Name))
		}
	}
	fmt.Fprintf(e.stdout, "key epoch %d has begun; what is written from now on is open to the keys %s, and to %s as soon as they write or start again\n",
		next.Epoch(), strings.Join(open, ", "), strings.Join(machines, ", "))
	if len(closed) > 0 {
		fmt.Fprintf(e.stdout, "it is closed to the keys %s, of which there is no record: add them again with tunesafe keys add\n", strings.Join(closed, ", "))
	}
	return nil
}
