package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/tunesafe/tunesafe/tests/musiclib"
	"github.com/tunesafe/tunesafe/tests/tools"
)

const (
	blocks     = 100_000  // random reads
	block      = 4 << 10  // bytes of each
	smallFiles = 2000     // files copied
	smallSize  = 16 << 10 // bytes of each, on average
	tracks     = 1000     // retagged
	threads    = 8
)

// works are the rows that every column has.
func works(b *bench) []work {
	src := &sources{b: b}
	large := func(_ context.Context, dir string) error {
		return writeFile(filepath.Join(mkdir(dir), "large"), b.mega)
	}
	return []work{
		{
			name: "write and fsync a large file", prepare: justMkdir,
			run: func(ctx context.Context, dir string, _ int) error {
				return command(ctx, "dd", "if=/dev/zero", "of="+filepath.Join(dir, "large"), "bs=1M",
					fmt.Sprintf("count=%d", b.mega), "conv=fsync", "status=none")
			},
			clean: func(dir string) error { return os.Remove(filepath.Join(dir, "large")) },
			bars:  []bar{{ownPass, native, 0.9}, {ownPlain, native, 0.6}},
		},
		{
			name: "copy 2,000 small files", prepare: justMkdir,
			run: func(ctx context.Context, dir string, _ int) error {
				from, err := src.small()
				if err != nil {
					return err
				}
				return command(ctx, "cp", "-r", from, filepath.Join(dir, "copy"))
			},
			clean: func(dir string) error { return os.RemoveAll(filepath.Join(dir, "copy")) },
			bars:  []bar{{ownPass, loopPass, 0.8}, {ownPlain, loopPlain, 0.8}},
		},
		{
			name: "read a cached file again",
			prepare: func(ctx context.Context, dir string) error {
				if err := large(ctx, dir); err != nil {
					return err
				}
				return readAll(ctx, dir)
			},
			run:  func(ctx context.Context, dir string, _ int) error { return readAll(ctx, dir) },
			bars: []bar{{ownPass, native, 0.95}, {ownPlain, native, 0.6}},
		},
		{
			name: "random reads of 4 KiB", prepare: func(ctx context.Context, dir string) error {
				if err := large(ctx, dir); err != nil {
					return err
				}
				return readAll(ctx, dir)
			},
			run: func(_ context.Context, dir string, round int) error {
				return randomReads(filepath.Join(dir, "large"), uint64(round))
			},
			bars: []bar{{ownPass, native, 0.8}, {ownPlain, native, 0.8}},
		},
		{
			name: "8 threads read files at once",
			prepare: func(ctx context.Context, dir string) error {
				for i := range threads {
					if err := writeFile(filepath.Join(mkdir(dir), fmt.Sprint(i)), b.mega/threads); err != nil {
						return err
					}
				}
				return readEach(ctx, dir)
			},
			run:  func(ctx context.Context, dir string, _ int) error { return readEach(ctx, dir) },
			bars: []bar{{ownPass, native, 0.9}, {ownPlain, native, 0.6}},
		},
		{
			name: "open and read 2,000 cached small files",
			prepare: func(ctx context.Context, dir string) error {
				from, err := src.small()
				if err != nil {
					return err
				}
				if err := command(ctx, "cp", "-r", from, filepath.Join(mkdir(dir), "copy")); err != nil {
					return err
				}
				return readTree(dir)
			},
			run:  func(_ context.Context, dir string, _ int) error { return readTree(dir) },
			bars: []bar{{ownPass, loopPass, 0.9}, {ownPlain, loopPlain, 0.9}},
		},
		{
			name: "retag 1,000 tracks in place",
			prepare: func(ctx context.Context, dir string) error {
				from, err := src.tracks(ctx)
				if err != nil {
					return err
				}
				if err := command(ctx, "cp", "-r", from, filepath.Join(mkdir(dir), "tracks")); err != nil {
					return err
				}
				return retag(ctx, dir, -1)
			},
			run:  retag,
			bars: []bar{{ownPass, native, 1 / 1.5}, {ownPlain, native, 1 / 1.5}},
		},
	}
}

