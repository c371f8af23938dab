package retain

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/tests/tools"
)

func at(text string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", text)
	if err != nil {
		panic(err)
	}
	return t
}

// TestKeep holds the rules to what restic's manual says of them.
func TestKeep(t *testing.T) {
	times := []string{
		"2024-12-31 23:00", "2025-06-01 10:00", "2025-12-30 09:00", "2026-01-31 08:00", "2026-02-01 00:00",
		"2026-02-01 23:59", "2026-02-02 10:00", "2026-02-02 10:30", "2026-02-02 11:00",
	}
	var moments []time.Time
	for _, text := range times {
		moments = append(moments, at(text))
	}
	for name, tt := range map[string]struct {
		rules Rules
		want  []int
	}{
		"none":          {Rules{}, []int{0, 1, 2, 3, 4, 5, 6, 7, 8}},
		"last":          {Rules{Last: 3}, []int{6, 7, 8}},
		"hourly":        {Rules{Hourly: 2}, []int{7, 8}},
		"daily":         {Rules{Daily: 3}, []int{3, 5, 8}},
		"weekly":        {Rules{Weekly: 2}, []int{5, 8}}, // Sunday ends a week
		"monthly":       {Rules{Monthly: 3}, []int{2, 3, 8}},
		"yearly":        {Rules{Yearly: 5}, []int{0, 2, 8}},
		"oldest stays":  {Rules{Daily: 100}, []int{0, 1, 2, 3, 5, 8}},
		"all":           {Rules{Monthly: All}, []int{0, 1, 2, 3, 8}},
		"within":        {Rules{Within: "1d12h"}, []int{4, 5, 6, 7, 8}},
		"within months": {Rules{Within: "9m"}, []int{1, 2, 3, 4, 5, 6, 7, 8}},
		"several":       {Rules{Last: 1, Yearly: 1, Within: "30m"}, []int{0, 1, 2, 3, 4, 5, 6, 7, 8}},
		"union":         {Rules{Last: 2, Monthly: 2}, []int{3, 7, 8}},
	} {
		var got []int
		for i, kept := range tt.rules.Keep(moments) {
			if kept {
				got = append(got, i)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: keeps %v, want %v", name, got, tt.want)
		}
	}
}

// TestKeepMore: a rule more, or a larger count, never keeps less, and the newest
// moment is always kept.
func TestKeepMore(t *testing.T) {
	rng := rand.New(rand.NewPCG(uint64(tools.Seed(t)), 1))
	for range 300 {
		moments := []time.Time{at("2020-01-01 00:00")}
		for range rng.IntN(40) {
			moments = append(moments, moments[len(moments)-1].Add(time.Duration(rng.IntN(60*24*60)+1)*time.Minute))
		}
		less := Rules{Last: 1 + rng.IntN(3), Daily: rng.IntN(4), Weekly: rng.IntN(4), Monthly: rng.IntN(4)}
		more := less
		more.Daily += rng.IntN(3)
		more.Yearly = rng.IntN(3)
		few, many := less.Keep(moments), more.Keep(moments)
		for i := range few {
			if few[i] && !many[i] {
				t.Fatalf("%v keeps %s and %v does not, of %v", less, moments[i], more, moments)
			}
		}
		if !few[len(few)-1] {
			t.Fatal("the newest is not kept")
		}
	}
}

func TestParseSpan(t *testing.T) {
	for text, want := range map[string]Span{"": {}, "90d": {Days: 90}, "1y5m7d2h": {1, 5, 7, 2}, "2d3d": {Days: 5}} {
		if got, err := ParseSpan(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"d", "90", "-1d", "1w", "1d ", "1000000d", "99999999999999999999d"} {
		if _, err := ParseSpan(text); !errors.Is(err, ErrRule) {
			t.Errorf("%q: %v", text, err)
		}
		if err := (Rules{Within: text}).Check(); !errors.Is(err, ErrRule) {
			t.Errorf("rules with %q: %v", text, err)
		}
	}
	if err := (Rules{Last: -2}).Check(); !errors.Is(err, ErrRule) {
		t.Error(err)
	}
}
