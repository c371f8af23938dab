// Package home is the folder in which an installation of Tunesafe keeps what it
// needs: which bucket, the keys, what is known and held of the drive, a lock.
// Several homes can live side by side, each a device of its own.
//
//	config.toml        which store; read by people, changed with care
//	credentials.toml   what signs the store's requests; only if kept
//	repository.key     opens the repository's data (not its root)
//	recovery.key       opens the repository from nothing; only in the home that made it
//	device.json        who this home is in the repository
//	web.password       what is kept of the page's password; only if one was set
//	web.tokens         what is kept of the tokens for the page's API
//	web.sessions       what tells who is in on the page, hashed, and its port
//	web.acme/          certificates for the page, and their keys
//	setup.json         what was chosen in the page, until the folders are backed up; no secrets
//	state/             namespace, journal, index: cannot be rebuilt while something waits;
//	                   and the history, which can be
//	cache/             contents and packs; holds what waits to be uploaded, too; and the
//	                   small objects of the bucket as they lie there, to be put back
//	run/               lock and socket of the process that owns the home
//	log/               what that process had to say
//
// Invariants:
//
//  1. Folders have mode 0700, files 0600.
//  2. config.toml is written last: a home without it was never finished, and
//     init may begin again on it. A recovery.key found there is taken up, as a
//     repository may have been made with it.
//  3. A file is replaced whole or not at all: written beside, synced, renamed.
//  4. Whoever writes below state/ or cache/ holds the lock.
package home

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

var (
	// ErrNone: the folder is no home, or one whose init did not end.
	ErrNone = errors.New("no home of tunesafe")
	// ErrExists: the folder is a home already.
	ErrExists = errors.New("already a home of tunesafe")
	// ErrForeign: the folder holds files that are not Tunesafe's.
	ErrForeign = errors.New("holds other files")
)

// Home is the absolute name of a home folder.
type Home string

// At gives the home at dir, which need not exist.
func At(dir string) (Home, error) {
	abs, err := filepath.Abs(dir)
	return Home(abs), err
}

// Default is the home of whoever names none: $XDG_DATA_HOME/tunesafe.
func Default() (string, error) { return dataFolder("tunesafe") }

// DefaultStoreDir is where a store on this machine lies. It is outside every
// home, as homes may be deleted.
func DefaultStoreDir() (string, error) { return dataFolder("tunesafe-store") }

// dataFolder follows the XDG base directory specification, by which a relative
// XDG_DATA_HOME is to be ignored.
func dataFolder(name string) (string, error) {
	if data := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(data) {
		return filepath.Join(data, name), nil
	}
	user, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(user, ".local", "share", name), nil
}

func (h Home) in(elem ...string) string {
	return filepath.Join(append([]string{string(h)}, elem...)...)
}

// The names in a home.
func (h Home) ConfigFile() string      { return h.in("config.toml") }
func (h Home) CredentialsFile() string { return h.in("credentials.toml") }
func (h Home) PricesFile() string      { return h.in("prices.toml") }
func (h Home) KeysFile() string        { return h.in("repository.key") }
func (h Home) RecoveryFile() string    { return h.in("recovery.key") }
func (h Home) DeviceFile() string      { return h.in("device.json") }
func (h Home) PasswordFile() string    { return h.in("web.password") }
func (h Home) TokensFile() string      { return h.in("web.tokens") }
func (h Home) TokensUsedFile() string  { return h.in("state", "tokens-used.json") }
func (h Home) SetupFile() string       { return h.in("setup.json") }
func (h Home) SessionsFile() string    { return h.in("web.sessions") }
func (h Home) ACMEDir() string         { return h.in("web.acme") }
func (h Home) StateDir() string        { return h.in("state") }
func (h Home) IndexFile() string       { return h.in("state", "index.db") }
func (h Home) HistoryFile() string     { return h.in("state", "history.db") }
func (h Home) LockedFile() string      { return h.in("state", "locked.db") }
func (h Home) HealthFile() string      { return h.in("state", "health.db") }
func (h Home) ContentDir() string      { return h.in("cache", "content") }
func (h Home) ZipSumsFile() string     { return h.in("cache", "zip.sums") }
func (h Home) PacksDir() string        { return h.in("cache", "packs") }
func (h Home) KeptDir() string         { return h.in("cache", "kept") }
func (h Home) ThumbnailsDir() string   { return h.in("cache", "thumbnails") }
func (h Home) RunDir() string          { return h.in("run") }
func (h Home) LogFile() string         { return h.in("log", "tunesafe.log") }

