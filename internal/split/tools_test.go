package split_test

import (
	"cmp"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/tunesafe/tunesafe/tests/musiclib"
)

// packages are the Debian packages of the encoders and taggers.
var packages = map[string]string{
	"ffmpeg": "ffmpeg", "lame": "lame", "flac": "flac", "metaflac": "flac", "oggenc": "vorbis-tools",
	"vorbiscomment": "vorbis-tools", "opusenc": "opus-tools", "kid3-cli": "kid3-cli", "eyeD3": "eyed3",
	"id3v2": "id3v2", "AtomicParsley": "atomicparsley", "mutagen": "python3-mutagen",
	"wavpack": "wavpack", "wvtag": "wavpack", "mpcenc": "musepack-tools", "mpcgain": "musepack-tools", "mpcchap": "musepack-tools",
	"mkvpropedit": "mkvtoolnix", "mkvmerge": "mkvtoolnix",
}

// python is Debian's own, which has Debian's mutagen.
const python = "/usr/bin/python3"

var hasMutagen = sync.OnceValue(func() bool { return exec.Command(python, "-c", "import mutagen").Run() == nil })

// need skips the test, or fails it where TUNESAFE_REQUIRE_TOOLS is set, if a
// tool is not installed.
func need(t testing.TB, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		_, err := exec.LookPath(tool)
		if tool == "mutagen" && hasMutagen() || err == nil {
			continue
		}
		if os.Getenv("TUNESAFE_REQUIRE_TOOLS") == "1" {
			t.Fatalf("%s is not installed (Debian package %s)", tool, packages[tool])
		}
		t.Skipf("%s is not installed (Debian package %s)", tool, packages[tool])
	}
}

// run runs a tool and fails the test if the tool does.
func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

// output is what a tool prints.
func output(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		t.Fatalf("%s %q: %v", name, args, err)
	}
	return string(out)
}

// ffmpeg runs ffmpeg without its chatter.
func ffmpeg(t testing.TB, args ...string) {
	t.Helper()
	run(t, "ffmpeg", append([]string{"-nostdin", "-hide_banner", "-loglevel", "error", "-y", "-threads", "1"}, args...)...)
}

// work is a directory that outlives a single test, so that tests share samples.
var work string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "split")
	if err != nil {
		panic(err)
	}
	work = dir
	flag.Set("rapid.checks", "5000") // the command line may still say otherwise
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// A sample is a file by a real encoder. The encoder reads the WAV file src.
type sample struct {
	name   string // with its extension
	tool   string
	encode func(t testing.TB, src, dst string)
}

// byFFmpeg encodes with ffmpeg and the given options.
func byFFmpeg(name string, options ...string) sample {
	return sample{name, "ffmpeg", func(t testing.TB, src, dst string) {
		ffmpeg(t, append(append([]string{"-i", src}, options...), dst)...)
	}}
}

// byTool encodes with a tool; SRC and DST in its arguments are the files.
func byTool(name, tool string, args ...string) sample {
	return sample{name, tool, func(t testing.TB, src, dst string) {
		var a []string
		for _, arg := range args {
			switch arg {
			case "SRC":
				arg = src
			case "DST":
				arg = dst
			}
			a = append(a, arg)
		}
		run(t, tool, a...)
	}}
}

// video encodes the sound with two seconds of pictures.
func video(name string, options ...string) sample {
	return sample{name, "ffmpeg", func(t testing.TB, src, dst string) {
		ffmpeg(t, append(append([]string{"-f", "lavfi", "-i", "testsrc=s=128x96:r=10:d=8", "-i", src}, options...), dst)...)
	}}
}

