package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/home"
	"github.com/tunesafe/tunesafe/internal/thumbnail"
	"github.com/tunesafe/tunesafe/internal/web"
)

// page is the page in the browser, while a process serves it.
type page struct {
	mu      sync.Mutex
	asked   control.WebRequest // how it was asked for
	hash    string             // of the password it was begun with
	life    context.Context    //nolint:containedctx // ends with the process
	leave   context.CancelFunc // ends it
	server  *web.Server        // nil: it is not served
	served  chan error
	at      atomic.Pointer[string]        // its address, for the status; nil: it is not served
	fault   atomic.Pointer[control.Fault] // why it is not, though it should be
	alone   func()                        // ends the process, which is for the page alone; nil in others
	ended   bool                          // for ever
	stopped bool                          // somebody told it to
}

// Web implements [control.Owner].
func (o *owner) Web(ctx context.Context, r control.WebRequest) (control.WebReport, error) {
	o.page.mu.Lock()
	defer o.page.mu.Unlock()
	if r.Stop {
		o.page.stopped = true
		if o.page.server == nil {
			return control.WebReport{}, errNoPage
		}
		if o.page.alone != nil {
			o.page.alone()
		}
		o.page.server.SignOutAll()
		return control.WebReport{Stopped: true}, o.page.close()
	}
	if err := o.havePage(ctx, r); err != nil {
		return control.WebReport{}, err
	}
	link, until := o.page.server.Link()
	return control.WebReport{URL: o.page.server.URL(), Link: link, Until: until}, nil
}

// havePage serves the page as it is asked for, unless it is served so already; the
// lock is held.
func (o *owner) havePage(ctx context.Context, r control.WebRequest) error {
	if o.page.ended || !o.serves {
		return control.ErrEnded
	}
	hash, err := o.home.PasswordHash()
	if err != nil {
		return err
	}
	plain := r.Plain()
	if o.page.server != nil && hash == o.page.hash && (plain || reflect.DeepEqual(r, o.page.asked)) {
		return nil
	}
	if plain && o.page.server != nil { // it has another password
		r = o.page.asked
	} else if plain && o.plan.Load() != nil {
		if r, _, err = o.plan.Load().page(o.home); err != nil {
			return err
		}
	}
	w, err := whereOf(o.home, r)
	if err != nil {
		return err
	}
	if err := w.Check(); err != nil {
		return err
	}
	if err := o.page.close(); err != nil {
		o.log.Warn("the page did not end well", "err", err)
	}
	return o.openPage(ctx, w, r, hash)
}

// pageOptions say what the page shows.
func (o *owner) pageOptions(r control.WebRequest, hash string) web.Options {
	return web.Options{
		Owner: o, Keeping: keyring{o.drive}, Drawer: drawer{o}, Library: shelf{o.music, o.cache}, Past: moments{o}, Explain: explain, Log: o.log, Version: versionText(), Password: hash, ReadOnly: r.ReadOnly,
		Memory: o.home, Usual: r.Listen == "", API: o.apiOptions(r.ReadOnly),
		Thumbnails: thumbnail.New(o.home.ThumbnailsDir(), thumbnail.Usual), ZipSums: o.home.ZipSumsFile(),
	}
}

// begunPage is a page that is served already: that of the set-up.
type begunPage struct {
	server *web.Server
	served chan error
	taken  func() // is told when it shows the library
}

// adopt has the page of the set-up show the library.
func (o *owner) adopt(b *begunPage, r control.WebRequest) {
	options := o.pageOptions(r, "")
	options.Hosts = r.Hosts
	o.page.asked, o.page.server, o.page.served = r, b.server, b.served
	b.server.Become(options)
	o.page.tell()
	b.taken()
}

