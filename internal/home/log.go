package home

import (
	"os"
	"path/filepath"
)

// maxLog is the size in bytes from which a log is put aside at the next start;
// one older log is kept.
const maxLog = 10 << 20

// OpenLog opens the log for appending.
func (h Home) OpenLog() (*os.File, error) {
	name := h.LogFile()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, err
	}
	if info, err := os.Stat(name); err == nil && info.Size() > maxLog {
		if err := os.Rename(name, name+".1"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}
