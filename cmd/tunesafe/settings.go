package main

import (
	"context"

	"github.com/tunesafe/tunesafe/internal/api"
	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/home"
)

var _ api.Settings = (*owner)(nil)

// Settings implements [api.Settings]: what the agent works by; without one what the
// next will.
func (o *owner) Settings(context.Context) (control.Settings, error) {
	if plan := o.plan.Load(); plan != nil {
		return settingsOf(plan.Agent), nil
	}
	c, err := o.home.Config()
	if err != nil || c.Agent == nil {
		return control.Settings{}, err
	}
	return settingsOf(*c.Agent), nil
}

func settingsOf(a home.Agent) control.Settings {
	return control.Settings{
		Windows: a.Windows, LimitUpload: a.LimitUpload, LimitDownload: a.LimitDownload, WhenIdle: a.WhenIdle, OnMains: a.OnMains,
		ScanEvery: a.ScanEvery, AfterChange: a.AfterChange, WarnAfterDays: a.WarnAfterDays, RehearseDays: a.RehearseDays,
		VerifyFolders: a.VerifyFolders, PruneDays: a.PruneDays, Check: a.Check,
	}
}

// SetSettings implements [api.Settings]. What is kept in config.toml is for the next
// agent, too; the one that works goes by it at once.
func (o *owner) SetSettings(_ context.Context, want control.Settings) (control.Settings, error) {
	o.choosing.Lock()
	defer o.choosing.Unlock()
	c, err := o.home.Config()
	if err != nil {
		return control.Settings{}, err
	}
	a := home.Agent{}
	if c.Agent != nil {
		a = *c.Agent
	}
	a.Windows, a.LimitUpload, a.LimitDownload, a.WhenIdle, a.OnMains = want.Windows, want.LimitUpload, want.LimitDownload, want.WhenIdle, want.OnMains
	a.ScanEvery, a.AfterChange, a.WarnAfterDays, a.RehearseDays = want.ScanEvery, want.AfterChange, want.WarnAfterDays, want.RehearseDays
	a.VerifyFolders, a.PruneDays, a.Check = want.VerifyFolders, want.PruneDays, want.Check
	plan, err := planOf(a)
	if err != nil {
		return control.Settings{}, err
	}
	c.Agent = &a
	if err := o.home.SetConfig(c); err != nil {
		return control.Settings{}, err
	}
	if now := o.plan.Load(); now != nil {
		plan.Mount = now.Mount
		o.plan.Store(plan)
		o.agent.Set(plan.settings)
		o.log.Info("the settings were changed", "windows", want.Windows, "upload", want.LimitUpload)
	}
	return settingsOf(a), nil
}
