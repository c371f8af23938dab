package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/fs"
	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/home"
	tsync "github.com/tunesafe/tunesafe/sync"
)

var mountCommand = &command{
	name:    "mount",
	args:    "DIR",
	summary: "show the drive at an empty folder",
	text: `Shows the drive at DIR and returns when it is ready. A process stays in the
background, uploads what is written, and ends when the drive is unmounted, by
tunesafe unmount or fusermount3 -u. Its log is read with tunesafe logs.

The folder must be empty. It loses the right to be written to (mode 0500), so
that nothing lands in it while the drive is away.

A drive mounted by root is open to all users, as far as the modes of its files
allow; one mounted by another user is theirs alone, unless --allow-other is given
and /etc/fuse.conf has the line user_allow_other.`,
	bind: bindMount,
}

// mountOptions are the flags of mount; the agent has most of them.
type mountOptions struct {
	foreground    bool
	allowOther    bool
	readOnly      bool
	noPassthrough bool
	showSnapshots bool
	debug         bool
	cacheSize     string
	settle        time.Duration
	instant       time.Duration
	readyFD       int
}

func bindMount(f *pflag.FlagSet) action {
	var o mountOptions
	o.bind(f)
	f.BoolVar(&o.noPassthrough, "no-passthrough", false, "have every read and write pass through tunesafe, for inspection")
	f.BoolVar(&o.showSnapshots, "show-snapshots", false, "list the folder .snapshots, so that programs which walk the drive walk through its past, too")
	return func(ctx context.Context, e *env, args []string) error {
		if err := want(args, 1, 1, "DIR"); err != nil {
			return err
		}
		if err := o.check(f); err != nil {
			return err
		}
		return mount(ctx, e, o, args[0])
	}
}

// bind adds the flags of whatever command shows a drive.
func (o *mountOptions) bind(f *pflag.FlagSet) {
	f.BoolVar(&o.foreground, "foreground", false, "stay in the foreground, as services do, and log to the terminal")
	f.BoolVar(&o.allowOther, "allow-other", false, "let other users in to the drive (default for root)")
	f.BoolVar(&o.readOnly, "read-only", false, "let nobody write to the drive")
	f.StringVar(&o.cacheSize, "cache-size", "", "how much to keep on this disk, such as 20GiB (default the `SIZE` in config.toml, else 10GiB or a tenth of the disk, the smaller)")
	f.DurationVar(&o.settle, "settle", 0, "the `TIME` a file on the drive must be left alone before it is uploaded, such as 10s (default 3s)")
	f.DurationVar(&o.instant, "instant", 0, "keep the first `TIME` of every track here, such as 2s, so that each begins at once; at most half of the cache")
	f.BoolVar(&o.debug, "debug", false, "log every request of the kernel and to the store")
	f.IntVar(&o.readyFD, readyFlag, -1, "")
	_ = f.MarkHidden(readyFlag)
}

// check looks at what was given, and fills in what was not.
func (o *mountOptions) check(f *pflag.FlagSet) error {
	if !f.Changed("allow-other") {
		o.allowOther = os.Geteuid() == 0
	}
	if _, err := parseSize(o.cacheSize); err != nil {
		return err
	}
	if o.instant < 0 || o.instant > mostInstant {
		return misuse("--instant %v is not between 0 and %v", o.instant, mostInstant)
	}
	return nil
}

func mount(ctx context.Context, e *env, o mountOptions, dir string) error {
	path, err := resolve(dir) // now: a local store's server changes the working directory
	if err != nil {
		return err
	}
	switch {
	case o.readyFD >= 0:
		s := pipeStarter(o.readyFD)
		err := serveMount(ctx, e, o, path, s, e.stderr)
		s.end(err) // no more than a word, if the drive was ready before
		return err
	case o.foreground:
		p := newProgress(e.stderr)
		defer p.clear()
		return serveMount(ctx, e, o, path, screenStarter(p), e.stderr)
	}
	if done, err := mountByAgent(ctx, e, o, path); done || err != nil {
		return err
	}
	if err := checkMount(ctx, e.home, o, path); err != nil {
		return err
	}
	if err := startBackground(ctx, e.home, o.again(e.home, path), newProgress(e.stderr)); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "the drive is at %s\n", path)
	return nil
}

