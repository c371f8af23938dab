package home

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"filippo.io/age"

	"github.com/tunesafe/tunesafe/internal/repo"
)

// recoveryNote heads recovery.key. An age identity file may have comments, so
// the file opens keys/recovery.age as it is.
const recoveryNote = "# tunesafe recovery key: whoever has it can read the backup,\n" +
	"# and without it nothing can be restored. keep a copy elsewhere\n"

// ErrKeyFile: repository.key or device.json is missing or damaged.
var ErrKeyFile = errors.New("no key of this home can be read from it")

// Keys reads repository.key; [ErrKeyFile].
func (h Home) Keys() (*repo.Keys, error) {
	text, err := readPrivate(h.KeysFile())
	if err != nil {
		return nil, keyFile(h.KeysFile(), err)
	}
	k, err := repo.ParseKeys(text)
	return k, keyFile(h.KeysFile(), err)
}

// keyFile makes an error of reading a key file one that says so.
func keyFile(name string, err error) error {
	if err == nil || errors.Is(err, fs.ErrPermission) {
		return err
	}
	return fmt.Errorf("%s: %w: %w", name, ErrKeyFile, err)
}

// SetKeys writes repository.key.
func (h Home) SetKeys(k *repo.Keys) error {
	text, err := k.MarshalText()
	if err != nil {
		return err
	}
	return WriteFile(h.KeysFile(), text)
}

// NewRecoveryKey makes a recovery key and writes recovery.key, or takes up the
// one that an init left that did not end.
func (h Home) NewRecoveryKey() (*age.X25519Identity, error) {
	key, err := h.RecoveryKey()
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	key, err = repo.NewRecoveryKey()
	if err != nil {
		return nil, err
	}
	return key, writeNew(h.RecoveryFile(), []byte(recoveryNote+key.String()+"\n"))
}

// RecoveryKey reads recovery.key; [fs.ErrNotExist] in a home that adopted its
// repository.
func (h Home) RecoveryKey() (*age.X25519Identity, error) {
	key, err := ReadRecoveryKey(h.RecoveryFile())
	if err != nil {
		return nil, err
	}
	x, ok := key.(*age.X25519Identity)
	if !ok {
		return nil, fmt.Errorf("%s: not an X25519 identity", h.RecoveryFile())
	}
	return x, nil
}

// ErrRecoveryFile: a file given as recovery key holds none.
var ErrRecoveryFile = errors.New("not a recovery key")

// ReadRecoveryKey reads a recovery key from any file.
func ReadRecoveryKey(name string) (age.Identity, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, fmt.Errorf("%s: %w: it is a folder", name, ErrRecoveryFile)
	}
	text, err := readPrivate(name)
	if err != nil {
		return nil, err
	}
	key, err := repo.ParseRecoveryKey(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, ErrRecoveryFile)
	}
	return key, nil
}

// Device reads device.json; [ErrKeyFile].
func (h Home) Device() (*repo.Device, error) {
	text, err := readPrivate(h.DeviceFile())
	if err != nil {
		return nil, keyFile(h.DeviceFile(), err)
	}
	d, err := repo.ParseDevice(text)
	return d, keyFile(h.DeviceFile(), err)
}

// SetDevice writes device.json.
func (h Home) SetDevice(d *repo.Device) error {
	text, err := d.MarshalJSON()
	if err != nil {
		return err
	}
	return WriteFile(h.DeviceFile(), append(text, '\n'))
}
