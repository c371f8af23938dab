package control

import "time"

// CheckRequest asks for an examination.
type CheckRequest struct {
	Read  bool     `json:"read"`            // every byte, not only names and sizes
	Heads []string `json:"heads,omitempty"` // that were written down, as DEVICE:NUMBER:SHA256

	// Part asks to read those objects that were read the longest ago. Nothing else
	// is examined but the listing then, if Quick is set.
	Part  *CheckPart `json:"part,omitempty"`
	Quick bool       `json:"quick,omitempty"`
}

// CheckPart says how much to read; what is 0 sets no limit.
type CheckPart struct {
	Part     int     `json:"part,omitempty"`  // one Part-th of all bytes
	Bytes    int64   `json:"bytes,omitempty"` // at most
	Money    float64 `json:"money,omitempty"` // at most, in the units of Currency
	Currency string  `json:"currency,omitempty"`
}

// CheckProgress counts what was examined so far.
type CheckProgress struct {
	Objects      int64 `json:"objects"`
	TotalObjects int64 `json:"total_objects"`
	Bytes        int64 `json:"bytes"`
	TotalBytes   int64 `json:"total_bytes"`
}

// CheckReport is the outcome.
type CheckReport struct {
	Commits      int64     `json:"commits"`
	Devices      int64     `json:"devices"`
	Heads        []string  `json:"heads"` // the newest commit of each device, as DEVICE:NUMBER:SHA256
	Objects      int64     `json:"objects"`
	Bytes        int64     `json:"bytes"`
	Files        int64     `json:"files"`
	Owed         int64     `json:"owed"`         // parts that are not in the bucket yet
	Unreferenced int64     `json:"unreferenced"` // objects that nothing names, left by interrupted uploads
	Discarded    int64     `json:"discarded"`    // objects that were condemned and are not deleted yet
	Read         int64     `json:"read"`         // objects read whole
	ReadBytes    int64     `json:"read_bytes"`   // of them
	Findings     []Finding `json:"findings"`     // what is wrong, then what is harmless

	Never  int64      `json:"never"`            // objects that were never read, after a part was
	Oldest *time.Time `json:"oldest,omitempty"` // reading of the others that this did not read
}

// Problems counts the findings that are not harmless.
func (r CheckReport) Problems() (n int64) {
	for _, f := range r.Findings {
		if !f.Harmless {
			n++
		}
	}
	return n
}

// Finding is one thing that was found.
type Finding struct {
	Kind      string   `json:"kind"` // a word: missing, damaged, …
	Object    string   `json:"object,omitempty"`
	Text      string   `json:"text"`
	Harmless  bool     `json:"harmless"`
	Put       *Origin  `json:"put,omitempty"`       // the commit that put the object
	Condemned *Origin  `json:"condemned,omitempty"` // the one that condemned it
	Files     []string `json:"files,omitempty"`     // paths on the drive that need it; the first of them
	FileCount int64    `json:"file_count"`
}

// Origin is a commit that said something of an object.
type Origin struct {
	Device string    `json:"device"`
	Name   string    `json:"name"` // of the device, for people
	Seq    uint64    `json:"commit"`
	Time   time.Time `json:"time"`
	Why    string    `json:"why,omitempty"`
}
