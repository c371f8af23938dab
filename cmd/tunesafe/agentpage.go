package main

import (
	"context"
	"errors"
	"time"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/home"
)

// An agent shows the page from its beginning, at an address that stays, so that a
// bookmark leads there: who was in is in again after the next login.

// page says how an agent is to show it; ok is false if it is not to.
func (p *agentPlan) page(h home.Home) (r control.WebRequest, ok bool, err error) {
	c, err := h.Config()
	if err != nil || p.Web == never {
		return r, false, err
	}
	if w := c.Web; w != nil {
		r = control.WebRequest{
			Listen: w.Listen, ReadOnly: w.ReadOnly, Hosts: w.Hosts, Cert: nameOf(w.Cert), Key: nameOf(w.Key),
			ACME: w.ACME, ACMEFrom: w.ACMEServer, ACMECA: nameOf(w.ACMECA),
		}
	}
	if p.Web != "" {
		r.Listen = p.Web
	}
	return r, true, nil
}

// nameOf is nil for no file, as in a request that names none.
func nameOf(file string) []byte {
	if file == "" {
		return nil
	}
	return []byte(file)
}

// keepPage has agents show the page so from now on.
func keepPage(h home.Home, r control.WebRequest) error {
	c, err := h.Config()
	if err != nil {
		return err
	}
	if c.Web = nil; !r.Plain() {
		c.Web = &home.Web{
			Listen: r.Listen, ReadOnly: r.ReadOnly, Hosts: r.Hosts, Cert: string(r.Cert), Key: string(r.Key),
			ACME: r.ACME, ACMEServer: r.ACMEFrom, ACMECA: string(r.ACMECA),
		}
	}
	return h.SetConfig(c)
}

// How long an agent waits before it tries again to show the page.
const (
	pagePause    = time.Minute
	longestPause = time.Hour
)

// startPage shows the page until stop, which does not end it. What keeps it from that,
// such as a port in use or an ACME server that is away, holds up nothing else.
func (o *owner) startPage(ctx context.Context) (stop func()) {
	if o.plan.Load() == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for pause := pagePause; !o.tryPage(ctx); pause = min(2*pause, longestPause) {
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
		}
	}()
	return func() { cancel(); <-ended }
}

// tryPage tells whether no more has to be done for the page.
func (o *owner) tryPage(ctx context.Context) (done bool) {
	o.page.mu.Lock()
	defer o.page.mu.Unlock()
	if o.page.server != nil || o.page.stopped {
		return true // somebody asked for it meanwhile
	}
	r, wanted, err := o.plan.Load().page(o.home)
	if !wanted && err == nil {
		return true
	}
	if err == nil {
		err = o.havePage(ctx, r)
	}
	if err == nil || errors.Is(err, control.ErrEnded) || ctx.Err() != nil {
		return true
	}
	o.page.fault.Store(explain(err))
	o.log.Warn("the page is not served, and will be tried again", "err", err)
	return false
}