var samples = []sample{
	byTool("lame.mp3", "lame", "--quiet", "-b", "160", "--tt", "Title", "--add-id3v2", "SRC", "DST"),
	byTool("lame-vbr.mp3", "lame", "--quiet", "-V", "4", "SRC", "DST"),
	byTool("lame-mono22.mp3", "lame", "--quiet", "-m", "m", "--resample", "22.05", "-b", "96", "--tt", "Title", "--id3v1-only", "SRC", "DST"),
	byTool("lame-notag.mp3", "lame", "--quiet", "-t", "-b", "128", "SRC", "DST"),
	byFFmpeg("ffmpeg.mp3", "-c:a", "libmp3lame", "-q:a", "3"),
	byFFmpeg("layer2.mp2", "-c:a", "mp2", "-b:a", "192k"),
	byFFmpeg("adts.aac", "-c:a", "aac", "-b:a", "128k", "-f", "adts"),
	byFFmpeg("aac.m4a", "-c:a", "aac", "-b:a", "128k", "-metadata", "title=Title"),
	byFFmpeg("faststart.m4a", "-c:a", "aac", "-b:a", "128k", "-movflags", "+faststart"),
	byFFmpeg("alac.m4a", "-c:a", "alac"),
	byFFmpeg("book.m4b", "-c:a", "aac", "-b:a", "96k", "-f", "ipod"),
	byFFmpeg("fragments.m4a", "-c:a", "aac", "-b:a", "128k", "-f", "mp4", "-movflags", "+frag_keyframe+empty_moov", "-frag_duration", "1000000"),
	byFFmpeg("sound.mov", "-c:a", "pcm_s16le"),
	video("film.m4v", "-c:v", "mpeg4", "-c:a", "aac", "-f", "mp4"),
	byTool("flac.flac", "flac", "-s", "-f", "-o", "DST", "SRC"),
	byFFmpeg("ffmpeg.flac", "-c:a", "flac"),
	byTool("vorbis.ogg", "oggenc", "-Q", "-q", "6", "-t", "Title", "-o", "DST", "SRC"),
	byFFmpeg("ffmpeg.ogg", "-c:a", "libvorbis", "-q:a", "6"),
	byTool("opus.opus", "opusenc", "--quiet", "--bitrate", "128", "--title", "Title", "SRC", "DST"),
	{"chained.ogg", "oggenc", func(t testing.TB, src, dst string) {
		run(t, "oggenc", "-Q", "-q", "6", "-s", "1", "-o", dst+".1", src)
		run(t, "oggenc", "-Q", "-q", "4", "-s", "2", "-o", dst+".2", src)
		write(t, dst, cat(read(t, dst+".1"), read(t, dst+".2")))
	}},
	byFFmpeg("speex.spx", "-af", "aloop=1:size=352800", "-ar", "32000", "-c:a", "libspeex", "-b:a", "44k"),
	byTool("flac.oga", "flac", "-s", "-f", "--ogg", "-o", "DST", "SRC"),
	video("film.ogv", "-c:v", "libtheora", "-b:v", "200k", "-c:a", "libvorbis"),
	byFFmpeg("pcm.wav", "-c:a", "pcm_s16le"),
	byFFmpeg("rf64.wav", "-c:a", "pcm_s16le", "-rf64", "always"),
	byFFmpeg("pcm.aiff", "-c:a", "pcm_s16be"),
	byFFmpeg("sowt.aiff", "-c:a", "pcm_s16le"),
}

func init() {
	for _, m := range musiclib.Samples() {
		tool := cmp.Or(m.Tool, "ffmpeg") // which makes the source
		samples = append(samples, sample{m.Name, tool, func(t testing.TB, src, dst string) {
			if err := m.Make(t.Context(), src, dst); err != nil {
				t.Fatal(err)
			}
		}})
	}
}

// source is eight seconds of tones and noise, which no codec makes vanish.
var source = shared("source.wav", func(t testing.TB, dst string) {
	ffmpeg(t, "-f", "lavfi", "-i",
		"aevalsrc='0.3*sin(440*2*PI*t)+0.1*random(0)|0.3*sin(660*2*PI*t)+0.1*random(1)':s=44100:d=8",
		"-bitexact", dst)
})

// cover is a picture of some 100 KB.
var cover = shared("cover.jpg", func(t testing.TB, dst string) {
	ffmpeg(t, "-f", "lavfi", "-i", "nullsrc=s=480x480,geq=random(1)*255:128:128", "-frames:v", "1", dst)
})

// shared makes a file once in a test run.
func shared(name string, build func(t testing.TB, dst string)) func(t testing.TB) string {
	var mu sync.Mutex
	done := false
	return func(t testing.TB) string {
		need(t, "ffmpeg")
		mu.Lock()
		defer mu.Unlock()
		dst := filepath.Join(work, name)
		if !done {
			build(t, dst)
			done = true
		}
		return dst
	}
}

var encoded = sync.OnceValue(func() map[string]func(t testing.TB) string {
	m := map[string]func(t testing.TB) string{}
	for _, s := range samples {
		m[s.name] = shared(s.name, func(t testing.TB, dst string) { s.encode(t, source(t), dst) })
	}
	return m
})

// original returns the bytes of a sample, encoding it at first use.
func original(t testing.TB, s sample) []byte {
	t.Helper()
	need(t, s.tool)
	return read(t, encoded()[s.name](t))
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
