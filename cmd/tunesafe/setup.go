package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/estimate"
	"github.com/tunesafe/tunesafe/internal/home"
	"github.com/tunesafe/tunesafe/internal/price"
	"github.com/tunesafe/tunesafe/internal/recoverykit"
	"github.com/tunesafe/tunesafe/internal/web"
)

// setUp is what the set-up in the page does: what init, estimate, recovery-kit,
// backup and install do, for one who has never given a command.
type setUp struct {
	home  home.Home
	fresh bool // this process made the recovery key that the home has
	made  bool // this process made the home
	serve chan serving
}

var _ web.Setup = (*setUp)(nil)

// serving asks the process to be the one that owns the home.
type serving struct {
	choices web.Choices
	done    chan error // nil once it is
}

// Earlier implements [web.Setup].
func (u *setUp) Earlier() (c web.Choices) {
	text, err := os.ReadFile(u.home.SetupFile())
	if err != nil || json.Unmarshal(text, &c) != nil {
		return web.Choices{}
	}
	return c
}

// keep writes what was chosen, without secrets.
func (u *setUp) keep(c web.Choices) error {
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return home.WriteFile(u.home.SetupFile(), append(text, '\n'))
}

// Suppliers implements [web.Setup].
func (u *setUp) Suppliers() (list []web.Supplier) {
	places, err := price.Places()
	if err != nil {
		return nil // a test reads the table
	}
	for _, p := range places {
		list = append(list, web.Supplier{ID: p.ID, Name: p.Name, Account: p.Account, Regions: p.Regions,
			Keys: p.Keys, Rights: p.Rights, Source: p.Source, Date: p.Date})
	}
	return list
}

func supplierOf(id string) (price.Place, bool) {
	places, err := price.Places()
	i := slices.IndexFunc(places, func(p price.Place) bool { return p.ID == id })
	if err != nil || i < 0 {
		return price.Place{}, false
	}
	return places[i], true
}

// Estimate implements [web.Setup].
func (u *setUp) Estimate(ctx context.Context, dirs []string, p web.Place) (e web.Estimate, err error) {
	classes, _, err := price.Table(u.home.PricesFile())
	if err != nil {
		return e, err
	}
	sum, err := estimate.Folders(ctx, dirs, estimate.Options{Avoid: []string{string(u.home)}, Quick: true})
	if err != nil {
		return e, err
	}
	e = web.Estimate{Files: sum.Files, Bytes: sum.Bytes, Send: sum.Send, Labour: sum.Labour, Unread: len(sum.Unread)}
	if p.Supplier == web.ThisDisk || p.Supplier == web.OwnServer && price.Supplier(p.Endpoint) == "" {
		return e, nil
	}
	with := price.Supplier(p.Endpoint)
	if s, ok := supplierOf(p.Supplier); ok {
		with = s.Prices
	}
	use, chosen := useOf(sum), false
	for _, c := range classes {
		cost := c.Of(use)
		row := web.Cost{Supplier: c.Supplier, Class: c.Name, Currency: c.Currency, Upload: cost.Upload, Month: cost.Month, Restore: cost.Restore,
			Date: c.Date, Source: c.Source, Note: notes(c)}
		if c.Supplier == with && !chosen { // the first is the usual one, which is what a new backup is in
			row.Chosen, chosen = true, true
		}
		e.Costs = append(e.Costs, row)
	}
	slices.SortStableFunc(e.Costs, func(a, b web.Cost) int {
		switch {
		case a.Chosen == b.Chosen:
			return 0
		case a.Chosen:
			return -1
		}
		return 1
	})
	return e, nil
}

// Kit implements [web.Setup]. The key is written before it is shown: what is on paper
// is what a set-up that is taken up again goes on with.
func (u *setUp) Kit(_ context.Context, c web.Choices) (k web.Kit, err error) {
	where, err := storeOf(u.home, c.Place)
	if err != nil {
		return k, err
	}
	if err := u.home.Create(); err != nil {
		return k, err
	}
	lock, err := u.home.LockNew()
	if err != nil {
		return k, err
	}
	defer lock.Unlock()
	if _, err := os.Lstat(u.home.RecoveryFile()); errors.Is(err, fs.ErrNotExist) {
		u.fresh = true
	}
	key, err := u.home.NewRecoveryKey()
	if err != nil {
		return k, err
	}
	if err := u.keep(c); err != nil {
		return k, err
	}
	sheet := recoverykit.Sheet{Store: where.String(), Date: time.Now(), Key: key.String()}
	if err := placeOf(where, &sheet); err != nil {
		return k, err
	}
	k = web.Kit{Key: key.String(), File: u.home.RecoveryFile()}
	k.Page, err = sheet.HTML()
	return k, err
}

