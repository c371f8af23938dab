package control

import "time"

// Lock is how the store locks what is written, and how far that is renewed.
type Lock struct {
	Days    int        `json:"days"`
	Mode    string     `json:"mode"`
	Renewed *time.Time `json:"renewed,omitempty"` // last; none: never
	Until   *time.Time `json:"until,omitempty"`   // the earliest date of what was needed then
	Late    bool       `json:"late"`              // it should have been renewed since
}