// again is the command line of the process in the background.
func (o mountOptions) again(h home.Home, path string) []string {
	args := []string{"mount", "--home", string(h),
		fmt.Sprintf("--%s=%d", readyFlag, readyDescriptor), fmt.Sprintf("--allow-other=%t", o.allowOther)}
	for name, set := range map[string]bool{
		"--read-only": o.readOnly, "--no-passthrough": o.noPassthrough, "--show-snapshots": o.showSnapshots, "--debug": o.debug,
	} {
		if set {
			args = append(args, name)
		}
	}
	if o.cacheSize != "" {
		args = append(args, "--cache-size", o.cacheSize)
	}
	if o.settle != 0 {
		args = append(args, "--settle", o.settle.String())
	}
	if o.instant != 0 {
		args = append(args, "--instant", o.instant.String())
	}
	return append(args, "--", path)
}

// checkMount finds the usual mistakes without starting anything.
func checkMount(ctx context.Context, h home.Home, o mountOptions, dir string) error {
	if _, err := h.Config(); err != nil {
		return err
	}
	if err := refuseSecond(ctx, h); err != nil {
		return err
	}
	p, err := openMountPoint(dir, h)
	if err != nil {
		return err
	}
	p.Close()
	return checkFUSE(o.allowOther)
}

// refuseSecond tells of a process that serves the home already.
func refuseSecond(ctx context.Context, h home.Home) error {
	client, err := control.Dial(ctx, h.RunDir())
	if errors.Is(err, control.ErrNoOwner) {
		return nil
	}
	if err != nil {
		return err
	}
	s, err := client.Status(ctx)
	if err != nil {
		return nil // it is about to end; the lock decides
	}
	return &home.BusyError{Home: h, PID: s.PID}
}

// life is what a process that owns a home is for: a mount, an agent, both, or the
// page in a browser alone.
type life struct {
	mount mountOptions
	dir   string // where the drive is shown; empty: nowhere, at first
	agent *agentPlan
	page  *control.WebRequest
	begun *begunPage // that page, where the set-up serves it already; else nil
	say   io.Writer  // where the page's link is told
}

// serveMount is the life of a mount: from the lock to the last upload it may
// make. ctx is ended by SIGTERM and SIGINT.
func serveMount(ctx context.Context, e *env, o mountOptions, dir string, s *starter, logTo io.Writer) error {
	return serveHome(ctx, e, life{mount: o, dir: dir}, s, logTo)
}

// serveHome is the life of a process that owns a home.
func serveHome(ctx context.Context, e *env, l life, s *starter, logTo io.Writer) (err error) {
	if err := checkLife(ctx, e.home, l); err != nil {
		return err
	}
	lock, err := e.home.LockWithin(ctx, lockPatience)
	if err != nil {
		return err
	}
	log := newLog(logTo, l.mount.debug)
	log.Info("start", "version", versionText(), "pid", os.Getpid(), "home", e.home, "mount", l.dir)
	defer func() { log.Info("end", "pid", os.Getpid(), "err", err) }()
	d, err := openDrive(ctx, e.home, lock, driveOptions{
		cacheSize: l.mount.cacheSize, settle: l.mount.settle, plain: l.mount.noPassthrough, instant: l.mount.instant, log: log,
		hoursPerDay: l.agent.hoursPerDay, quiet: l.agent != nil,
	})
	if err != nil {
		return err
	}
	own := &owner{drive: d, serves: true, phase: "starting"}
	own.page.life, own.page.leave = context.WithCancel(context.Background())
	if err := own.employ(l.agent); err != nil {
		return errors.Join(err, d.Close())
	}
	err = own.serve(ctx, l, s)
	if err == nil && l.agent == nil {
		own.farewell(e.stderr)
	}
	return errors.Join(err, d.Close())
}

// checkLife finds the usual mistakes without starting anything.
func checkLife(ctx context.Context, h home.Home, l life) error {
	if l.dir != "" {
		return checkMount(ctx, h, l.mount, l.dir)
	}
	if _, err := h.Config(); err != nil {
		return err
	}
	return refuseSecond(ctx, h)
}