func mkdir(dir string) string {
	_ = os.MkdirAll(dir, 0o755) // what follows fails with a better word
	return dir
}

func justMkdir(_ context.Context, dir string) error { return os.MkdirAll(dir, 0o755) }

func command(ctx context.Context, name string, args ...string) error {
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// writeFile makes a file of so many MiB that do not repeat.
func writeFile(path string, mib int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, io.LimitReader(random(1), int64(mib)<<20), make([]byte, 1<<20))
	return err
}

func random(seed uint64) io.Reader {
	var key [32]byte
	key[0] = byte(seed)
	return rand.NewChaCha8(key)
}

// readAll reads the large file of dir as dd does.
func readAll(ctx context.Context, dir string) error {
	return command(ctx, "dd", "if="+filepath.Join(dir, "large"), "of=/dev/null", "bs=1M", "status=none")
}

func randomReads(path string, seed uint64) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(seed, 1))
	buf := make([]byte, block)
	for range blocks {
		if _, err := f.ReadAt(buf, r.Int64N(st.Size()/block)*block); err != nil {
			return err
		}
	}
	return nil
}

func readEach(ctx context.Context, dir string) error {
	g, _ := errgroup.WithContext(ctx)
	for i := range threads {
		g.Go(func() error { return readFile(filepath.Join(dir, fmt.Sprint(i)), make([]byte, 128<<10)) })
	}
	return g.Wait()
}

func readFile(path string, buf []byte) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, buf)
	return err
}

func readTree(dir string) error {
	buf := make([]byte, 128<<10)
	return filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		return readFile(p, buf)
	})
}

// retag sets the artist of all tracks of dir, a new one in each round.
func retag(ctx context.Context, dir string, round int) error {
	var files []string
	root := filepath.Join(dir, "tracks")
	err := filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(p) != ".mp3" {
			return err
		}
		rel, err := filepath.Rel(root, p)
		files = append(files, rel)
		return err
	})
	if err != nil {
		return err
	}
	job, err := json.Marshal(map[string]any{"root": root, "files": files, "from": "", "limit": tracks,
		"to": fmt.Sprintf("The Artist %d", round+10), "copy": false})
	if err != nil {
		return err
	}
	cmd := tools.TagsCommand(ctx, "retag")
	cmd.Stdin = bytes.NewReader(job)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("tagger: %w\n%s", err, stderr.Bytes())
	}
	return nil
}

// sources are the files that works copy, made when first asked for.
type sources struct{ b *bench }

func (s *sources) made(name string, make func(dir string) error) (string, error) {
	dir := filepath.Join(s.b.dir, "source", name)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return dir, make(dir)
}

func (s *sources) small() (string, error) {
	return s.made("small", func(dir string) error {
		r, bytes := rand.New(rand.NewPCG(1, 1)), random(2)
		for i := range smallFiles {
			p := filepath.Join(dir, fmt.Sprintf("%02d", i%20), fmt.Sprintf("%04d", i))
			buf := make([]byte, 1+r.IntN(2*smallSize))
			if _, err := io.ReadFull(bytes, buf); err != nil {
				return err
			}
			if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(p, buf, 0o644); err != nil {
				return err
			}
		}
		return nil
	})
}

// tracks is a library of MP3s, of half a megabyte each.
func (s *sources) tracks(ctx context.Context) (string, error) {
	return s.made("tracks", func(dir string) error {
		_, err := musiclib.Make(ctx, dir, musiclib.Options{Albums: tracks / 10, TracksPerAlbum: 10, TotalBytes: tracks * 500e3,
			ArtBytes: [2]int{20e3, 60e3}, Seed: 1, Plain: true})
		return err
	})
}
