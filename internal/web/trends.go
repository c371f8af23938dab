package web

import (
	"fmt"
	"net/http"
	"time"

	"github.com/tunesafe/tunesafe/internal/control"
)

const (
	plotPlaces = 120 // of a line
	plotNights = 30  // of the bars
	plotRows   = 14  // of the table below
)

// trends answers with the plots of the page "Safe?", which is there before them.
func (s *Server) trends(w http.ResponseWriter, r *http.Request) error {
	t, err := s.Owner.Trends(r.Context(), control.TrendsRequest{}, func(control.PastProgress) {})
	if err != nil {
		return err
	}
	return s.fragment(w, r, "safe", "plots", []plot{plotBytes(t), plotNightly(t), plotHealth(t), plotCost(t)})
}

// dayText is a day of a report for people.
func dayText(day string) string {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return day
	}
	return t.Format("2 Jan 2006")
}

// frame is the part of a plot that is the same for all: its days and its table.
func frame(title string, days []control.TrendDay, heads []string, cells func(control.TrendDay) []string) plot {
	p := plot{Title: title, From: dayText(days[0].Day), To: dayText(days[len(days)-1].Day), Heads: heads}
	for i := len(days) - 1; i >= max(len(days)-plotRows, 0); i-- {
		p.Rows = append(p.Rows, plotRow{dayText(days[i].Day), cells(days[i])})
	}
	return p
}

func at(days []control.TrendDay, places []int, f func(control.TrendDay) float64) []float64 {
	of := make([]float64, len(places))
	for i, p := range places {
		of[i] = f(days[p])
	}
	return of
}

func highest(of ...[]float64) (top float64) {
	for j := range of[0] {
		var sum float64
		for i := range of {
			sum += of[i][j]
		}
		top = max(top, sum)
	}
	return top
}

func plotBytes(t control.Trends) plot {
	const title = "Bytes safe"
	if len(t.Days) == 0 {
		return plot{Title: title, Empty: "The first night draws a line here."}
	}
	p := frame(title, t.Days, []string{"safe"}, func(d control.TrendDay) []string { return []string{size(d.Bytes)} })
	of := at(t.Days, thin(len(t.Days), plotPlaces), func(d control.TrendDay) float64 { return float64(d.Bytes) })
	top := ceiling(highest(of))
	first, last := t.Days[0], t.Days[len(t.Days)-1]
	p.Value, p.Top = size(last.Bytes), size(int64(top))
	p.Tells = fmt.Sprintf("On %s %s were safe, on %s %s.", p.From, size(first.Bytes), p.To, p.Value)
	p.Bands = stack([]string{"good"}, []string{"safe"}, [][]float64{of}, top)
	return p
}

func plotNightly(t control.Trends) plot {
	const title = "Changes a night"
	days := t.Days[max(len(t.Days)-plotNights, 0):]
	if len(days) == 0 {
		return plot{Title: title, Empty: "Nothing was changed yet."}
	}
	p := frame(title, days, []string{"new", "changed", "removed"}, func(d control.TrendDay) []string {
		return []string{fmt.Sprint(d.Added), fmt.Sprint(d.Changed), fmt.Sprint(d.Removed)}
	})
	places := make([]int, plotNights) // as many as there may be, so that a bar is as wide in the first week
	of := make([][]float64, 3)
	for i := range of {
		of[i] = make([]float64, len(places))
	}
	sum := [3]int{}
	for j, d := range days {
		k := len(places) - len(days) + j
		for i, n := range []int{d.Added, d.Changed, d.Removed} {
			of[i][k] = float64(n)
			sum[i] += n
		}
	}
	top := ceiling(highest(of...))
	last := days[len(days)-1]
	first, err := time.Parse(time.DateOnly, last.Day)
	if err == nil {
		p.From = first.AddDate(0, 0, 1-plotNights).Format("2 Jan 2006")
	}
	p.Value, p.Top = count(int64(last.Added+last.Changed+last.Removed), "change")+" today", fmt.Sprintf("%.0f", top)
	p.Tells = fmt.Sprintf("In %d nights %d files and folders were new, %d changed and %d removed.", plotNights, sum[0], sum[1], sum[2])
	p.Bands = []band{{Kind: "good", Name: "new"}, {Kind: "middling", Name: "changed"}, {Kind: "gone", Name: "removed"}}
	p.Bars = bars([]string{"good", "middling", "gone"}, of, top)
	return p
}

func plotHealth(t control.Trends) plot {
	const title = "Health of the store"
	read := false
	for _, d := range t.Days {
		read = read || d.Recent+d.Older+d.Damaged > 0
	}
	if !read {
		return plot{Title: title, Empty: "Nothing was read again yet. The agent reads a little each night; tunesafe check --read reads all."}
	}
	p := frame(title, t.Days, []string{"within 30 days", "older", "never read", "damaged"}, func(d control.TrendDay) []string {
		return []string{fmt.Sprint(d.Recent), fmt.Sprint(d.Older), fmt.Sprint(d.Unread), fmt.Sprint(d.Damaged)}
	})
	places := thin(len(t.Days), plotPlaces)
	of := [][]float64{
		at(t.Days, places, func(d control.TrendDay) float64 { return float64(d.Damaged) }),
		at(t.Days, places, func(d control.TrendDay) float64 { return float64(d.Recent) }),
		at(t.Days, places, func(d control.TrendDay) float64 { return float64(d.Older) }),
		at(t.Days, places, func(d control.TrendDay) float64 { return float64(d.Unread) }),
	}
	top := max(highest(of...), 1) // it is all of them: no room above
	last := t.Days[len(t.Days)-1]
	all := last.Recent + last.Older + last.Unread + last.Damaged
	p.Value, p.Top = fmt.Sprintf("%d %% read within 30 days", percent(last.Recent, all)), count(int64(top), "object")
	p.Tells = fmt.Sprintf("Of %s in the store %d were read within 30 days and found good, %d longer ago, %d never; %d are damaged.",
		count(all, "object"), last.Recent, last.Older, last.Unread, last.Damaged)
	p.Bands = stack([]string{"bad", "good", "middling", "unknown"}, []string{"damaged", "read within 30 days", "older", "never read"}, of, top)
	return p
}

func plotCost(t control.Trends) plot {
	const title = "Cost a month"
	c := t.Cost
	if c == nil || len(t.Days) == 0 {
		return plot{Title: title, Empty: "Nobody is known to charge for this store."}
	}
	money := func(f float64) string { return fmt.Sprintf("%.2f %s", f, c.Currency) }
	p := frame(title, t.Days, []string{"a month"}, func(d control.TrendDay) []string { return []string{money(d.Month)} })
	of := at(t.Days, thin(len(t.Days), plotPlaces), func(d control.TrendDay) float64 { return d.Month })
	top := ceiling(highest(of))
	p.Value, p.Top = money(c.Month), money(top)
	p.Tells = fmt.Sprintf("Keeping %s costs %s a month by the prices of %s, %s, on %s.", size(c.Stored), money(c.Month), c.Supplier, c.Class, dayText(c.Date))
	p.Bands = stack([]string{"good"}, []string{"cost"}, [][]float64{of}, top)
	return p
}
