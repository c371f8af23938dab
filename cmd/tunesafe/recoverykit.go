package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/home"
	"github.com/tunesafe/tunesafe/internal/recoverykit"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/store/s3"
)

var recoveryKitCommand = &command{
	name:    "recovery-kit",
	args:    "[FILE]",
	summary: "write a page to print: key, store, and how to restore",
	text: `Writes one page to FILE (default tunesafe-recovery-kit.html), and the same as text
beside it: the recovery key, also as a QR code, where the backup is, the head of its
log, and how to restore with and without tunesafe. Print it, put it away where a
fire or a thief would not find it, and delete the files: they have mode 0600, and
whoever reads them can read the backup.

With --shares 3 --threshold 2 the key is split, and each share gets a page of its own,
FILE-1 to FILE-3: any two give the key (tunesafe recovery-key --combine), one
alone tells nothing of it.

The key is the home's own, or that in --recovery-key FILE, or what is typed.`,
	bind: bindRecoveryKit,
}

// kitOptions are the flags of recovery-kit.
type kitOptions struct {
	keyFile           string
	shares, threshold int
}

func bindRecoveryKit(f *pflag.FlagSet) action {
	var o kitOptions
	f.StringVar(&o.keyFile, "recovery-key", "", "the recovery key in `FILE`")
	f.IntVar(&o.shares, "shares", 0, "split the key into `N` shares")
	f.IntVar(&o.threshold, "threshold", 0, "of which any `M` give it")
	return func(ctx context.Context, e *env, args []string) error {
		if err := want(args, 0, 1, ""); err != nil {
			return err
		}
		if (o.shares != 0 || o.threshold != 0) && (o.threshold < 2 || o.shares < o.threshold || o.shares > 99) {
			return misuse("--shares 3 --threshold 2: at least 2 are needed, of 99 at most")
		}
		name := strings.Join(append(args, "tunesafe-recovery-kit.html")[:1], "")
		return writeKit(ctx, e, o, strings.TrimSuffix(name, ".html"))
	}
}

func writeKit(ctx context.Context, e *env, o kitOptions, base string) error {
	sheet, err := kitSheet(ctx, e, o)
	if err != nil {
		return err
	}
	sheets, names := []recoverykit.Sheet{sheet}, []string{base}
	if o.shares > 0 {
		texts, err := recoverykit.SplitKey(sheet.Key, o.shares, o.threshold)
		if err != nil {
			return err
		}
		sheets, names = nil, nil
		for i, text := range texts {
			s := sheet
			s.Key, s.Number, s.Shares, s.Needed = text, i+1, o.shares, o.threshold
			sheets, names = append(sheets, s), append(names, fmt.Sprintf("%s-%d", base, i+1))
		}
	}
	for _, name := range names {
		for _, end := range []string{".html", ".txt"} {
			if _, err := os.Lstat(name + end); !errors.Is(err, fs.ErrNotExist) {
				return errors.Join(err, fmt.Errorf("%s %w", name+end, errKitExists))
			}
		}
	}
	for i, s := range sheets {
		if err := writeSheet(s, names[i]); err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "wrote %s.html and %s.txt\n", names[i], names[i])
	}
	fmt.Fprintf(e.stdout, "print them, put them away, and delete the files; then: tunesafe recovery-key --saved%s\n", homeFlag(e.home))
	return nil
}

func writeSheet(s recoverykit.Sheet, name string) error {
	html, err := s.HTML()
	if err != nil {
		return err
	}
	text, err := s.Text()
	if err != nil {
		return err
	}
	if name, err = filepath.Abs(name); err != nil {
		return err
	}
	return errors.Join(home.WriteFile(name+".html", html), home.WriteFile(name+".txt", text))
}

// kitSheet gathers what a page says. The key on it opens the repository.
func kitSheet(ctx context.Context, e *env, o kitOptions) (s recoverykit.Sheet, err error) {
	d, err := openBucket(ctx, e)
	if err != nil {
		return s, err
	}
	defer d.Close()
	key, err := d.kitKey(ctx, e, o)
	if err != nil {
		return s, err
	}
	if s, err = d.sheet(ctx, key); err != nil {
		return s, err
	}
	err = withOwner(ctx, e, func(o control.Owner) error {
		p, err := o.Picture(ctx, control.PictureRequest{Path: []byte("/")})
		s.Tracks, s.Files = p.Tracks, p.Files
		return err
	})
	return s, err
}

// sheet says where the backup is, and its key.
func (d *drive) sheet(ctx context.Context, key string) (s recoverykit.Sheet, err error) {
	certs, _, err := repo.Devices(ctx, d.store, d.keys)
	if err != nil {
		return s, err
	}
	marks, err := repo.Marks(ctx, d.store, d.keys, certs)
	if err != nil {
		return s, err
	}
	s = recoverykit.Sheet{Repository: d.config.Repository, Root: d.keys.Root(), Store: d.config.Store.String(), Date: time.Now(), Key: key}
	for _, m := range marks {
		s.Heads = append(s.Heads, m.String())
	}
	return s, placeOf(d.config.Store, &s)
}

// kitKey gives the recovery key as text, once it has opened the repository.
func (d *drive) kitKey(ctx context.Context, e *env, o kitOptions) (string, error) {
	from := opener{keyFile: o.keyFile}
	secret, err := from.readOrAsk(e)
	if err != nil {
		return "", err
	}
	key, ok := secret.identity.(*age.X25519Identity)
	if !ok {
		return "", repo.ErrWrongKey
	}
	k, _, err := repo.Unlock(ctx, d.store, key)
	if err == nil && k.RepoID() != d.keys.RepoID() {
		err = repo.ErrWrongKey
	}
	return key.String(), err
}

// placeOf says where the store is.
func placeOf(st home.Store, s *recoverykit.Sheet) (err error) {
	if st.Local() {
		s.InitFlags = "--store-dir " + st.Dir
		return nil
	}
	if s.Bucket, s.Prefix, err = s3.ParseURL(st.URL); err != nil {
		return err
	}
	s.Endpoint, s.Region = st.Endpoint, st.Region
	s.InitFlags = whereFlags("--store", st)
	return nil
}

// whereFlags are the flags that name a store to another machine.
func whereFlags(urlFlag string, st home.Store) string {
	flags := []string{urlFlag + " " + st.URL}
	for _, f := range [][2]string{{"--endpoint", st.Endpoint}, {"--region", st.Region}, {"--addressing", st.Addressing}} {
		if f[1] != "" {
			flags = append(flags, f[0]+" "+f[1])
		}
	}
	return strings.Join(flags, " ")
}