// knownFile is state that says the bucket was read at least once. It lies in
// state/, so that it goes when what was read goes.
func (h Home) knownFile() string { return h.in("state", "known") }

// openedFile is state that says the local database was there once: if it is
// not, it was lost.
func (h Home) openedFile() string { return h.in("state", "opened") }

// Opened tells whether the local database was made before.
func (h Home) Opened() bool {
	_, err := os.Stat(h.openedFile())
	return err == nil
}

// SetOpened notes that it was.
func (h Home) SetOpened() error {
	if h.Opened() {
		return nil
	}
	return WriteFile(h.openedFile(), nil)
}

// SetStateAside moves the local database, and all that was made from the bucket,
// to a new folder below state/, whose name it returns. Contents stay where they are.
func (h Home) SetStateAside() (string, error) {
	entries, err := os.ReadDir(h.StateDir())
	if err != nil {
		return "", err
	}
	aside := h.in("state", asidePrefix+time.Now().UTC().Format("20060102-150405"))
	if err := os.Mkdir(aside, 0o700); err != nil {
		return "", err
	}
	if err := os.Remove(h.knownFile()); err != nil && !errors.Is(err, fs.ErrNotExist) { // from here on the bucket is needed
		return "", err
	}
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, asidePrefix) || name == filepath.Base(h.knownFile()) {
			continue
		}
		if err := os.Rename(h.in("state", name), filepath.Join(aside, name)); err != nil {
			return "", err
		}
	}
	return aside, syncFolder(h.StateDir())
}

const asidePrefix = "damaged-"

// SetAside lists what SetStateAside moved away, the newest last.
func (h Home) SetAside() []string {
	dirs, _ := filepath.Glob(h.in("state", asidePrefix+"*"))
	return dirs
}

// own lists what a home may hold at its top.
var own = map[string]bool{
	"config.toml": true, "credentials.toml": true, "repository.key": true, "recovery.key": true,
	"device.json": true, "web.password": true, "web.tokens": true, "web.sessions": true, "web.acme": true, "setup.json": true, "state": true, "cache": true, "run": true, "log": true,
}

// Check tells whether this is a finished home: nil or [ErrNone].
func (h Home) Check() error {
	_, err := os.Stat(h.ConfigFile())
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return fmt.Errorf("%s: %w", h, ErrNone)
	}
	return err
}

// Create makes the folders of a home that is not finished yet. It touches no
// folder that holds anything else.
func (h Home) Create() error {
	if err := h.Check(); err == nil {
		return fmt.Errorf("%s: %w", h, ErrExists)
	} else if !errors.Is(err, ErrNone) {
		return err
	}
	entries, err := os.ReadDir(string(h))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if !own[e.Name()] {
			return fmt.Errorf("%s: %w", h, ErrForeign)
		}
	}
	return h.makeFolders()
}

func (h Home) folders() []string {
	return []string{string(h), h.StateDir(), h.in("cache"), h.ContentDir(), h.PacksDir(), h.RunDir(), h.in("log")}
}

// Ensure makes the folders that somebody removed.
func (h Home) Ensure() error {
	for _, dir := range h.folders() {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	return nil
}

func (h Home) makeFolders() error {
	for _, dir := range h.folders() {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if err := os.Chmod(dir, 0o700); err != nil {
			return err
		}
		if err := syncFolder(filepath.Dir(dir)); err != nil { // or what is synced in it could be lost with it
			return err
		}
	}
	return nil
}

// Known tells whether the repository's tree was taken in before, so that the
// drive can be shown without the bucket.
func (h Home) Known() bool {
	_, err := os.Stat(h.knownFile())
	return err == nil
}

// SetKnown notes that it was. It writes nothing if that is noted already: the
// disk may be full.
func (h Home) SetKnown() error {
	if h.Known() {
		return nil
	}
	return WriteFile(h.knownFile(), nil)
}
