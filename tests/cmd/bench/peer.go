package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// lab is where programs are compared: a server and a folder.
type lab struct {
	options
	server *server
	sheet  *sheet
	spent  map[string]cost // of Tunesafe, by work
	log    io.Writer
	out    io.Writer
}

// stepPatience bounds one run of a program.
const stepPatience = 5 * time.Minute

// peer is a program with a bucket and state of its own.
type peer struct {
	name   string
	dir    string // its state; removed in the end
	cache  string // what a computer that comes new to the store lacks
	bucket string
	env    []string

	patience time.Duration // longer than stepPatience

	prepare [][]string // makes the repository
	rejoin  [][]string // what else a computer does that comes new to the store
	backup  func(library string) []string
	restore func(ctx context.Context, dest string) ([]string, error)
	views   []variant           // read-only or not: what a player is pointed at
	drive   *variant            // a folder to copy music onto and retag in; empty at first
	synced  func() []string     // waits for what was written to the drive; nil: until the line is quiet
	tree    func(string) string // where restore puts the library; nil: right into dest
}

// variant is one way of mounting.
type variant struct {
	name  string // column
	args  func(ctx context.Context, at string) ([]string, error)
	root  func(at, library string) string
	empty bool
}

// maker makes a peer of a program, which is found at path.
type maker struct {
	name    string
	needs   string   // program
	version []string // arguments that print it
	make    func(l *lab, path, dir, bucket string) *peer
}

// find looks for a program in .bin, where the project's scripts put some, and in
// $PATH.
func find(name string) (string, error) {
	if p, err := filepath.Abs(filepath.Join(".bin", name)); err == nil {
		if st, err := os.Stat(p); err == nil && !st.IsDir() {
			return p, nil
		}
	}
	return exec.LookPath(name)
}

// cast is the programs that are here, in order of the table, and says who is not.
func (l *lab) cast(ctx context.Context) (here []maker, missing []string) {
	for _, m := range makers() {
		if len(l.peers) > 0 && !l.peers[m.name] {
			continue
		}
		path, err := l.path(m)
		if err != nil {
			missing = append(missing, m.needs)
			continue
		}
		if m.version != nil {
			// Some print it to the one stream, some to the other.
			out, _ := exec.CommandContext(ctx, path, m.version...).CombinedOutput()
			first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
			l.sheet.versions = append(l.sheet.versions, strings.TrimPrefix(first, "Amazon Simple Storage Service File System "))
			if m.name == "s3fs" {
				l.sheet.versions[len(l.sheet.versions)-1] = "s3fs " + l.sheet.versions[len(l.sheet.versions)-1]
			}
		}
		here = append(here, m)
	}
	return here, missing
}

func (l *lab) path(m maker) (string, error) {
	switch m.needs {
	case "tunesafe":
		return l.program, nil
	case "":
		return os.Executable()
	}
	return find(m.needs)
}

// enter makes a peer with an empty bucket.
func (l *lab) enter(ctx context.Context, m maker, scene string) (*peer, error) {
	path, err := l.path(m)
	if err != nil {
		return nil, err
	}
	bucket := strings.ReplaceAll(m.name, " ", "-") + "-" + scene
	dir := filepath.Join(l.dir, "peers", bucket)
	p := m.make(l, path, dir, bucket)
	p.name, p.dir, p.bucket, p.cache = m.name, dir, bucket, filepath.Join(dir, "cache")
	if err := os.MkdirAll(p.cache, 0o755); err != nil {
		return nil, err
	}
	if err := l.server.makeBucket(ctx, bucket); err != nil {
		return nil, err
	}
	return p, p.each(ctx, p.prepare)
}

// leave removes all of it.
func (l *lab) leave(p *peer) error {
	return errors.Join(l.server.dropBucket(p.bucket), os.RemoveAll(p.dir))
}

// forget makes of it a computer that comes new to the store.
func (p *peer) forget(ctx context.Context) error {
	if err := errors.Join(os.RemoveAll(p.cache), os.MkdirAll(p.cache, 0o755)); err != nil {
		return err
	}
	return p.each(ctx, p.rejoin)
}

func (p *peer) each(ctx context.Context, commands [][]string) error {
	for _, args := range commands {
		if out, err := p.command(ctx, args).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, tail(string(out)))
		}
	}
	return nil
}

func (p *peer) command(ctx context.Context, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "AWS_") { // what is set for another account is none of theirs
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, "AWS_ACCESS_KEY_ID="+accessKey, "AWS_SECRET_ACCESS_KEY="+secretKey, "AWS_REGION="+region, "HOME="+p.dir)
	cmd.Env = append(cmd.Env, p.env...)
	cmd.Dir = p.dir
	return cmd
}
