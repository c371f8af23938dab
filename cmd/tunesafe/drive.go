package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/health"
	"github.com/tunesafe/tunesafe/internal/home"
	"github.com/tunesafe/tunesafe/internal/line"
	"github.com/tunesafe/tunesafe/internal/renew"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/room"
	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/internal/store/s3"
	tsync "github.com/tunesafe/tunesafe/sync"
	"github.com/tunesafe/tunesafe/sync/browse"
	"github.com/tunesafe/tunesafe/sync/past"
	"github.com/tunesafe/tunesafe/sync/stock"
)

// localWord is what safe is called where the store is on the same machine.
const localWord = "copied on this computer"

// driveOptions are the flags that change how a drive is opened.
type driveOptions struct {
	cacheSize string // "20 GiB"; empty is the home's setting
	settle    time.Duration
	plain     bool // no passthrough
	instant   time.Duration
	log       *slog.Logger
	recovery  *secret // enrols the home anew where that is needed

	hoursPerDay func() float64 // in which uploads go on; nil is all
	quiet       bool           // keep to limits, and give way to others on the line
}

// drive is an opened home: everything but the mount. It holds the lock.
//
//	store ─ counted ─┬─ index ─ reader ─ cache ─ worker
//	          keys ──┘
type drive struct {
	home    home.Home
	config  home.Config
	log     *slog.Logger
	lock    *home.Lock
	store   *home.OpenStore
	line    *line.Line
	counted *store.Counter
	keys    *repo.Keys
	device  *repo.Device
	index   *repo.Index
	reader  *repo.Reader
	fetcher *tsync.Fetcher
	cache   *cache.Cache
	past    *past.Past
	music   *browse.Library
	stock   *stock.Stock
	worker  *tsync.Worker

	health  onDemand[*health.DB]
	locked  onDemand[*renew.DB]
	fetched fetched
	names   names

	recovery *secret        // given on the command line; nil: the home's own, if it has one
	found    []string       // files of lost+found, made when the home was taken in anew
	closers  []func() error // what Close undoes, from the last to the first
}

// openDrive opens a home whose lock the caller took. On an error the lock is
// given up.
func openDrive(ctx context.Context, h home.Home, lock *home.Lock, o driveOptions) (*drive, error) {
	staySmall()
	d := &drive{home: h, lock: lock, log: o.log, recovery: o.recovery}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	d.onClose(lock.Unlock)
	if err := d.open(ctx, o); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *drive) open(ctx context.Context, o driveOptions) error {
	if err := d.readHome(); err != nil {
		return err
	}
	if err := d.home.Ensure(); err != nil {
		return err
	}
	if err := d.openStore(ctx, o); err != nil {
		return err
	}
	return d.openState(o)
}

func (d *drive) onClose(f func() error) { d.closers = append(d.closers, f) }

func (d *drive) readHome() (err error) {
	if d.config, err = d.home.Config(); err != nil {
		return err
	}
	if d.keys, err = d.home.Keys(); err != nil {
		return err
	}
	if d.device, err = d.home.Device(); err != nil {
		return err
	}
	d.takeEpochsFor(d.device)
	return nil
}

// takeEpochsFor has the keys take the epochs that are begun for the device, and the
// home keep them.
func (d *drive) takeEpochsFor(device *repo.Device) {
	d.keys.TakeFor(device, func() error { return d.home.SetKeys(d.keys) })
}

func (d *drive) openStore(ctx context.Context, o driveOptions) error {
	creds, err := d.home.Credentials()
	if err != nil {
		return err
	}
	if creds.AccessKey != "" {
		forgetCredentials() // those of the home are used
	}
	if d.store, err = d.config.Store.Open(ctx, creds, d.log); err != nil {
		return err
	}
	if !d.config.Store.Local() {
		d.store.RenewWith(func() (s3.Credentials, error) {
			c, err := d.home.Credentials()
			return s3.Credentials(c), err
		})
	}
	d.onClose(d.store.Close)
	if d.line = line.New(); o.quiet {
		d.store.Shape(d.line.Wrap)
	}
	d.counted = store.Count(d.store)
	return nil
}

func (d *drive) openState(o driveOptions) (err error) {
	if d.index, err = d.openIndex(); err != nil {
		return err
	}
	d.onClose(d.index.Close)
	d.onClose(d.closeHealth)
	d.onClose(d.locked.close)
	d.reader = repo.NewReader(d.counted, d.keys, d.index, d.home.PacksDir(), repo.ReaderOptions{Verified: d.fetched.note})
	d.onClose(func() error { d.reader.Close(); return nil })
	d.fetcher = tsync.NewFetcher(d.reader)
	options, err := d.cacheOptions(o)
	if err != nil {
		return err
	}
	if d.cache, err = cache.Open(d.home.StateDir(), options); err != nil {
		return fmt.Errorf("%s: %w", d.home.StateDir(), err)
	}
	d.onClose(d.cache.Close)
	d.past = past.New(past.Options{File: d.home.HistoryFile(), Store: d.counted, Keys: d.keys, Index: d.index,
		Cache: d.cache, Log: d.log})
	d.onClose(d.past.Close)
	d.music = browse.New(browse.Options{Cache: d.cache, Log: d.log})
	d.onClose(d.music.Close)
	if d.stock, err = stock.New(stock.Options{Cache: d.cache, Packs: d.fetcher, Instant: o.instant, Log: d.log}); err != nil {
		return err
	}
	if err := d.home.SetOpened(); err != nil && !room.Lacks(err) {
		return err
	}
	d.cache.SetSafeWord(d.safeWord())
	d.worker = newWorker(d, o)
	return nil
}

