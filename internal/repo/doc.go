// Package repo is the repository format: how an encrypted music library lies
// in a bucket. FORMAT.md at the root of the source is its specification, and
// its chapters are cited as §. The package is pure over a [store.Store] and
// knows nothing of files being open or dirty.
//
// # The idea
//
// A part of a file is one blob, or several; a blob is named by a keyed hash of
// its bytes ([Keys.BlobID]), so it is stored once. Blobs travel in objects:
// sound alone and raw ([SealAudio]), everything else packed and compressed many
// to an object ([PackBuilder]). Each object is one age file named by the
// SHA-256 of its own sealed bytes, written once and never changed.
//
// What lies where, and which files there are, is said by the log: each device
// has a chain of signed commits ([Commit]), each naming the one before it by
// hash. Now and then a commit is a checkpoint, which carries the whole state
// ([BuildCheckpoint]), so that a reader need not begin at the first.
//
// # What holds
//
//   - Order of writing: objects, acknowledged ([Index.Acked]), then the commit that
//     places them, acknowledged, then [Index.Apply]; only then is anything safe.
//   - Nothing from the bucket is believed before it is verified: an object by its
//     name, a range of one by its length, its pinned first 184 bytes and the
//     age chunks' own authentication, a whole blob by its id, a commit by its
//     name, signature and chain. It is authenticated before it is
//     decompressed, and bounded before it is allocated.
//   - A malicious bucket can make calls fail, with an error that names the object
//     ([ErrCorrupt], [ErrFork], …); it cannot make them return other data.
//
// # Where to begin
//
// [Create] or [Unlock] give the [Keys]; [Enrol] makes the [Device]; an
// [Index] is opened in the home and brought up to date by [LatestCheckpoint],
// [ReadCheckpoint] and [ReadLog]; a [Reader] reads blobs through it; [Check]
// compares bucket and log.
package repo
