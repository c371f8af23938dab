package main

// remarks stand beside rows: the limit, or why another may be ahead.
var remarks = map[string]string{
	"first backup, wall":      "raw and rclone encrypt and name nothing; nearly half of Tunesafe's CPU is one SHA-256 of what is sent, at the rate above",
	"first backup, CPU":       "half of restic's is the aim; one SHA-256, one BLAKE2b and one ChaCha20-Poly1305 of each byte",
	"first backup, memory":    "32 MB of it are objects being sealed and sent; under 100 is the aim",
	"first backup, requests":  "an object a track of 256 KiB and more, so that one is fetched, or lost, alone; restic packs all",
	"whole restore, wall":     "every byte is decrypted and verified, which rclone and raw do not",
	"whole restore, CPU":      "as above",
	"whole restore, requests": "an object a track and more than one request for each; restic fetches packs",
	"stored":                  "keys, tags, index and log; 1 is the aim. Of the others: pictures and tags again and again",
	"scan down":               "tags, each picture once, index, both ends of the sound",
	"play":                    "the beginning came with the tags; what is behind it takes 30 ms and its transfer, 0.06 s each 64 KiB",
	"seek":                    "the limit is 30 ms and two sealed chunks of 64 KiB: 0.16 s",
	"night puts":              "one for each new track, one for each kind of small part that is new (tags, pictures, tables, ends of the sound), and the commit",
	"night lists":             "of Tunesafe's none grows with the library",
	"retag bytes":             "the limit is what changed: 40 to 130 bytes, and the row that names it; 300 is the aim",
	"cold retag down":         "what the tagger itself reads",
	"first backup line":       "2 is the aim",
	"whole restore line":      "2 is the aim",
}
