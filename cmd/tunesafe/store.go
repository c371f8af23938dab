package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/internal/home"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/store"
)

var storeCommand = &command{
	name:    "store",
	args:    "move --to s3://bucket/prefix",
	summary: "move the repository to another bucket or supplier",
	text: `Copies every object to another place, compares both, checks the copy, and has this
home use it from then on. Nothing is read from the music, and nothing is encrypted
again. What is there already by name and size is not sent again, so a move that was
interrupted goes on where it was. The drive may stay mounted while most is copied;
for the last step it must not be. The old place is left as it is.

With --copied the objects were copied by another tool, such as s3cmd, rclone or the
supplier's own: all below the old prefix to below the new one. Names, sizes and what
the copy's log says are compared; tunesafe check --read then reads every byte.

Credentials for the new place are found as tunesafe init finds them; those for the old
one are the home's own. The other machines of the repository go on with the old place
until the same command is given there: what they wrote meanwhile is copied, too.`,
	bind: bindStore,
}

// moveOptions are the flags of store move.
type moveOptions struct {
	initOptions
	copied bool
}

func bindStore(f *pflag.FlagSet) action {
	var o moveOptions
	f.StringVar(&o.store, "to", "", "the new place, as `s3://bucket/prefix`")
	o.bindStore(f)
	f.BoolVar(&o.copied, "copied", false, "another tool has copied the objects")
	return func(ctx context.Context, e *env, args []string) error {
		if len(args) != 1 || args[0] != "move" {
			return misuse("store move is all there is")
		}
		if o.store == "" {
			return misuse("--to s3://bucket/prefix is missing")
		}
		where, err := o.where(e.home)
		if err != nil {
			return err
		}
		return moveStore(ctx, e, &o, where)
	}
}

// move is a repository on its way from one store to another.
type move struct {
	*drive
	to    *home.OpenStore
	ahead bool // the new place has commits that the old one lacks: another machine uses it
}

func moveStore(ctx context.Context, e *env, o *moveOptions, where home.Store) error {
	if err := e.home.Check(); err != nil {
		return err
	}
	// The new store comes first: once that of the home is open, the environment's
	// credentials are forgotten.
	to, made, err := openNewStore(ctx, where, home.Credentials{}, o.copied)
	if err != nil {
		return err
	}
	defer to.Close()
	if made {
		fmt.Fprintf(e.stdout, "created the bucket of %s\n", where)
	}
	creds, kept, err := credentialsOf(ctx, to, &where, !o.noCredentials)
	if err != nil {
		return err
	}
	d, err := openBucket(ctx, e)
	if err != nil {
		return err
	}
	defer d.Close()
	if old := d.config.Store; old.URL == where.URL && old.Endpoint == where.Endpoint {
		fmt.Fprintf(e.stdout, "the home uses %s already\n", where)
		return d.use(where, creds, kept)
	}
	if old := d.config.Store.LockDays; old > 0 && where.LockDays == 0 {
		fmt.Fprintf(e.stdout, "the old place locks what is written for %s, and the new one will not: --lock %d has it do so\n", count(int64(old), "day"), old)
	}
	m := &move{drive: d, to: to}
	if err := m.mayEnter(ctx, where); err != nil {
		return err
	}
	if !o.copied { // most of it while the drive may be in use
		if err := m.copy(ctx, e); err != nil {
			return err
		}
	}
	lock, err := e.home.LockWithin(ctx, lockPatience)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if !o.copied {
		if err := m.copy(ctx, e); err != nil {
			return err
		}
	}
	if err := m.compare(ctx, e); err != nil {
		return err
	}
	from := d.config.Store
	if err := d.use(where, creds, kept); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "this home uses %s from now on\n", where)
	fmt.Fprintf(e.stdout, "%s is left as it was; delete it there when you want to, once the other machines of the repository were moved, too\n", from)
	return m.tellOthers(ctx, e, where)
}

// tellOthers says what is to be done on the other machines, which go on with the old
// place until then.
func (m *move) tellOthers(ctx context.Context, e *env, where home.Store) error {
	certs, _, err := repo.Devices(ctx, m.to, m.keys)
	if err != nil {
		return err
	}
	var names []string
	for _, c := range byName(certs) {
		if c.Retired == nil && c.Device != m.device.ID {
			names = append(names, oneLine(c.Name))
		}
	}
	if len(names) == 0 {
		return nil
	}
	fmt.Fprintf(e.stdout, "what %s back up still goes to the old place, and is taken along by this command there, with the drive unmounted: tunesafe store move %s\n",
		strings.Join(names, ", "), whereFlags("--to", where))
	return nil
}

