package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	accessKey = "tunesafe"
	secretKey = "tunesafe-secret"
	region    = "us-east-1"
)

// tool is a backup program with a bucket of its own.
type tool struct {
	name   string
	env    []string
	init   [][]string                    // commands before the clock
	backup func(library string) []string // the command that is measured
}

// tools lists all that can be compared, each with its state below dir.
func tools(o options, dir, endpoint string) ([]tool, error) {
	program, err := filepath.Abs(o.program)
	if err != nil {
		return nil, err
	}
	home := filepath.Join(dir, "home")
	host := strings.TrimPrefix(endpoint, "http://")
	return []tool{
		{
			name:   "tunesafe",
			env:    []string{"TUNESAFE_HOME=" + home},
			init:   [][]string{{program, "init", "--store", "s3://tunesafe/library", "--endpoint", endpoint, "--region", region}},
			backup: func(library string) []string { return []string{program, "backup", library} },
		},
		{
			name: "restic",
			env: []string{"RESTIC_REPOSITORY=s3:http://" + host + "/restic", "RESTIC_PASSWORD=x",
				"RESTIC_CACHE_DIR=" + filepath.Join(dir, "restic-cache")},
			init:   [][]string{{"restic", "version"}, {"restic", "init"}},
			backup: func(library string) []string { return []string{"restic", "backup", "-q", library} },
		},
		{
			name: "rclone",
			env: []string{"RCLONE_CONFIG=" + filepath.Join(dir, "rclone.conf"), "RCLONE_CONFIG_R_TYPE=s3",
				"RCLONE_CONFIG_R_PROVIDER=Other", "RCLONE_CONFIG_R_ACCESS_KEY_ID=" + accessKey,
				"RCLONE_CONFIG_R_SECRET_ACCESS_KEY=" + secretKey, "RCLONE_CONFIG_R_ENDPOINT=" + endpoint,
				"RCLONE_CONFIG_R_REGION=" + region, "RCLONE_CONFIG_R_FORCE_PATH_STYLE=true"},
			init:   [][]string{{"rclone", "version"}, {"rclone", "mkdir", "r:rclone"}},
			backup: func(library string) []string { return []string{"rclone", "sync", library, "r:rclone"} },
		},
	}, nil
}

// ready returns the tools that are there, with their repositories made.
func ready(ctx context.Context, o options, dir, endpoint string, out io.Writer) (list []tool, err error) {
	all, err := tools(o, dir, endpoint)
	if err != nil {
		return nil, err
	}
	for _, t := range all {
		if _, err := exec.LookPath(t.init[0][0]); err != nil {
			fmt.Fprintf(out, "%s: left out, as it is not installed\n", t.name)
			continue
		}
		for _, args := range t.init {
			text, err := t.command(ctx, args).CombinedOutput()
			if err != nil {
				return nil, fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, text)
			}
			if args[len(args)-1] == "version" {
				first, _, _ := strings.Cut(string(text), "\n")
				fmt.Fprintln(out, first)
			}
		}
		list = append(list, t)
	}
	return list, nil
}

func (t tool) command(ctx context.Context, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "AWS_") { // what is set for another account is none of theirs
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, "AWS_ACCESS_KEY_ID="+accessKey, "AWS_SECRET_ACCESS_KEY="+secretKey)
	cmd.Env = append(cmd.Env, t.env...)
	return cmd
}

// server is the S3 server's process.
type server struct {
	cmd *exec.Cmd
	url string
}

// serverPatience is how long the server may take to answer first.
const serverPatience = 30 * time.Second

func startServer(ctx context.Context, program, dir string) (*server, error) {
	program, err := filepath.Abs(program)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := l.Addr().String()
	l.Close()
	s := &server{url: "http://" + addr}
	s.cmd = exec.CommandContext(ctx, program, "--access", accessKey, "--secret", secretKey, "--port", addr, "--quiet", "posix", dir)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for began := time.Now(); time.Since(began) < serverPatience; time.Sleep(50 * time.Millisecond) {
		if resp, err := http.Get(s.url); err == nil {
			resp.Body.Close()
			return s, nil
		}
	}
	s.stop()
	return nil, errors.New("the S3 server does not answer")
}

func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Wait() // ended by the signal
}
