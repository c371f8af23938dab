package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"sync"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/web"
)

// page is the page in the browser, while a process serves it.
type page struct {
	mu     sync.Mutex
	asked  control.WebRequest // how it was asked for
	hash   string             // of the password it was begun with
	server *web.Server        // nil: it is not served
	served chan error
	alone  func() // ends the process, which is for the page alone; nil in others
	ended  bool   // for ever
}

// Web implements [control.Owner].
func (o *owner) Web(ctx context.Context, r control.WebRequest) (control.WebReport, error) {
	o.page.mu.Lock()
	defer o.page.mu.Unlock()
	if r.Stop {
		if o.page.server == nil {
			return control.WebReport{}, errNoPage
		}
		if o.page.alone != nil {
			o.page.alone()
		}
		return control.WebReport{Stopped: true}, o.page.close()
	}
	if o.page.ended || !o.serves {
		return control.WebReport{}, control.ErrEnded
	}
	w, err := whereOf(o.home, r)
	if err != nil {
		return control.WebReport{}, err
	}
	hash, err := o.home.PasswordHash()
	if err != nil {
		return control.WebReport{}, err
	}
	if o.page.server == nil || hash != o.page.hash || !r.Plain() && !reflect.DeepEqual(r, o.page.asked) {
		if err := w.Check(); err != nil {
			return control.WebReport{}, err
		}
		if err := o.page.close(); err != nil {
			o.log.Warn("the page did not end well", "err", err)
		}
		if err := o.openPage(ctx, w, r, hash); err != nil {
			return control.WebReport{}, err
		}
	}
	link, until := o.page.server.Link()
	return control.WebReport{URL: o.page.server.URL(), Link: link, Until: until}, nil
}

// openPage begins to serve.
func (o *owner) openPage(ctx context.Context, w web.Where, r control.WebRequest, hash string) error {
	l, err := web.Listen(context.WithoutCancel(ctx), w)
	if err != nil {
		return err
	}
	server, err := web.New(web.Options{
		Owner: o, Library: shelf{o.music, o.cache}, Past: moments{o}, Explain: explain, Log: o.log, Version: versionText(), Hosts: slices.Concat(l.Names, r.Hosts),
		Password: hash, ReadOnly: r.ReadOnly, Secure: l.Secure, API: o.apiOptions(r.ReadOnly),
	}, l.At)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	o.log.Info("the page is served", "at", server.URL(), "read-only", r.ReadOnly)
	o.page.asked, o.page.hash, o.page.server, o.page.served = r, hash, server, served
	return nil
}

// close ends the page, if it is served; the lock is held.
func (p *page) close() error {
	if p.server == nil {
		return nil
	}
	err := errors.Join(p.server.Close(), <-p.served)
	p.server = nil
	return err
}

// endPage ends it for ever, with the process.
func (o *owner) endPage() {
	o.page.mu.Lock()
	defer o.page.mu.Unlock()
	o.page.ended = true
	if err := o.page.close(); err != nil {
		o.log.Warn("the page did not end well", "err", err)
	}
}

// showAlone serves the page and says where, until ctx ends or somebody stops it.
func (o *owner) showAlone(ctx context.Context, r control.WebRequest, to io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	o.page.mu.Lock()
	o.page.alone = cancel
	o.page.mu.Unlock()
	report, err := o.Web(ctx, r)
	if err != nil {
		return err
	}
	tellPage(to, report)
	fmt.Fprintln(to, "Ctrl-C ends it")
	<-ctx.Done()
	return nil
}

// showSetUp is the page of whoever has no home yet.
func showSetUp(ctx context.Context, e *env, r control.WebRequest) error {
	w := web.Where{Addr: r.Listen}
	l, err := web.Listen(ctx, w)
	if err != nil {
		return err
	}
	server, err := web.New(web.Options{Explain: explain, Version: versionText()}, l.At)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	link, until := server.Link()
	tellPage(e.stdout, control.WebReport{URL: server.URL(), Link: link, Until: until})
	fmt.Fprintln(e.stdout, "Ctrl-C ends it")
	<-ctx.Done()
	return errors.Join(server.Close(), <-served)
}
