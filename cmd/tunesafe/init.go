package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/internal/crashpoint"
	"github.com/tunesafe/tunesafe/internal/home"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/internal/store/s3"
)

var initCommand = &command{
	name:    "init",
	summary: "make a home, and a repository or a way into an existing one",
	text: `Makes the home folder and, in the store, a new repository. A bucket that does
not exist is created where the credentials allow it. The recovery key is shown
and kept in the home: copy it to a place that this machine's end would not touch.

With --recovery-key or --passphrase-file the repository that is in the store already
is opened, as a second machine does, or this one after its disk was lost; on a terminal
it is asked for. A key that only reads (tunesafe keys add --read-only) makes a home
that is read-only.

Credentials are found as by every AWS tool: AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY (with AWS_SESSION_TOKEN), ~/.aws, single sign-on, or the
machine's role. They are kept in the home, with mode 0600, so that mount works from
another shell. Those that expire and that the AWS configuration renews are not kept:
the home remembers the profile (AWS_PROFILE) instead.

--storage-class puts the audio, which is large and seldom read, into a cheaper class
of the store, such as STANDARD_IA or GLACIER_IR at Amazon; objects below 128 KiB stay
in the usual one, as the cheaper bill that much for each. Packs, which hold tags and
pictures and are read at every scan, have a class only if --pack-storage-class names
one. Classes that must be restored before they are read (GLACIER, DEEP_ARCHIVE) are
no use to a drive. Changing storage_class in config.toml changes what is written from
then on.

--lock 30 has the bucket keep whatever is written for 30 days, and what is still needed
locked again and again, so that nobody who steals the credentials, and no malicious
software on this machine, can destroy the backup: S3 Object Lock, which the bucket must
have been made with (init makes it so). Nobody means you, too: what a prune would delete
stays, and is paid for, up to 30 days longer. With --lock-mode governance who has the
right s3:BypassGovernanceRetention, as the owner of an account mostly has, may remove it
all the same. A home that opens an existing repository locks as the others do.

Without --store the repository is kept on this machine, in --store-dir, behind an
S3 server inside tunesafe. That is good for trying it out, and no backup yet: one
broken disk takes both.`,
	bind: bindInit,
}

// initOptions are the flags of init.
type initOptions struct {
	store    string
	endpoint string
	region   string
	storeDir string
	opener
	name          string
	noCredentials bool
	addressing    string
	class         string
	packClass     string
	lock          int
	lockMode      string
}

// bindStore gives the flags that say how a store is reached and what it is told.
func (o *initOptions) bindStore(f *pflag.FlagSet) {
	f.StringVar(&o.endpoint, "endpoint", "", "`URL` of an S3 server that is not Amazon's")
	f.StringVar(&o.region, "region", "", "the bucket's `REGION`")
	f.StringVar(&o.addressing, "addressing", "auto", "where the bucket's name stands: in the `path`, virtual (in the host), or auto: virtual at Amazon, path elsewhere")
	f.StringVar(&o.class, "storage-class", "", "the storage `CLASS` of the audio")
	f.StringVar(&o.packClass, "pack-storage-class", "", "the storage `CLASS` of tags and pictures")
	f.IntVar(&o.lock, "lock", 0, "have the bucket refuse to remove what is written for so many `DAYS`, renewed for what is needed (S3 Object Lock)")
	f.StringVar(&o.lockMode, "lock-mode", s3.Compliance, "who may remove it before: nobody (compliance), or who has a right of its own for that (`governance`)")
	f.BoolVar(&o.noCredentials, "no-save-credentials", false, "do not keep the store's credentials in the home")
}

func bindInit(f *pflag.FlagSet) action {
	var o initOptions
	f.StringVar(&o.store, "store", "", "the bucket and where in it, as `s3://bucket/prefix`")
	o.bindStore(f)
	f.StringVar(&o.storeDir, "store-dir", "", "keep the repository in the folder `DIR` of this machine (default ~/.local/share/tunesafe-store)")
	o.opener.bind(f, "", "open an existing repository with")
	f.StringVar(&o.name, "name", "", "the `NAME` to give this machine (default that of the host)")
	return func(ctx context.Context, e *env, args []string) error {
		if err := want(args, 0, 0, ""); err != nil {
			return err
		}
		st, err := o.where(e.home)
		if err != nil {
			return err
		}
		return initHome(ctx, e, o, st)
	}
}