// openPage begins to serve.
func (o *owner) openPage(ctx context.Context, w web.Where, r control.WebRequest, hash string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(o.page.life, cancel)() // a certificate may be waited for
	l, err := web.Listen(context.WithoutCancel(ctx), w)
	if err != nil {
		return err
	}
	options := o.pageOptions(r, hash)
	options.Hosts, options.Secure = slices.Concat(l.Names, r.Hosts), l.Secure
	server, err := web.New(options, l.At)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	if err := l.Ready(ctx); err != nil {
		return errors.Join(err, server.Close(), <-served)
	}
	o.log.Info("the page is served", "at", server.URL(), "read-only", r.ReadOnly)
	o.page.asked, o.page.hash, o.page.server, o.page.served = r, hash, server, served
	o.page.tell()
	return nil
}

// close ends the page, if it is served; the lock is held.
func (p *page) close() error {
	if p.server == nil {
		return nil
	}
	p.at.Store(nil)
	err := errors.Join(p.server.Close(), <-p.served)
	p.server = nil
	return err
}

// tell has the status say where it is.
func (p *page) tell() {
	at := p.server.URL()
	p.at.Store(&at)
	p.fault.Store(nil)
}

// endPage ends it for ever, with the process.
func (o *owner) endPage() {
	o.page.leave()
	o.page.mu.Lock()
	defer o.page.mu.Unlock()
	o.page.ended = true
	if err := o.page.close(); err != nil {
		o.log.Warn("the page did not end well", "err", err)
	}
}

// showAlone serves the page and says where, until ctx ends or somebody stops it.
func (o *owner) showAlone(ctx context.Context, l life) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	o.page.mu.Lock()
	o.page.alone = cancel
	if l.begun != nil {
		o.adopt(l.begun, *l.page)
	}
	o.page.mu.Unlock()
	if l.begun == nil {
		report, err := o.Web(ctx, *l.page)
		if err != nil {
			return err
		}
		tellPage(l.say, report)
		fmt.Fprintln(l.say, "Ctrl-C ends it")
	}
	<-ctx.Done()
	return nil
}

// showSetUp is the page of whoever has no home yet. Once the home is made, this
// process owns it, and the page shows it.
func showSetUp(ctx context.Context, e *env, r control.WebRequest) error {
	l, err := web.Listen(ctx, web.Where{Addr: r.Listen}) // its port is remembered once there is a home
	if err != nil {
		return err
	}
	u := &setUp{home: e.home, serve: make(chan serving)}
	server, err := web.New(web.Options{Setup: u, Explain: explain, Version: versionText(), Hosts: r.Hosts}, l.At)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	begun := &begunPage{server: server, served: make(chan error, 1)}
	go func() { begun.served <- server.Serve(l) }()
	link, until := server.Link()
	tellPage(e.stdout, control.WebReport{URL: server.URL(), Link: link, Until: until})
	fmt.Fprintln(e.stdout, "Ctrl-C ends it")
	for {
		select {
		case <-ctx.Done():
			return errors.Join(server.Close(), <-begun.served)
		case s := <-u.serve:
			if shown, err := u.own(ctx, e, r, begun, s); shown {
				return err
			}
		}
	}
}

// own owns the home that was made, until the process is to end. shown is false if it
// never came to that, which the page then tells.
func (u *setUp) own(ctx context.Context, e *env, r control.WebRequest, begun *begunPage, s serving) (shown bool, err error) {
	log, err := e.home.OpenLog()
	if err != nil {
		s.done <- err
		return false, nil
	}
	defer log.Close()
	plan, err := planOf(home.Agent{Mount: s.choices.Drive})
	if err != nil {
		s.done <- err
		return false, nil
	}
	begun.taken = func() { shown = true; s.done <- nil }
	life := life{page: &r, begun: begun, say: e.stdout, agent: plan, dir: s.choices.Drive, mount: mountOptions{allowOther: os.Geteuid() == 0}}
	if err = serveHome(ctx, e, life, &starter{}, log); !shown {
		s.done <- err
		return false, nil
	}
	if err == nil && s.choices.Login { // what begins at each login goes on at once
		i, ierr := newInstallation(e.home, s.choices.Drive != "")
		if ierr == nil {
			ierr = i.start(context.WithoutCancel(ctx))
		}
		return true, ierr
	}
	return true, err
}
