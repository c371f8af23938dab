package main

import (
	"context"
	"slices"
	"time"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/health"
	"github.com/tunesafe/tunesafe/internal/history"
	"github.com/tunesafe/tunesafe/internal/price"
)

// recently is how long ago a reading may be to count as such.
const recently = 30

// Trends implements [control.Drawing]. What files had is what the log says of them,
// so a day counts the bytes that the store had at its end; of objects that are no
// more nothing is known.
func (o *owner) Trends(ctx context.Context, _ control.TrendsRequest, progress func(control.PastProgress)) (control.Trends, error) {
	report := control.Trends{Days: []control.TrendDay{}}
	db, err := o.recall(ctx, progress)
	if err != nil {
		return report, err
	}
	moments, err := db.Moments()
	if err != nil || len(moments) == 0 {
		return report, err
	}
	c := newCalendar(moments[0].Rev.Time(), time.Now())
	for _, m := range moments {
		d := &c.days[c.at(m.Rev.Time())]
		d.Added += m.Added
		d.Changed += m.Changed
		d.Removed += m.Removed
	}
	if err := c.addFiles(ctx, db); err != nil {
		return report, err
	}
	if err := o.addHealth(c); err != nil {
		return report, err
	}
	c.sum()
	if report.Cost, err = o.cost(c); err != nil {
		return report, err
	}
	report.Days = c.days
	return report, nil
}

// calendar has the days of a report, by the clock on the wall.
type calendar struct {
	first time.Time // noon of the first, as days are of 23 hours and of 25, too
	days  []control.TrendDay
}

func noon(t time.Time) time.Time {
	y, m, d := t.Local().Date()
	return time.Date(y, m, d, 12, 0, 0, 0, time.Local)
}

func newCalendar(from, to time.Time) *calendar {
	c := &calendar{first: noon(from)}
	for day := c.first; !day.After(noon(to)) || len(c.days) == 0; day = day.AddDate(0, 0, 1) {
		c.days = append(c.days, control.TrendDay{Day: day.Format(time.DateOnly)})
	}
	return c
}

// at is the index of the day of t; the first of what was before, the last of what is
// to come, as clocks of devices differ.
func (c *calendar) at(t time.Time) int {
	i := int(noon(t).Sub(c.first).Round(24*time.Hour) / (24 * time.Hour))
	return min(max(i, 0), len(c.days)-1)
}

// figure is one of a day that goes on until something changes it.
type figure func(*control.TrendDay) *int64

func ofStored(d *control.TrendDay) *int64  { return &d.Bytes }
func ofUnread(d *control.TrendDay) *int64  { return &d.Unread }
func ofRecent(d *control.TrendDay) *int64  { return &d.Recent }
func ofOlder(d *control.TrendDay) *int64   { return &d.Older }
func ofDamaged(d *control.TrendDay) *int64 { return &d.Damaged }

// add adds n to a figure of the days from one up to before another; a figure that
// goes on has to at the number of days. Until [calendar.sum] a day has what is other
// than on the day before it.
func (c *calendar) add(from, to int, of figure, n int64) {
	if from >= to {
		return
	}
	*of(&c.days[from]) += n
	if to < len(c.days) {
		*of(&c.days[to]) -= n
	}
}

// sum ends the adding.
func (c *calendar) sum() {
	for _, of := range []figure{ofStored, ofUnread, ofRecent, ofOlder, ofDamaged} {
		for i := 1; i < len(c.days); i++ {
			*of(&c.days[i]) += *of(&c.days[i-1])
		}
	}
}

// addFiles adds what the files had of which the store had the bytes.
func (c *calendar) addFiles(ctx context.Context, db *history.DB) error {
	for v, err := range db.EachVersion() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		var there int64
		for _, p := range v.Row.Parts {
			if !p.Owed() {
				there += p.Size
			}
		}
		to := len(c.days)
		if !v.To.IsZero() {
			to = c.at(v.To.Time())
		}
		c.add(c.at(v.From.Time()), to, ofStored, there)
	}
	return nil
}

// addHealth adds how the objects' last readings were.
func (o *owner) addHealth(c *calendar) error {
	db, err := o.healthDB()
	if err != nil {
		return err
	}
	return db.Each(func(r health.Record) error {
		c.addRecord(r)
		return nil
	})
}

func (c *calendar) addRecord(r health.Record) {
	end := len(c.days)
	next := func(i int) int { // the day of the reading after
		if i+1 < len(r.Readings) {
			return c.at(r.Readings[i+1].Time)
		}
		return end
	}
	first := end
	if len(r.Readings) > 0 {
		first = c.at(r.Readings[0].Time)
	}
	c.add(c.at(r.Seen), first, ofUnread, 1)
	for i, read := range r.Readings {
		from, to := c.at(read.Time), next(i)
		if read.Result != health.Good {
			c.add(from, to, ofDamaged, 1)
			continue
		}
		fresh := min(from+recently, to)
		c.add(from, fresh, ofRecent, 1)
		c.add(fresh, to, ofOlder, 1)
	}
}

// cost says what keeping it costs by the table of prices; nil if nobody is known to
// charge for the store. The days before today are taken to have been stored as
// tightly as today is.
func (o *owner) cost(c *calendar) (*control.TrendsCost, error) {
	if o.config.Store.Local() {
		return nil, nil
	}
	list, _, err := price.Table(o.home.PricesFile())
	if err != nil {
		return nil, err
	}
	supplier := price.Supplier(o.config.Store.Endpoint)
	i := slices.IndexFunc(list, func(p price.Class) bool { return supplier != "" && p.Supplier == supplier })
	if i < 0 {
		return nil, nil
	}
	totals, err := o.index.Totals()
	if err != nil {
		return nil, err
	}
	var stored int64
	for _, t := range totals {
		stored += t.Stored
	}
	class, now := list[i], c.days[len(c.days)-1].Bytes
	for j := range c.days {
		d := &c.days[j]
		if now > 0 {
			d.Month = class.Of(price.Use{Stored: int64(float64(d.Bytes) / float64(now) * float64(stored))}).Month
		}
	}
	return &control.TrendsCost{Supplier: class.Supplier, Class: class.Name, Currency: class.Currency, Date: class.Date.Format(time.DateOnly),
		Month: class.Of(price.Use{Stored: stored}).Month, Stored: stored}, nil
}
