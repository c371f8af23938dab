package home

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/tunesafe/tunesafe/internal/retain"
	"github.com/tunesafe/tunesafe/internal/store/s3"
)

// Kinds of store.
const (
	KindS3    = "s3"    // a bucket somewhere
	KindLocal = "local" // a folder of this machine, served to this process alone
)

// ErrConfig: config.toml or credentials.toml cannot be made sense of.
var ErrConfig = errors.New("malformed configuration")

// Config is config.toml.
type Config struct {
	Repository       string    `toml:"repository"` // the id of repo.json
	Created          time.Time `toml:"created"`    // this home, not the repository
	RecoveryKeySaved bool      `toml:"recovery_key_saved"`
	ReadOnly         bool      `toml:"read_only,omitempty"`          // the key that opened it enrols no device
	OpenedBy         string    `toml:"opened_by,omitempty"`          // the name of that key in the repository; empty: not known
	CacheSize        string    `toml:"cache_size,omitempty"`         // "20 GiB"; empty is the default
	Checkpoint       int       `toml:"checkpoint_commits,omitempty"` // commits between checkpoints; 0 is the default, 1,000
	Brake            Brake     `toml:"brake,omitempty"`
	Keep             Keep      `toml:"keep,omitempty"`
	Store            Store     `toml:"store"`
	Agent            *Agent    `toml:"agent,omitempty"`
	Web              *Web      `toml:"web,omitempty"`
}

// Keep is what a prune keeps of the past. Without rules that is every version of all
// labour, and sound for a time.
type Keep struct {
	retain.Rules
	Sound string `toml:"sound,omitempty"` // "90d", or "all"; empty is the default
}

// Brake is how much of a kind a backup of a folder applies unasked; 0 is the
// default of each.
type Brake struct {
	GoneFiles  int     `toml:"gone_files,omitempty"` // files gone; more are held, if they are also
	GoneShare  float64 `toml:"gone_share,omitempty"` // more than this share of all
	Emptied    int     `toml:"emptied,omitempty"`    // tracks without title, artist and album; so many are held
	Rotten     int     `toml:"rotten,omitempty"`     // with other sound under the same tags
	Unreadable int     `toml:"unreadable,omitempty"` // that are no tracks any more
}

// Store says where the repository lies.
type Store struct {
	Kind     string `toml:"kind"`
	URL      string `toml:"url,omitempty"` // s3://bucket/prefix
	Endpoint string `toml:"endpoint,omitempty"`
	Region   string `toml:"region,omitempty"`
	Dir      string `toml:"dir,omitempty"` // of a local store

	Addressing string `toml:"addressing,omitempty"`         // path or virtual; empty is virtual at AWS and path elsewhere
	AudioClass string `toml:"storage_class,omitempty"`      // of audio objects; empty is the store's usual
	PacksClass string `toml:"pack_storage_class,omitempty"` // of packs
	LockDays   int    `toml:"lock_days,omitempty"`          // how long the bucket refuses to remove what is written; 0: it does not
	LockMode   string `toml:"lock_mode,omitempty"`          // compliance or governance
	Profile    string `toml:"profile,omitempty"`            // of the AWS configuration, where no credentials are kept in the home
}

// Local tells whether the store is on this machine, so that what it holds is a
// copy and no backup.
func (s Store) Local() bool { return s.Kind == KindLocal }

// Lock is how the bucket locks what is written.
func (s Store) Lock() s3.Lock {
	return s3.Lock{Mode: s.LockMode, For: time.Duration(s.LockDays) * 24 * time.Hour}
}

// String is how messages name the store.
func (s Store) String() string {
	switch {
	case s.Local():
		return s.Dir
	case s.Endpoint != "":
		return s.URL + " at " + s.Endpoint
	}
	return s.URL
}

// Credentials is credentials.toml.
type Credentials struct {
	AccessKey    string `toml:"access_key"`
	SecretKey    string `toml:"secret_key"`
	SessionToken string `toml:"session_token,omitempty"`
}

// Config reads config.toml; [ErrNone] if there is none.
func (h Home) Config() (Config, error) {
	var c Config
	err := readTOML(h.ConfigFile(), &c)
	if errors.Is(err, fs.ErrNotExist) {
		return c, fmt.Errorf("%s: %w", h, ErrNone)
	}
	if err != nil {
		return c, err
	}
	return c, h.check(c.Store)
}

func (h Home) check(s Store) error {
	switch {
	case s.Addressing != "" && s.Addressing != string(s3.AddressPath) && s.Addressing != string(s3.AddressVirtual):
		return fmt.Errorf("%s: %w: addressing is path or virtual", h.ConfigFile(), ErrConfig)
	case s.LockDays < 0 || s.Lock().Check() != nil:
		return fmt.Errorf("%s: %w: lock_days is a number of days, lock_mode compliance or governance", h.ConfigFile(), ErrConfig)
	case s.Kind == KindS3 && s.URL != "", s.Kind == KindLocal && s.Dir != "":
		return nil
	}
	return fmt.Errorf("%s: %w: [store] needs kind s3 with url, or kind local with dir", h.ConfigFile(), ErrConfig)
}

// SetConfig writes config.toml, which finishes a new home.
func (h Home) SetConfig(c Config) error { return writeTOML(h.ConfigFile(), c) }

// Credentials reads credentials.toml; zero if none are kept.
func (h Home) Credentials() (Credentials, error) {
	var c Credentials
	err := readTOML(h.CredentialsFile(), &c)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	return c, err
}

// SetCredentials writes credentials.toml.
func (h Home) SetCredentials(c Credentials) error { return writeTOML(h.CredentialsFile(), c) }

// readTOML refuses what it does not know, as a misspelt setting would
// otherwise be one that silently does nothing.
func readTOML(name string, v any) error {
	data, err := readPrivate(name)
	if err != nil {
		return err
	}
	meta, err := toml.Decode(string(data), v)
	if err != nil {
		return fmt.Errorf("%s: %w: %w", name, ErrConfig, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return fmt.Errorf("%s: %w: unknown setting %s", name, ErrConfig, unknown[0])
	}
	return nil
}

func writeTOML(name string, v any) error {
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(v); err != nil {
		return err
	}
	return WriteFile(name, b.Bytes())
}
