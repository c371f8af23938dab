package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tunesafe/tunesafe/internal/agent"
	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/home"
	"github.com/tunesafe/tunesafe/internal/price"
)

// nightly is how often something is done each night: windows open a little earlier
// or later than a day ago.
const nightly = 20 * time.Hour

// duties are what the agent does beside the backups.
func (o *owner) duties() (list []agent.Duty) {
	if o.config.Store.LockDays > 0 && !o.config.ReadOnly {
		list = append(list, agent.Duty{Name: "lock", Every: nightly, Do: o.keepLocked})
	}
	if o.plan.Load() == nil {
		return list // a mount alone does nothing else by itself
	}
	if o.plan.Load().check != nil {
		list = append(list, agent.Duty{Name: "check", Every: nightly, Do: o.checkNightly})
	}
	if o.plan.Load().readAgain > 0 {
		list = append(list, agent.Duty{Name: "folders", Every: nightly, Do: o.readAgainNightly})
	}
	if days := o.plan.Load().RehearseDays; days >= 0 {
		if days == 0 {
			days = defaultRehearseDays
		}
		list = append(list, agent.Duty{Name: "rehearse", Every: time.Duration(days) * 24 * time.Hour, Do: o.rehearseMonthly})
	}
	if days := o.plan.Load().PruneDays; days >= 0 {
		if days == 0 {
			days = defaultPruneDays
		}
		list = append(list, agent.Duty{Name: "prune", Every: time.Duration(days) * 24 * time.Hour, Do: o.pruneWeekly, Removes: true})
	}
	return list
}

// readAgainNightly reads a part of the folders again. What differs is held, which the
// status tells.
func (o *owner) readAgainNightly(ctx context.Context) error {
	if all, err := o.cache.Places(); err != nil || len(all) == 0 {
		return err
	}
	report, err := o.Backup(ctx, control.BackupRequest{NoWait: true, ReadAgain: o.plan.Load().readAgain}, func(control.BackupProgress) {})
	for _, p := range report.Places {
		if p.Fault != nil {
			err = errors.Join(err, p.Fault)
		}
		if a := p.ReadAgain; a != nil {
			o.log.Info("a part of a folder was read again", "place", string(p.Name), "files", a.Files, "bytes", a.Bytes, "differ", a.Suspects)
		}
	}
	if err != nil {
		return fmt.Errorf("reading folders again: %w", err)
	}
	return nil
}

// rehearseMonthly rehearses a restore. What went wrong is told by the status, as
// something that needs a person.
func (o *owner) rehearseMonthly(ctx context.Context) error {
	r, err := o.Rehearse(ctx, control.RehearseRequest{Files: rehearsedFiles, Bytes: rehearsedBudget}, func(control.RehearseProgress) {})
	for _, p := range r.Problems {
		o.log.Error("rehearsal of a restore", "problem", p)
	}
	o.log.Info("a restore was rehearsed", "files", r.Files, "whole", r.Whole, "compared", r.Like, "bytes", r.Bytes)
	if err != nil {
		return fmt.Errorf("rehearsal of a restore: %w", err)
	}
	return nil
}

// nightlyCost is what a night's reading of the store may cost unless somebody said how
// much to read, in the currency of the supplier's prices: most ask for what goes out,
// and a library read once a month would cost more than to keep it.
const nightlyCost = 0.02

// nightlyPart is what to read of the store in a night.
func nightlyPart(plan *agentPlan, s home.Store, list []price.Class) control.CheckPart {
	p := *plan.check
	if plan.Check != "" || s.Local() {
		return p
	}
	supplier := price.Supplier(s.Endpoint)
	i := slices.IndexFunc(list, func(c price.Class) bool { return supplier != "" && c.Supplier == supplier })
	if i >= 0 { // a store that nobody sells is one's own
		p.Money, p.Currency = nightlyCost, list[i].Currency
	}
	return p
}

// checkNightly reads a part of the store. What it finds is told by the status, as
// something that needs a person.
func (o *owner) checkNightly(ctx context.Context) error {
	list, _, err := price.Table(o.home.PricesFile())
	if err != nil {
		return err
	}
	part := nightlyPart(o.plan.Load(), o.config.Store, list)
	r, err := o.Check(ctx, control.CheckRequest{Part: &part, Quick: true}, func(control.CheckProgress) {})
	for _, f := range r.Findings {
		o.log.Error("the store", "what", f.Kind, "object", f.Object, "problem", f.Text, "files", f.FileCount)
	}
	o.log.Info("a part of the store was read", "objects", r.Read, "bytes", r.ReadBytes, "of", r.Objects, "never read", r.Never, "problems", r.Problems())
	if err != nil {
		return fmt.Errorf("check of a part of the store: %w", err)
	}
	return nil
}