// mayEnter refuses a place that holds another repository.
func (m *move) mayEnter(ctx context.Context, where home.Store) error {
	if _, err := repo.RepoHash(ctx, m.store, m.keys); err != nil {
		return err
	}
	_, err := repo.RepoHash(ctx, m.to, m.keys)
	here := err == nil
	if errors.Is(err, repo.ErrWrongKey) || errors.Is(err, repo.ErrCorrupt) {
		return fmt.Errorf("%s %w", where, errRepoHere)
	}
	if err != nil && !errors.Is(err, repo.ErrNoRepository) {
		return err
	}
	old := map[string]bool{}
	for info, err := range m.store.List(ctx, "log/", "") {
		if err != nil {
			return err
		}
		old[info.Key] = true
	}
	for info, err := range m.to.List(ctx, "log/", "") {
		if err != nil {
			return err
		}
		m.ahead = m.ahead || !old[info.Key]
	}
	if m.ahead && !here {
		return fmt.Errorf("%s %w", where, errRepoHere)
	}
	return nil
}

func (m *move) copy(ctx context.Context, e *env) error {
	p := newProgress(e.stderr)
	// Keys that were changed at the new place since another machine moved there are
	// newer than the old place's.
	keep := func(string) bool { return m.ahead }
	done, err := store.Copy(ctx, m.to, m.store, keep, "repo.json", func(done store.Copied, of, bytes int64) {
		p.draw(fmt.Sprintf("copied %d of %s (%s of %s)", done.Objects, count(of, "object"), size(done.Bytes), size(bytes)))
	})
	p.clear()
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "copied %s (%s), %d were there\n", count(done.Objects, "object"), size(done.Bytes), done.There)
	return nil
}

// compare compares both places, and what the new one has with its log. Nothing
// is changed here unless it finds all in order.
func (m *move) compare(ctx context.Context, e *env) error {
	d, err := store.Compare(ctx, m.to, m.store)
	if err != nil {
		return err
	}
	if m.ahead {
		d.Changed = nil
	}
	for _, lists := range []struct {
		names []string
		what  string
	}{{d.Missing, "not copied"}, {d.Resized, "of another size in the copy"}, {d.Changed, "other bytes in the copy"}} {
		for _, name := range lists.names {
			fmt.Fprintf(e.stdout, "problem: %s: %s\n", name, lists.what)
		}
	}
	if n := len(d.Missing) + len(d.Resized) + len(d.Changed); n > 0 {
		return fmt.Errorf("%w: %s", errNotCopied, count(int64(n), "object"))
	}
	extra := slices.DeleteFunc(d.More, func(name string) bool { return !strings.HasPrefix(name, "keys/") })
	if len(extra) > 0 && !m.ahead {
		fmt.Fprintf(e.stdout, "note: the new place has keys that the old one has not: %s\n", strings.Join(extra, ", "))
	}
	return m.check(ctx, e)
}

func (m *move) check(ctx context.Context, e *env) error {
	index, err := m.openIndex()
	if err != nil {
		return err
	}
	findings, sum, err := repo.Check(ctx, m.to, m.keys, index, repo.CheckOptions{})
	if err = errors.Join(err, index.Close()); err != nil {
		return err
	}
	problems := 0
	for _, f := range findings {
		if !f.Harmless {
			problems++
			fmt.Fprintf(e.stdout, "problem: %s: %s\n", f.Object, oneLine(f.Problem))
		}
	}
	if problems > 0 {
		return fmt.Errorf("%w: %s", errNotCopied, count(int64(problems), "problem"))
	}
	fmt.Fprintf(e.stdout, "compared: the copy has all that the old place has; checked %s, %s, %s (%s)\n",
		count(sum.Files, "file"), count(int64(sum.Commits), "commit"), count(sum.Objects, "object"), size(sum.Bytes))
	return nil
}

// use has the home use another store. Should it be cut short between the two
// files, the same command again finishes it.
func (d *drive) use(where home.Store, creds home.Credentials, kept bool) error {
	d.config.Store = where
	if err := d.home.SetConfig(d.config); err != nil {
		return err
	}
	if kept {
		return d.home.SetCredentials(creds)
	}
	if err := os.Remove(d.home.CredentialsFile()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
