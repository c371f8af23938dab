package main

import "strings"

// remarks stand beside rows: the limit, or why another may be ahead.
var remarks = map[string]string{
	"first backup, wall":      "raw and rclone encrypt and name nothing, sealed is the limit of what does; without SHA instructions nearly half of Tunesafe's CPU is one SHA-256 of what is sent, at the rate above",
	"first backup, CPU":       "half of restic's is the aim; one SHA-256, one BLAKE2b and one ChaCha20-Poly1305 of each byte",
	"first backup, memory":    "20 MB of it are objects being sealed and sent, 30 mapped files; under 100 is the aim",
	"first backup, requests":  "an object a track of 256 KiB and more, so that one is fetched, or lost, alone; restic packs all",
	"whole restore, wall":     "every byte is decrypted and compared with its name, which rclone and raw do not; sealed is the limit of what does",
	"whole restore, CPU":      "as above",
	"whole restore, requests": "an object a track, by one request; restic fetches packs",
	"stored":                  "keys, tags, index and log; 1 is the aim. Of the others: pictures and tags again and again",
	"scan memory":             "each of the drives keeps what it read in memory or on the disk, s3fs on the disk alone; a pack is held in memory until all of it that is wanted was taken; under 100 is the aim",
	"scan down":               "tags, each picture once, index, both ends of the sound",
	"play":                    "tags, and of the picture in front of the sound the sealed chunks of 64 KiB that hold its beginning, mostly two: 30 ms and 0.13 s, and the frame of tags",
	"seek":                    "the limit is 30 ms and two sealed chunks of 64 KiB: 0.16 s; who took seconds for the first 64 KiB has the whole file by now",
	"night puts":              "one for each new track, one for all that is small of it (tags, pictures, tables, ends of the sound), and the commit; 7 is the aim",
	"night lists":             "of Tunesafe's none grows with the library",
	"retag bytes":             "the limit is what changed: 40 to 130 bytes, and the row that names it; 300 is the aim",
	"cold retag down":         "what the tagger itself reads",
	"first backup line":       "2 is the aim",
	"idle":                    "from the start of the program to the first byte of a body; gaps; from the last byte to its end",
	"whole restore line":      "2 is the aim",

	"library copied onto the drive until it is safe, CPU":    "as for a first backup: the others neither hash, nor encrypt",
	"library copied onto the drive until it is safe, memory": "s3fs keeps parts on the disk and sends one file at a time, while cp waits; under 100 is the aim",
	"tracks retagged on a cold drive until safe, memory":     "s3fs keeps parts on the disk; under 100 is the aim",
	"tiny tracks, first backup, wall":                        "Tunesafe cuts each file into tags, sound and its ends, and makes the rows of which the drive and its past consist; the others make none",
	"tiny tracks, first backup, CPU":                         "as above",
	"tiny tracks, first backup, memory":                      "as for a first backup; the others keep no tables of what is stored",
	"tiny tracks, first backup, requests":                    "packs of 8 MiB and more, and commits between them: what is sent is safe before the end",
	"tracks retagged, memory":                                "the others send whole files and keep no tables of what is stored; under 100 is the aim",
	"whole restore, memory":                                  "under 100 is the aim",
}

// remark is what stands beside a row of a work, whose name may begin with a number.
func remark(row string) string { return remarks[strings.TrimLeft(row, "0123456789, ")] }