func newLog(w io.Writer, debug bool) *slog.Logger {
	level := slog.LevelInfo
	if debug {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// serve answers clients, takes in the bucket, mounts, and uploads until the
// drive is unmounted.
func (o *owner) serve(ctx context.Context, l life, s *starter) error {
	listener, err := control.Listen(o.home.RunDir())
	if err != nil {
		return err
	}
	server := control.NewServer(o, explain)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	err = o.live(ctx, l, s)
	return errors.Join(err, server.Close(), <-served)
}

func (o *owner) live(ctx context.Context, l life, s *starter) error {
	if !o.home.Known() {
		s.note("reading what is in %s", o.config.Store)
	}
	pulled, warning, err := o.takeIn(ctx)
	if err != nil {
		return err
	}
	if warning != nil {
		s.warn(warning)
	}
	if pulled.Copied {
		s.warn(copied(pulled))
	}
	if len(pulled.OtherDevices) > 0 {
		s.warn(fmt.Errorf("%s: %w", strings.Join(pulled.OtherDevices, ", "), errOtherDevice))
	}
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	o.life = ctx
	var shown chan struct{}
	if l.dir != "" {
		if shown, err = o.show(ctx, l.dir, l.mount); err != nil {
			return err
		}
	}
	stop := o.work(context.WithoutCancel(ctx))
	defer stop()
	defer o.stocking(ctx)()
	stopAgent := o.startAgent(ctx)
	defer stopAgent()
	defer o.takeUp(ctx)()
	if l.page == nil {
		defer o.startPage(ctx)()
	}
	s.end(nil)
	o.begun()
	defer o.endPage()
	if l.page != nil {
		err := o.showAlone(ctx, l)
		leave() // and a drive that is shown is unmounted
		o.shown.Wait()
		return err
	}
	if l.agent != nil {
		<-ctx.Done()
		o.ending()
		o.endPage()
	}
	if shown != nil {
		<-shown
	}
	o.shown.Wait()
	return nil
}

// show mounts the drive, and unmounts it when ctx ends. What it returns is closed
// when the drive is not mounted any more.
func (o *owner) show(ctx context.Context, dir string, opts mountOptions) (gone chan struct{}, err error) {
	if err := o.mountAt(dir, opts); err != nil {
		return nil, err
	}
	gone = make(chan struct{})
	o.shown.Go(func() {
		defer close(gone)
		o.untilUnmounted(ctx)
		o.mu.Lock()
		defer o.mu.Unlock()
		o.mounted = nil
	})
	return gone, nil
}

// copied words what became of a home that is a copy.
func copied(p tsync.Pulled) error {
	if len(p.Beside) == 0 {
		return errCopied
	}
	return fmt.Errorf("%w; %s kept beside what changed in both, such as %q", errCopied, count(int64(len(p.Beside)), "file"), p.Beside[0])
}

// mountAt mounts the drive.
func (o *owner) mountAt(dir string, opts mountOptions) error {
	opts.readOnly = opts.readOnly || o.config.ReadOnly
	p, err := openMountPoint(dir, o.home)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.open(); err != nil {
		return err
	}
	m, err := mountDrive(p.path, o.cache, fs.Options{
		ID: o.config.Repository, AllowOther: opts.allowOther, ReadOnly: opts.readOnly,
		Passthrough: !opts.noPassthrough, Debug: opts.debug, Log: o.log,
		Past: pastOf{o.past}, ShowSnapshots: opts.showSnapshots,
	})
	if err != nil {
		return errors.Join(err, p.restore())
	}
	if err := p.seal(); err != nil {
		o.log.Warn("the folder below the drive keeps its mode", "err", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mounted, o.readOnly = m, opts.readOnly
	return nil
}

// begun ends the phase of starting.
func (o *owner) begun() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.phase = ""
}

// busyPatience is how long a signal waits for programs to let go of the drive.
const busyPatience = 2 * time.Second

// untilUnmounted returns when the drive is unmounted, by whomever, or makes it
// so when ctx ends. Programs that do not let go then lose the drive: what they
// have written is kept.
func (o *owner) untilUnmounted(ctx context.Context) {
	o.mu.Lock()
	m := o.mounted
	o.mu.Unlock()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		m.Wait()
	}()
	select {
	case <-gone:
		return
	case <-ctx.Done():
	}
	deadline := time.Now().Add(busyPatience)
	err := unmountDrive(m)
	for errors.Is(err, errInUse) && time.Now().Before(deadline) {
		time.Sleep(100 * time.Millisecond)
		err = unmountDrive(m)
	}
	if err == nil {
		return
	}
	o.log.Warn("the drive is taken from programs that use it", "err", err)
	if err := detach(m.Dir()); err != nil {
		o.log.Error("the drive stays in the mount table", "err", err)
	}
}

// farewell says what is still waiting, now that nothing can be added.
func (o *owner) farewell(w io.Writer) {
	s, _ := o.Status(context.Background())
	o.log.Info("unmounted", "waiting_files", s.WaitingFiles, "waiting_bytes", s.WaitingBytes)
	if isTerminal(w) {
		fmt.Fprintln(w, farewellText(s))
	}
}

func farewellText(s control.Status) string {
	if s.Safe() {
		return fmt.Sprintf("unmounted; everything is %s", s.SafeWord)
	}
	return fmt.Sprintf("unmounted; still waiting to be uploaded: %s; they are kept, and go up at the next mount", waitingText(s))
}
