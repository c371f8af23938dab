package repo

// The limits of FORMAT.md §9, in bytes unless said otherwise. Readers hold
// them before they allocate.
const (
	MaxBlob    = 16 << 20 // a blob
	MaxObject  = 17 << 20 // an object's plaintext
	MaxFrame   = 17 << 20 // a pack frame, unpacked
	MaxCommit  = 64 << 20 // a commit, unpacked
	MaxName    = 255      // a name in a directory
	MaxTarget  = 4095     // a symbolic link's target
	MaxXattrs  = 128 << 10
	MaxDepth   = 1000    // of directories
	MaxRuns    = 4 << 20 // runs of one file
	maxSealed  = pinnedSize + (MaxObject/chunkSize+1)*sealedChunk
	maxSmall   = 64 << 10 // repo.json, keys/, devices/
	padTo      = 16 << 10 // audio objects
	frameLimit = 256 << 10
)
