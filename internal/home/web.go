package home

import (
	"errors"
	"io/fs"
	"strings"
)

// PasswordHash gives what is kept of the page's password; empty if none was set.
func (h Home) PasswordHash() (string, error) {
	text, err := readPrivate(h.PasswordFile())
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(text)), err
}

// SetPasswordHash keeps it.
func (h Home) SetPasswordHash(hash string) error {
	return WriteFile(h.PasswordFile(), []byte(hash+"\n"))
}

// Sessions gives what was kept of the page by SetSessions; empty if nothing was.
func (h Home) Sessions() ([]byte, error) {
	text, err := readPrivate(h.SessionsFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

// SetSessions keeps it.
func (h Home) SetSessions(text []byte) error { return WriteFile(h.SessionsFile(), text) }

// Web is the table [web] of config.toml: how a process that works by itself shows the
// page, as "tunesafe web --keep" was told. Without it that is for this computer alone.
type Web struct {
	Listen     string   `toml:"listen,omitempty"`
	ReadOnly   bool     `toml:"read_only,omitempty"`
	Hosts      []string `toml:"hosts,omitempty"`
	Cert       string   `toml:"tls_cert,omitempty"` // absolute
	Key        string   `toml:"tls_key,omitempty"`  // absolute
	ACME       string   `toml:"acme,omitempty"`
	ACMEServer string   `toml:"acme_server,omitempty"`
	ACMECA     string   `toml:"acme_ca,omitempty"` // absolute
}