// openIndex opens the index. A damaged one is put aside: the next taking-in makes
// it anew, as it holds nothing that the bucket has not.
func (d *drive) openIndex() (*repo.Index, error) {
	name := d.home.IndexFile()
	index, err := repo.OpenIndex(name)
	if !errors.Is(err, repo.ErrIndexDamaged) {
		return index, err
	}
	aside := fmt.Sprintf("%s-damaged-%d", name, time.Now().Unix())
	d.log.Error("the index is damaged; it is made anew from the bucket", "kept as", aside, "err", err)
	if err := os.Rename(name, aside); err != nil {
		return nil, err
	}
	return repo.OpenIndex(name)
}

func (d *drive) cacheOptions(o driveOptions) (cache.Options, error) {
	size := o.cacheSize
	if size == "" {
		size = d.config.CacheSize
	}
	limit, err := parseSize(size)
	if err != nil {
		return cache.Options{}, err
	}
	base, err := inodeBase(d.device)
	if err != nil {
		return cache.Options{}, err
	}
	return cache.Options{
		Fetcher: d.fetcher, ContentDir: d.home.ContentDir(), CacheSize: limit,
		InoBase: base, MustExist: d.home.Opened(), Passthrough: !o.plain, Log: d.log,
	}, nil
}

// parseSize reads "20 GiB"; "" is 0, the default.
func parseSize(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := humanize.ParseBytes(text)
	if err != nil || n > 1<<62 {
		return 0, misuse("%q is no size; write it as 20GiB", text)
	}
	return int64(n), nil
}

func (d *drive) safeWord() string {
	if d.config.Store.Local() {
		return localWord
	}
	return cache.StateSafe
}

// Close ends everything in the order opposite to opening. The worker no longer
// runs and nothing is mounted.
func (d *drive) Close() error {
	var errs []error
	for i := len(d.closers) - 1; i >= 0; i-- {
		errs = append(errs, d.closers[i]())
	}
	d.closers = nil
	return errors.Join(errs...)
}

// takeIn reads what the bucket has and this home lacks. A home that knows its
// tree is shown without it too: an unreachable, emptied or foreign bucket never
// makes files disappear, and what went wrong is a warning. A cold home has
// nothing to show, so there it is an error.
func (d *drive) takeIn(ctx context.Context) (pulled tsync.Pulled, warning, err error) {
	known := d.home.Known()
	if known {
		err = d.reach(ctx)
	}
	if err == nil {
		pulled, err = d.worker.Pull(ctx)
	}
	switch {
	case err == nil && known:
		return pulled, nil, nil
	case err == nil:
		if err := d.recover(ctx); err != nil {
			return pulled, nil, err
		}
		return pulled, nil, d.home.SetKnown()
	case ctx.Err() == nil && known && !d.halfway():
		d.log.Warn("the bucket was not taken in", "err", err)
		return pulled, err, nil
	}
	return pulled, nil, err
}

// recover makes files of the contents that a lost database left behind.
func (d *drive) recover(ctx context.Context) error {
	names := map[cache.Ino]string{}
	for _, dir := range d.home.SetAside() {
		maps.Copy(names, cache.SalvageNames(dir))
	}
	found, err := d.worker.Recover(ctx, names)
	d.found = found
	return err
}

// halfway tells whether what is here must not be shown until all was taken in.
func (d *drive) halfway() bool {
	half, err := d.worker.Halfway()
	return err != nil || half
}

// reachPatience is how long a drive that can be shown without its bucket waits
// for it at the mount.
const reachPatience = 5 * time.Second

// reach tells early that the store cannot be reached. Any answer of it will do:
// what is wrong with the bucket is for Pull to say.
func (d *drive) reach(ctx context.Context) error {
	short, cancel := context.WithTimeout(ctx, reachPatience)
	defer cancel()
	_, err := d.store.Stat(short, "repo.json")
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case short.Err() != nil:
		return fmt.Errorf("%s: %w", d.config.Store, store.ErrUnavailable)
	case errors.Is(err, store.ErrUnavailable):
		return err
	}
	return nil
}

// status describes the drive; the owner adds the mounts.
func (d *drive) status() control.Status {
	s := control.Status{
		Version: versionText(), Home: string(d.home), Repository: d.config.Repository, Device: d.worker.Device().ID,
		Store: d.config.Store.String(), SafeWord: d.safeWord(), Mounts: []control.Mount{},
		Unsaved: d.unsaved(), Places: d.places(),
	}
	fillStatus(&s, d.worker.Status())
	s.Health = d.healthStatus()
	s.Lock = d.lockStatus()
	s.Kept = d.keptStatus()
	return s
}

// unsaved reads the configuration anew, as `recovery-key --saved` changes it
// beside a running owner.
func (d *drive) unsaved() bool {
	c, err := d.home.Config()
	return err == nil && !c.RecoveryKeySaved
}