// longestLock is a bound on what a slip of the finger costs, in days.
const longestLock = 366

// bucketName follows "General purpose bucket naming rules" of the Amazon S3 user
// guide, in what all servers agree on.
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// where makes sense of the flags that name the store.
func (o *initOptions) where(h home.Home) (home.Store, error) {
	switch {
	case o.store != "" && o.storeDir != "":
		return home.Store{}, misuse("--store and --store-dir exclude each other")
	case o.store == "" && o.lock != 0:
		return home.Store{}, misuse("--lock needs --store s3://bucket/prefix: who can write to this machine's disk can delete a folder of it")
	case o.lock < 0 || o.lock > longestLock:
		return home.Store{}, misuse("--lock: 1 to %d days; nobody could take a longer lock back", longestLock)
	case o.lockMode != s3.Compliance && o.lockMode != s3.Governance:
		return home.Store{}, misuse("--lock-mode is compliance or governance")
	case o.store == "" && (o.endpoint != "" || o.region != "" || o.class != "" || o.packClass != "" || o.addressing != "auto"):
		return home.Store{}, misuse("--endpoint, --region, --addressing and the storage classes need --store s3://bucket/prefix")
	case o.store == "":
		return o.local(h)
	}
	bucket, _, err := s3.ParseURL(o.store)
	if err != nil {
		return home.Store{}, misuse("--store: %v", err)
	}
	if !bucketName.MatchString(bucket) {
		return home.Store{}, misuse("--store: a bucket cannot be called %q: 3 to 63 lower-case letters, digits, hyphens and dots", bucket)
	}
	if u, err := url.Parse(o.endpoint); o.endpoint != "" && (err != nil || u.Host == "" || !strings.HasPrefix(u.Scheme, "http")) {
		return home.Store{}, misuse("--endpoint: %q is not of the form https://host:port", o.endpoint)
	}
	st := home.Store{Kind: home.KindS3, URL: o.store, Endpoint: o.endpoint, Region: o.region,
		Addressing: strings.TrimPrefix(o.addressing, "auto"), AudioClass: o.class, PacksClass: o.packClass}
	if o.lock > 0 {
		st.LockDays, st.LockMode = o.lock, o.lockMode
	}
	if err := s3.Addressing(st.Addressing).Check(o.endpoint, bucket); err != nil {
		return home.Store{}, misuse("--addressing: %v", err)
	}
	for _, class := range []string{o.class, o.packClass} {
		if class == "GLACIER" || class == "DEEP_ARCHIVE" {
			return home.Store{}, misuse("--storage-class: what is in %s must be restored before it is read; GLACIER_IR need not", class)
		}
	}
	return st, nil
}

func (o *initOptions) local(h home.Home) (home.Store, error) {
	dir := o.storeDir
	if dir == "" {
		var err error
		if dir, err = home.DefaultStoreDir(); err != nil {
			return home.Store{}, fmt.Errorf("%w: %w", errNoHomeDir, err)
		}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return home.Store{}, err
	}
	if within(dir, string(h)) {
		return home.Store{}, fmt.Errorf("store folder %s %w", dir, errInHome)
	}
	if _, err := os.Stat(dir); (o.keyFile != "" || o.passphraseFile != "") && errors.Is(err, fs.ErrNotExist) {
		return home.Store{}, fmt.Errorf("store folder %s: %w", dir, errNoStoreDir)
	}
	return home.Store{Kind: home.KindLocal, Dir: dir}, nil
}

// within tells whether path is dir or lies below it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// initHome does what the command line says, and tells of it.
func initHome(ctx context.Context, e *env, o initOptions, where home.Store) error {
	if err := e.home.Check(); err == nil {
		return fmt.Errorf("%s is %w", e.home, home.ErrExists)
	}
	given, err := o.read()
	if err != nil {
		return err
	}
	b := beginning{home: e.home, where: where, given: given, name: o.name, keep: !o.noCredentials}
	if canAsk(e) {
		b.ask = func(where home.Store) (*secret, error) {
			fmt.Fprintf(e.stdout, "%s holds a repository; what opens it?\n", where)
			return askSecret(e)
		}
	}
	in, err := b.make(ctx)
	if err != nil {
		return err
	}
	in.tell(e.stdout, e.home, in.where)
	return nil
}

