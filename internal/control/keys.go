package control

import (
	"context"
	"time"
)

// Keeping is who may write to the repository, and who can open it. It is no part of
// [Owner]: commands do it beside whoever owns the home, as it takes no lock, and so no
// secret goes over a socket.
type Keeping interface {
	// Devices lists the machines of the repository.
	Devices(ctx context.Context) (DevicesReport, error)
	// Retire says of one that it belongs to the repository no longer.
	Retire(ctx context.Context, r RetireRequest) (RetireReport, error)
	// NewEpoch begins a key epoch.
	NewEpoch(ctx context.Context, with Unlock) (EpochReport, error)
	// Keys lists what opens the repository.
	Keys(ctx context.Context) (KeysReport, error)
	// AddKey lets another in.
	AddKey(ctx context.Context, r AddKeyRequest) error
	// RemoveKey takes a key away.
	RemoveKey(ctx context.Context, r RemoveKeyRequest) error
}

// Unlock is what a person has to open all of the repository with: one of them, or
// none where the home holds the recovery key.
type Unlock struct {
	RecoveryKey string `json:"recovery_key,omitempty"`
	Passphrase  string `json:"passphrase,omitempty"`
}

// DevicesReport lists machines, by name.
type DevicesReport struct {
	Devices  []Device `json:"devices"`
	Problems []Fault  `json:"problems,omitempty"` // certificates that are not valid
	Unlocked bool     `json:"unlocked"`           // this home holds the recovery key: nobody has to type one
}

// Device is a machine of the repository.
type Device struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	This       bool       `json:"this_home"`
	Enrolled   time.Time  `json:"enrolled"`
	LastCommit *time.Time `json:"last_commit,omitempty"` // by the store's clock; none: it made none

	Retired *time.Time `json:"retired,omitempty"`
	Last    uint64     `json:"last_commit_number,omitempty"` // that counts, of one that is retired
	Refused int64      `json:"refused,omitempty"`            // commits since
}

// RetireRequest names a machine by its id, or by its name if only one has it.
type RetireRequest struct {
	Device string `json:"device"`
	Unlock Unlock `json:"unlock"`
}

// RetireReport says what is refused from now on, and for whom a key epoch has begun.
type RetireReport struct {
	Device Device      `json:"device"`
	Epoch  EpochReport `json:"epoch"`
}

// EpochReport says to whom it is open what is written from now on.
type EpochReport struct {
	Epoch   int      `json:"epoch"`
	Keys    []string `json:"keys"`             // it is open to
	Closed  []string `json:"closed,omitempty"` // and closed to, as there is no record of them
	Devices []string `json:"devices"`
}

// KeysReport lists keys, by name.
type KeysReport struct {
	Keys     []Key   `json:"keys"`
	Problems []Fault `json:"problems,omitempty"` // records that are not valid
	Unlocked bool    `json:"unlocked"`           // this home holds the recovery key: nobody has to type one
}

// The kinds of key.
const (
	KeyPassphrase = "passphrase"
	KeyIdentity   = "key"
)

// What a key opens.
const (
	OpensAll     = "everything"
	OpensData    = "data" // and enrols no machine
	OpensUnknown = "unknown"
)

// Key opens the repository.
type Key struct {
	Name      string     `json:"name"`
	Kind      string     `json:"kind"`  // passphrase or key
	Opens     string     `json:"opens"` // everything, data, or unknown: no record vouches for it
	Added     *time.Time `json:"added,omitempty"`
	Recipient string     `json:"recipient,omitempty"` // of age
	ThisHome  bool       `json:"opened_this_home"`    // with it this home was made
}

// AddKeyRequest lets another key in: a recipient of age, or a passphrase.
type AddKeyRequest struct {
	Name       string `json:"name"`
	Recipient  string `json:"recipient,omitempty"`
	Passphrase string `json:"new_passphrase,omitempty"`
	ReadOnly   bool   `json:"read_only,omitempty"` // it opens the data and enrols no machine
	Unlock     Unlock `json:"unlock"`
}

// RemoveKeyRequest takes a key away.
type RemoveKeyRequest struct {
	Name   string `json:"name"`
	Unlock Unlock `json:"unlock"`
}