// Begin implements [web.Setup].
func (u *setUp) Begin(ctx context.Context, c web.Choices) error {
	if err := u.make(ctx, c); err != nil {
		return err
	}
	a := home.Agent{Mount: c.Drive}
	if c.Drive != "" {
		if err := drivePlace(u.home, c.Drive); err != nil {
			return err
		}
	}
	if c.Login {
		if err := atLogin(ctx, u.home, a); err != nil {
			f := explain(err)
			return &web.Mistake{Field: "login", Text: "It cannot be made to begin at each login: " + f.Text + ".", Hint: "Leave that out, and begin all the same."}
		}
	}
	s := serving{choices: c, done: make(chan error, 1)}
	select {
	case u.serve <- s:
		return <-s.done
	case <-ctx.Done():
		return ctx.Err()
	}
}

// make makes the home, once.
func (u *setUp) make(ctx context.Context, c web.Choices) error {
	if u.made {
		return u.keep(c)
	}
	where, err := storeOf(u.home, c.Place)
	if err != nil {
		return err
	}
	b := beginning{home: u.home, where: where, keep: true, creds: home.Credentials{AccessKey: c.Place.Access, SecretKey: c.Place.Secret}}
	if c.Key != "" {
		b.given = secretOf(c.Key)
		if u.fresh { // it was for a backup that was never made
			if err := os.Remove(u.home.RecoveryFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			u.fresh = false
		}
	}
	b.chosen = u.chosen(c)
	in, err := b.make(ctx)
	if err != nil {
		return placeMistake(err, c.Place)
	}
	u.made = true
	if c.Key == "" {
		return keepSaved(u.home)
	}
	if in.root == nil {
		return errReadOnlyHome
	}
	return nil
}

// chosen writes what was chosen into the home that is being made, before it is one:
// from then on whoever serves it takes the folders up.
func (u *setUp) chosen(c web.Choices) func() error { return func() error { return u.keep(c) } }

// atLogin has the agent begin at each login from the next one on. Until then this
// process does what it would.
func atLogin(ctx context.Context, h home.Home, a home.Agent) error {
	c, err := h.Config()
	if err != nil {
		return err
	}
	i, err := newInstallation(h, a.Mount != "")
	if err != nil {
		return err
	}
	if err := i.write(); err != nil {
		return err
	}
	if err := i.enable(ctx); err != nil {
		return errors.Join(err, os.Remove(i.file))
	}
	c.Agent = &a
	return h.SetConfig(c)
}

// drivePlace makes the folder of the drive, if there is none, and looks whether a
// drive can be shown there.
func drivePlace(h home.Home, dir string) error {
	wrong := func(err error) error {
		f := explain(err)
		return &web.Mistake{Field: "at", Text: "The drive cannot be shown there: " + f.Text + ".", Hint: f.Hint}
	}
	if err := checkTyped(dir); err != nil {
		return &web.Mistake{Field: "at", Text: err.Error()}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // the drive's own modes lie over it
		return wrong(err)
	}
	p, err := openMountPoint(dir, h)
	if err != nil {
		return wrong(err)
	}
	return p.Close()
}

// Offers implements [web.Setup].
func (u *setUp) Offers(ctx context.Context) (o web.Offers) {
	o.Home = string(u.home)
	if err := serviceManager(ctx); err != nil {
		o.LoginWhy = explain(err).Text
	} else {
		o.Login = "login"
	}
	if err := checkFUSE(os.Geteuid() == 0); err != nil {
		o.DriveWhy = explain(err).Text
	} else if user, err := os.UserHomeDir(); err == nil {
		o.Drive = user + "/Tunesafe"
	}
	return o
}

// takeUp backs up what was chosen in the page, and then forgets the choice: the
// folders are places of the drive from here on.
func (o *owner) takeUp(ctx context.Context) (stop func()) {
	u := setUp{home: o.home}
	c := u.Earlier()
	if len(c.Folders) == 0 || o.config.ReadOnly {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := o.attachChosen(c); err != nil {
			o.log.Error("what was chosen in the page is not backed up yet", "err", err)
			return
		}
		if err := os.Remove(o.home.SetupFile()); err != nil {
			o.log.Warn("what was chosen in the page stays written down", "err", err)
		}
		if _, err := o.Backup(ctx, control.BackupRequest{NoWait: true}, func(control.BackupProgress) {}); err != nil && ctx.Err() == nil {
			o.log.Error("the first backup", "err", err)
		}
	}()
	return func() { cancel(); <-ended }
}

// attachChosen makes places of the folders, under names that nothing has yet.
func (o *owner) attachChosen(c web.Choices) error {
	o.feeding.Lock()
	defer o.feeding.Unlock()
	for _, dir := range c.Folders {
		var err error
		for _, name := range placeNames(dir) {
			_, err = o.attach(control.BackupRequest{Dirs: [][]byte{[]byte(dir)}, As: []byte(name), TakeOver: c.TakeOver})
			if !nameIsTaken(err) {
				break
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
	}
	return nil
}
