package home

import "path/filepath"

// Agent is the table [agent] of config.toml: what tunesafe install was told, and
// what tunesafe agent does that is not told otherwise. Times and rates are as on
// the command line.
type Agent struct {
	Mount         string   `toml:"mount,omitempty"` // a folder; empty shows no drive
	Windows       []string `toml:"windows,omitempty"`
	LimitUpload   string   `toml:"limit_upload,omitempty"`
	LimitDownload string   `toml:"limit_download,omitempty"`
	Web           string   `toml:"web,omitempty"` // the address of the page; empty is as [web] says, or loopback; or never
	WhenIdle      bool     `toml:"when_idle,omitempty"`
	OnMains       bool     `toml:"on_mains,omitempty"`
	ScanEvery     string   `toml:"scan_every,omitempty"`
	AfterChange   string   `toml:"after_change,omitempty"`
	WarnAfterDays int      `toml:"warn_after_days,omitempty"` // 0 is the default, below it never
	RehearseDays  int      `toml:"rehearse_days,omitempty"`   // between rehearsals of a restore; 0 is the default, below it never
	VerifyFolders string   `toml:"verify_folders,omitempty"`  // read again each night: 1/90, never
	PruneDays     int      `toml:"prune_days,omitempty"`      // between prunes; 0 is the default, below it never
	Check         string   `toml:"check,omitempty"`           // of the store, each night: 1/30, 500MB, 0.05USD, never
}

// AgentFile is what the agent keeps over restarts.
func (h Home) AgentFile() string { return filepath.Join(h.StateDir(), "agent.json") }
