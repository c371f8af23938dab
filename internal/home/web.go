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
