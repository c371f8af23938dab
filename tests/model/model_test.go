// Package model compares the drive with a plain directory: random sequences of
// operations, done on both, must give the same results and leave the same trees.
//
// In the midst of a sequence the drive is unmounted and mounted again, killed,
// has its contents evicted, loses its home and is made anew from the bucket, or
// goes on at a second machine. None of that may be seen. A sequence that fails
// is shrunk and printed, an operation a line.
//
// What is compared of a result is what a program can rely on: errno, bytes,
// type, mode, owner, link count, size, link target, extended attributes, names.
// Modification times must be equal where they were set, and new on both sides
// where they were not. Of SEEK_DATA and SEEK_HOLE only what lseek(2) promises is
// required.
//
// TUNESAFE_SEED repeats a run, with the seed that a failure printed.
package model

import (
	"flag"
	"os"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/musiclib"
	"github.com/tunesafe/tunesafe/tests/tools"
)

func TestMain(m *testing.M) { os.Exit(drive.Main(m)) }

// ways are how drives are mounted. Clean contents are always evicted; only
// "hurried" does so, and uploads, at moments that no sequence chooses.
var ways = []struct {
	name  string
	flags []string
}{
	{"passthrough", []string{"--cache-size=1", "--settle=1h"}},
	{"ordinary", []string{"--cache-size=1", "--settle=1h", "--no-passthrough"}},
	{"hurried", []string{"--cache-size=1", "--settle=1ms"}},
}

// TestModel: whatever programs do, and whatever befalls the drive meanwhile, it
// is a directory.
func TestModel(t *testing.T) {
	drive.NeedFUSE(t)
	tools.Need(t, musiclib.Tools...)
	checks := tools.Count(t, 10, 200, 5000)
	set(t, "rapid.steps", "30")      // operations of a sequence, on average
	set(t, "rapid.shrinktime", "0s") // see report
	set(t, "rapid.nofailfile", "true")
	set(t, "rapid.checks", strconv.Itoa(checks))
	if s := os.Getenv("TUNESAFE_SEED"); s != "" {
		set(t, "rapid.seed", s)
	}
	tracks := makeTracks(t)
	drive.Program(t)
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			rig := &rig{t: t, flags: way.flags, random: true}
			defer rig.close()
			operations, sequences := 0, 0
			rapid.Check(t, func(rt *rapid.T) {
				operations += rig.sequence(rt, tracks)
				sequences++
			})
			t.Logf("figure: %d operations in %d sequences", operations, sequences)
		})
	}
}

// set gives a flag of rapid's another default: what is on the command line stays.
func set(t *testing.T, name, value string) {
	t.Helper()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	if given {
		return
	}
	if err := flag.Set(name, value); err != nil {
		t.Fatal(err)
	}
}
