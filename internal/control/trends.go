package control

import "context"

// Drawing is the part of [Owner] that tells how things went over time.
type Drawing interface {
	// Trends tells of each day since the first commit.
	Trends(ctx context.Context, r TrendsRequest, progress func(PastProgress)) (Trends, error)
}

// TrendsRequest asks for all of it.
type TrendsRequest struct{}

// Trends is how things went.
type Trends struct {
	Days []TrendDay  `json:"days"`           // in order, each day once, up to today, by the clock on the wall
	Cost *TrendsCost `json:"cost,omitempty"` // none: nobody is known to charge for this store
}

// TrendDay is how it was at the end of a day, and what was done in it.
type TrendDay struct {
	Day     string  `json:"day"`     // as 2026-11-22
	Bytes   int64   `json:"bytes"`   // of files, that the store has
	Added   int     `json:"added"`   // files, folders and links
	Changed int     `json:"changed"` // of them
	Removed int     `json:"removed"`
	Recent  int64   `json:"recent"`  // objects that were read within 30 days and good
	Older   int64   `json:"older"`   // whose last reading was good and is longer ago
	Unread  int64   `json:"unread"`  // that were never read since they were written
	Damaged int64   `json:"damaged"` // whose last reading was not good
	Month   float64 `json:"month"`   // what keeping that much costs a month
}

// TrendsCost says by what prices.
type TrendsCost struct {
	Supplier string  `json:"supplier"`
	Class    string  `json:"class"`
	Currency string  `json:"currency"`
	Date     string  `json:"date"` // of the prices
	Month    float64 `json:"month"`
	Stored   int64   `json:"stored"` // bytes in the bucket now
}

// Trends implements [Owner].
func (c *Client) Trends(ctx context.Context, r TrendsRequest, progress func(PastProgress)) (Trends, error) {
	return call[Trends](ctx, c, "trends", r, progress)
}
