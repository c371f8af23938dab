package repo

import "errors"

// Every error that says something about an object names it. The sentinels:
var (
	// ErrCorrupt: an object's bytes are not what the chain or its name says,
	// or break the format or its limits. Nothing of them was returned as data.
	ErrCorrupt = errors.New("corrupt")
	// ErrMissing: an object that the chain names is not in the bucket.
	ErrMissing = errors.New("missing from the bucket")
	// ErrSignature: a commit or a certificate does not bear the signature it
	// needs, or no certificate of its device is there.
	ErrSignature = errors.New("not signed by an enrolled device")
	// ErrFork: two commits bear one sequence number of one device.
	ErrFork = errors.New("log is forked")
	// ErrChain: a commit is missing from a device's chain, or does not follow
	// the one before it, or the bucket is behind what was seen before.
	ErrChain = errors.New("log is broken")
	// ErrRetired: the device was retired before it made that commit.
	ErrRetired = errors.New("device was retired")
	// ErrNewerFormat: the repository was written in a format after [Format].
	ErrNewerFormat = errors.New("repository format is newer than this program")
	// ErrWrongKey: the key given opens nothing of this repository.
	ErrWrongKey = errors.New("key does not open this repository")
	// ErrNoRepository: there is no repository below the prefix.
	ErrNoRepository = errors.New("no repository here")
	// ErrExists: there is a repository below the prefix already.
	ErrExists = errors.New("a repository is here already")
	// ErrOwed: the blob has no placement, as it is not in the bucket yet.
	ErrOwed = errors.New("not in the bucket yet")
	// ErrForeign: an object is in the bucket that no program of ours writes.
	ErrForeign = errors.New("not of this repository")
	// ErrTooLarge: a value to be written breaks the limits of FORMAT.md §9.
	ErrTooLarge = errors.New("beyond the limits of the format")
)
