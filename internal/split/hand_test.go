package split_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestByHand has mutagen, and ffmpeg where it knows the format, read the files
// that were made by hand, so that what is tested with them is no fancy.
func TestByHand(t *testing.T) {
	need(t, "mutagen", "ffmpeg")
	for name, codec := range map[string]string{"monkeys.ape": "ape", "stream.tak": "tak", "dsd.dsf": "dsd_lsbf_planar", "dsd.dff": "dsd_msbf", "sv7.mpc": "musepack7", "frog.ofr": ""} {
		t.Run(name, func(t *testing.T) {
			path := encoded()[name](t)
			run(t, python, "-c", "import sys, mutagen; f = mutagen.File(sys.argv[1]); assert f.info.length > 0 and f.info.channels == 2", path)
			if codec == "" {
				return
			}
			out := output(t, "ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", path)
			if got := strings.TrimSpace(out); got != codec {
				t.Errorf("ffprobe takes %s for %q, want %q", filepath.Base(path), got, codec)
			}
		})
	}
}