// beginning is what a home is made of, by init or by the page.
type beginning struct {
	home   home.Home
	where  home.Store
	creds  home.Credentials                  // none: as AWS tools find them
	keep   bool                              // keep those that last, in the home
	given  *secret                           // opens the repository that is there; nil: a new one is made
	ask    func(home.Store) (*secret, error) // for that, if there is one all the same; nil: nobody is there
	chosen func() error                      // writes down what else was chosen, before the home is one; may be nil
	name   string                            // of the machine; empty: as the host
}

// make does the work. config.toml is written last: see package home.
func (b beginning) make(ctx context.Context) (in *entry, err error) {
	h := b.home
	_, statErr := os.Lstat(string(h))
	if err := h.Create(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil && errors.Is(statErr, fs.ErrNotExist) {
			discard(h)
		}
	}()
	lock, err := h.LockNew()
	if err != nil {
		return nil, err
	}
	defer lock.Unlock()

	st, made, err := openNewStore(ctx, b.where, b.creds, b.given != nil)
	if err != nil {
		return nil, err
	}
	defer st.Close()
	creds, kept, err := credentialsOf(ctx, st, &b.where, b.keep)
	if err != nil {
		return nil, err
	}
	ignored, err := st.TryClasses(ctx)
	if err != nil {
		return nil, err
	}
	seen := repo.NewPassing(st)
	if in, err = b.enter(ctx, seen); err != nil {
		return nil, err
	}
	in.madeBucket, in.ignored, in.kept = made, ignored, kept
	if in.where, err = in.followLock(ctx, st, seen, b.where); err != nil {
		return nil, err
	}
	if err := in.enrol(ctx, seen, b.name); err != nil {
		return nil, err
	}
	if err := seen.KeepIn(repo.OpenKept(h.KeptDir()), in.keys); err != nil {
		return nil, err
	}
	crashpoint.At("init.enrolled")
	if kept {
		if err := h.SetCredentials(creds); err != nil {
			return nil, err
		}
	}
	if b.chosen != nil {
		if err := b.chosen(); err != nil {
			return nil, err
		}
	}
	return in, in.save(h, in.where)
}

// discard removes a home that init began and could not finish, unless there is
// a recovery key in it: a repository may have been made with that.
func discard(h home.Home) {
	if _, err := os.Lstat(h.RecoveryFile()); errors.Is(err, fs.ErrNotExist) {
		os.RemoveAll(string(h))
	}
}

// openNewStore opens the store and makes its bucket, if that is wanted.
func openNewStore(ctx context.Context, where home.Store, c home.Credentials, mustExist bool) (st *home.OpenStore, made bool, err error) {
	if where.Local() {
		c = home.RandomCredentials()
	}
	st, err = where.Open(ctx, c, nil)
	if err != nil {
		return nil, false, err
	}
	made, err = ensureBucket(ctx, st, where, mustExist)
	if err == nil {
		err = st.CheckClock()
	}
	if err == nil {
		err = st.TryLock(ctx)
	}
	if err != nil {
		st.Close()
		return nil, false, err
	}
	return st, made, nil
}

// credentialsOf gives those in use, and whether the home keeps them. If not, where is
// told the profile that gave them, for shells that name none.
func credentialsOf(ctx context.Context, st *home.OpenStore, where *home.Store, keep bool) (c home.Credentials, kept bool, err error) {
	found, last, err := st.Credentials(ctx)
	if err != nil {
		return home.Credentials{}, false, err
	}
	kept = where.Local() || last && keep
	if !kept {
		where.Profile = os.Getenv("AWS_PROFILE")
	}
	return home.Credentials(found), kept, nil
}

func ensureBucket(ctx context.Context, st *home.OpenStore, where home.Store, mustExist bool) (made bool, err error) {
	err = st.CheckBucket(ctx)
	switch {
	case errors.Is(err, store.ErrNoBucket) && where.Local() && mustExist:
		return false, fmt.Errorf("%s %w", where, errNoRepoHere)
	case !errors.Is(err, store.ErrNoBucket) || mustExist:
		return false, err
	}
	made, err = st.EnsureBucket(ctx)
	if errors.Is(err, store.ErrDenied) {
		return false, fmt.Errorf("%s: %w: %w", where, errNoBucketRight, err)
	}
	return made, err
}
