package main

// remarks stand beside rows: the limit, or why another is ahead.
var remarks = map[string]string{
	"first backup, requests":  "an object a track of 256 KiB and more, so that one is fetched, and lost, alone; restic packs all",
	"whole restore, requests": "an object a track; restic fetches packs",
	"stored":                  "keys, tags, index and log",
	"scan":                    "",
	"scan down":               "tags, each picture once, index, both ends of the sound",
	"seek":                    "the limit is 30 ms and two sealed chunks of 64 KiB: 0.16 s",
	"night puts":              "two and one for each new track are the aim",
	"night lists":             "none grows with the library",
	"cold retag down":         "what the tagger itself reads",
	"retag bytes":             "the limit is what changed: 40 to 130 bytes, and the row that names it",
}
