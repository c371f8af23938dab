package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/internal/control"
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
	report, err := keyring{d}.Devices(ctx)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(e.stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintf(t, "NAME\tID\tENROLLED\tLAST COMMIT\n")
	for _, m := range report.Devices {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", oneLine(m.Name), m.ID, m.Enrolled.Local().Format(time.DateOnly), lastSeen(m))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, f := range report.Problems {
		warn(e.stderr, &f)
	}
	return nil
}

func retire(ctx context.Context, e *env, o opener, name string) error {
	d, err := openBucket(ctx, e)
	if err != nil {
		return err
	}
	defer d.Close()
	report, err := keyring{d}.retire(ctx, name, func() (*secret, error) { return o.readOrAsk(e) })
	if m := report.Device; m.Retired != nil {
		fmt.Fprintf(e.stdout, "retired %s (%s): what it commits after commit %d is refused\n", oneLine(m.Name), m.ID, m.Last)
	}
	if err != nil {
		return err
	}
	tellEpoch(e, report.Epoch)
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
	s, err := o.readOrAsk(e)
	if err != nil {
		return err
	}
	report, err := keyring{d}.newEpoch(ctx, s)
	if err != nil {
		return err
	}
	tellEpoch(e, report)
	return nil
}

// tellEpoch says for whom a key epoch has begun.
func tellEpoch(e *env, r control.EpochReport) {
	fmt.Fprintf(e.stdout, "key epoch %d has begun; what is written from now on is open to the keys %s, and to %s as soon as they write or start again\n",
		r.Epoch, strings.Join(r.Keys, ", "), strings.Join(r.Devices, ", "))
	if len(r.Closed) > 0 {
		fmt.Fprintf(e.stdout, "it is closed to the keys %s, of which there is no record: add them again with tunesafe keys add\n", strings.Join(r.Closed, ", "))
	}
}
