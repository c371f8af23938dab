package control

// Settings are when the owner works by itself, and how fast. Times and rates are as on
// the command line of tunesafe agent, where empty is the default.
type Settings struct {
	Windows       []string `json:"windows,omitempty" doc:"as 22:00-06:00; none: always"`
	LimitUpload   string   `json:"limit_upload,omitempty" doc:"bytes a second, as 2MB, or 2MB,outside 500kB"`
	LimitDownload string   `json:"limit_download,omitempty" doc:"likewise"`
	WhenIdle      bool     `json:"when_idle,omitempty" doc:"only while nobody uses the machine"`
	OnMains       bool     `json:"on_mains,omitempty" doc:"not on battery"`
	ScanEvery     string   `json:"scan_every,omitempty" doc:"as 12h"`
	AfterChange   string   `json:"after_change,omitempty" doc:"as 30s"`
	WarnAfterDays int      `json:"warn_after_days,omitempty" doc:"below 0 never"`
	RehearseDays  int      `json:"rehearse_days,omitempty" doc:"below 0 never"`
	VerifyFolders string   `json:"verify_folders,omitempty" doc:"as 1/90, or never"`
	PruneDays     int      `json:"prune_days,omitempty" doc:"below 0 never"`
	Check         string   `json:"check,omitempty" doc:"as 1/30, 500MB, 0.05USD, or never"`
}
