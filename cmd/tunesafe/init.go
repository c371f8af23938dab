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

	"filippo.io/age"
	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/internal/crashpoint"
	"github.com/tunesafe/tunesafe/internal/home"
	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/internal/store/s3"
)

var initCommand = &command{
	name:    "init",
	summary: "make a home, and a repository or a way into an existing one",
	text: `Makes the home folder and, in the store, a new repository. A bucket that does
not exist is created where the credentials allow it. The recovery key is shown
and kept in the home: copy it to a place that this machine's end would not touch.

With --recovery-key the repository that is in the store already is opened, as a
second machine does, or this one after its disk was lost.

Credentials are found as by every AWS tool: AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY, ~/.aws, or the machine's role. They are kept in the home,
with mode 0600, so that mount works from another shell.

Without --store the repository is kept on this machine, in --store-dir, behind an
S3 server inside tunesafe. That is good for trying it out, and no backup yet: one
broken disk takes both.`,
	bind: bindInit,
}

// initOptions are the flags of init.
type initOptions struct {
	store         string
	endpoint      string
	region        string
	storeDir      string
	recoveryKey   string
	name          string
	noCredentials bool
}

func bindInit(f *pflag.FlagSet) action {
	var o initOptions
	f.StringVar(&o.store, "store", "", "the bucket and where in it, as `s3://bucket/prefix`")
	f.StringVar(&o.endpoint, "endpoint", "", "`URL` of an S3 server that is not Amazon's")
	f.StringVar(&o.region, "region", "", "the bucket's `REGION`")
	f.StringVar(&o.storeDir, "store-dir", "", "keep the repository in the folder `DIR` of this machine (default ~/.local/share/tunesafe-store)")
	f.StringVar(&o.recoveryKey, "recovery-key", "", "open an existing repository with the recovery key in `FILE`")
	f.StringVar(&o.name, "name", "", "the `NAME` to give this machine (default that of the host)")
	f.BoolVar(&o.noCredentials, "no-save-credentials", false, "do not keep the store's credentials in the home")
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

// bucketName follows "General purpose bucket naming rules" of the Amazon S3 user
// guide, in what all servers agree on.
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// where makes sense of the flags that name the store.
func (o *initOptions) where(h home.Home) (home.Store, error) {
	switch {
	case o.store != "" && o.storeDir != "":
		return home.Store{}, misuse("--store and --store-dir exclude each other")
	case o.store == "" && (o.endpoint != "" || o.region != ""):
		return home.Store{}, misuse("--endpoint and --region need --store s3://bucket/prefix")
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
	return home.Store{Kind: home.KindS3, URL: o.store, Endpoint: o.endpoint, Region: o.region}, nil
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
	if _, err := os.Stat(dir); o.recoveryKey != "" && errors.Is(err, fs.ErrNotExist) {
		return home.Store{}, fmt.Errorf("store folder %s: %w", dir, errNoStoreDir)
	}
	return home.Store{Kind: home.KindLocal, Dir: dir}, nil
}

// within tells whether path is dir or lies below it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// initHome does the work. config.toml is written last: see package home.
func initHome(ctx context.Context, e *env, o initOptions, where home.Store) (err error) {
	h := e.home
	if err := h.Check(); err == nil {
		return fmt.Errorf("%s is %w", h, home.ErrExists)
	}
	given, err := o.readKey()
	if err != nil {
		return err
	}
	_, statErr := os.Lstat(string(h))
	if err := h.Create(); err != nil {
		return err
	}
	defer func() {
		if err != nil && errors.Is(statErr, fs.ErrNotExist) {
			discard(h)
		}
	}()
	lock, err := h.LockNew()
	if err != nil {
		return err
	}
	defer lock.Unlock()

	st, creds, made, err := openNewStore(ctx, where, given != nil)
	if err != nil {
		return err
	}
	defer st.Close()
	in, err := enter(ctx, h, st, given, where)
	if err != nil {
		return err
	}
	in.madeBucket = made
	if err := in.enrol(ctx, st, o.name); err != nil {
		return err
	}
	crashpoint.At("init.enrolled")
	if !o.noCredentials || where.Local() {
		if err := h.SetCredentials(creds); err != nil {
			return err
		}
	}
	if err := in.save(h, where); err != nil {
		return err
	}
	in.tell(e.stdout, h, where, !o.noCredentials)
	return nil
}

func (o *initOptions) readKey() (age.Identity, error) {
	if o.recoveryKey == "" {
		return nil, nil
	}
	return home.ReadRecoveryKey(o.recoveryKey)
}

// discard removes a home that init began and could not finish, unless there is
// a recovery key in it: a repository may have been made with that.
func discard(h home.Home) {
	if _, err := os.Lstat(h.RecoveryFile()); errors.Is(err, fs.ErrNotExist) {
		os.RemoveAll(string(h))
	}
}

// openNewStore opens the store and makes its bucket, if that is wanted.
func openNewStore(ctx context.Context, where home.Store, mustExist bool) (st *home.OpenStore, c home.Credentials, made bool, err error) {
	if where.Local() {
		c = home.RandomCredentials()
	}
	st, err = where.Open(ctx, c, nil)
	if err != nil {
		return nil, c, false, err
	}
	made, err = ensureBucket(ctx, st, where, mustExist)
	if err == nil {
		err = st.CheckClock()
	}
	if err == nil && !where.Local() {
		var found s3.Credentials
		found, err = st.Credentials(ctx)
		c = home.Credentials(found)
	}
	if err != nil {
		st.Close()
		return nil, c, false, err
	}
	return st, c, made, nil
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
