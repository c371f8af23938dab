package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"filippo.io/age"
	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/repo"
)

var keysCommand = &command{
	name:    "keys",
	args:    "list | add NAME | remove NAME | passwd NAME",
	summary: "say who can open the repository beside the recovery key",
	text: `list shows the keys that open the repository, and which of them opened this home. add lets another in: with --passphrase
one that is typed twice (or read from --passphrase-file), or with --recipient age1…
whoever has that identity of age, such as a second recovery key or a spouse's. Such
a key opens the repository as the recovery key does, from any machine: whatever asks
for a recovery key takes it. With --read-only it opens what is in the backup and can
enrol no machine: a home that is made with it is read-only.

remove takes a key away. Who had it may keep what he could read until then, and
could read again a copy of the bucket of that time; what comes after is closed to
him once a new key epoch has begun, which "tunesafe devices new-epoch" does. The last
key that opens all of the repository stays.

passwd changes a passphrase. Nothing is encrypted again, so whoever knows the old one
and has an old copy of the bucket can still open that.

add and remove need the recovery key, or another key that opens all: the home's own,
if it has one, or --recovery-key FILE, or --unlock-passphrase-file FILE, or what is
typed. A passphrase is never an argument or a variable of the environment.`,
	bind: bindKeys,
}

// keysOptions are the flags of keys.
type keysOptions struct {
	opener
	passphrase     bool
	passphraseFile string
	recipient      string
	readOnly       bool
}

func bindKeys(f *pflag.FlagSet) action {
	var o keysOptions
	f.BoolVar(&o.passphrase, "passphrase", false, "add a passphrase, asked for on the terminal")
	f.StringVar(&o.passphraseFile, "passphrase-file", "", "the new passphrase is the first line of `FILE`")
	f.StringVar(&o.recipient, "recipient", "", "add the recipient `age1…` of age")
	f.BoolVar(&o.readOnly, "read-only", false, "the key opens the data and enrols no machine")
	o.opener.bind(f, "unlock-", "what opens the repository:")
	return func(ctx context.Context, e *env, args []string) error {
		if err := want(args, 1, 2, "list, add, remove or passwd"); err != nil {
			return err
		}
		do := map[string]func(context.Context, *env, *keysOptions, string) error{
			"list": listKeys, "add": addKey, "remove": removeKey, "passwd": changePassphrase,
		}[args[0]]
		switch {
		case do == nil:
			return misuse("unexpected argument %q", args[0])
		case args[0] == "list" && len(args) == 2:
			return misuse("unexpected argument %q", args[1])
		case args[0] != "list" && len(args) == 1:
			return misuse("NAME is missing")
		case args[0] != "add" && (o.recipient != "" || o.readOnly || o.passphrase):
			return misuse("--recipient, --read-only and --passphrase are for add")
		}
		return do(ctx, e, &o, args[len(args)-1])
	}
}

// openBucket opens the home's store and keys, and takes no lock: what is written
// is no part of the log.
func openBucket(ctx context.Context, e *env) (*drive, error) {
	d := &drive{home: e.home}
	err := d.readHome()
	if err == nil {
		err = d.openStore(ctx, driveOptions{})
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func listKeys(ctx context.Context, e *env, _ *keysOptions, _ string) error {
	d, err := openBucket(ctx, e)
	if err != nil {
		return err
	}
	defer d.Close()
	report, err := keyring{d}.Keys(ctx)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(e.stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintf(t, "NAME\tKIND\tOPENS\tADDED\tRECIPIENT\n")
	for _, k := range report.Keys {
		fmt.Fprintln(t, keyLine(k))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, f := range report.Problems {
		warn(e.stderr, &f)
	}
	return nil
}

func keyLine(k control.Key) string {
	opened := ""
	if k.ThisHome {
		opened = "   opened this home"
	}
	if k.Added == nil {
		return fmt.Sprintf("%s\t%s\t%s\t-\tnot recorded: new key epochs are closed to it%s", k.Name, k.Kind, "?", opened)
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s%s", k.Name, k.Kind, k.Opens, k.Added.Local().Format(time.DateOnly), k.Recipient, opened)
}

func addKey(ctx context.Context, e *env, o *keysOptions, name string) error {
	passphrased := o.passphrase || o.passphraseFile != ""
	if passphrased == (o.recipient != "") {
		return misuse("either --passphrase or --recipient age1… is needed")
	}
	if o.recipient != "" {
		if _, err := age.ParseX25519Recipient(o.recipient); err != nil {
			return misuse("--recipient: %q is not of the form age1…", o.recipient)
		}
	}
	d, err := openBucket(ctx, e)
	if err != nil {
		return err
	}
	defer d.Close()
	r := control.AddKeyRequest{Name: name, Recipient: o.recipient, ReadOnly: o.readOnly}
	s, err := o.readOrAsk(e)
	if err != nil {
		return err
	}
	if passphrased {
		if r.Passphrase, err = newPassphrase(e, o.passphraseFile); err != nil {
			return err
		}
	}
	if err := (keyring{d}).addKey(ctx, r, s); err != nil {
		return err
	}
	opens := "everything, as the recovery key does"
	if o.readOnly {
		opens = "what is in the backup, and enrols no machine"
	}
	fmt.Fprintf(e.stdout, "added %s: it opens %s\n", name, opens)
	return nil
}

func removeKey(ctx context.Context, e *env, o *keysOptions, name string) error {
	d, err := openBucket(ctx, e)
	if err != nil {
		return err
	}
	defer d.Close()
	s, err := o.readOrAsk(e)
	if err != nil {
		return err
	}
	if err := (keyring{d}).removeKey(ctx, name, s); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "removed %s; what it could read before, whoever has it may still read, from a copy or an old version of the bucket\n", name)
	fmt.Fprintf(e.stdout, "a new key epoch closes to it what comes from now on: tunesafe devices new-epoch%s\n", homeFlag(e.home))
	return nil
}

func changePassphrase(ctx context.Context, e *env, o *keysOptions, name string) error {
	d, err := openBucket(ctx, e)
	if err != nil {
		return err
	}
	defer d.Close()
	if o.keyFile != "" {
		return misuse("the old passphrase is needed, not a recovery key")
	}
	old := ""
	if o.opener.passphraseFile != "" {
		old, err = readPassphrase(o.opener.passphraseFile)
	} else {
		old, err = ask(e, "old passphrase: ")
	}
	if err != nil {
		return err
	}
	passphrase, err := newPassphrase(e, o.passphraseFile)
	if err != nil {
		return err
	}
	if err := repo.ChangePassphrase(ctx, d.store, name, old, passphrase); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "changed the passphrase of %s; nothing else was encrypted again\n", name)
	return nil
}
