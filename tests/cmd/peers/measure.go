package main

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"time"

	"github.com/tunesafe/tunesafe/tests/s3proxy"
)

// result is what one run of a tool took.
type result struct {
	wall, cpu time.Duration
	memory    int64 // bytes, at most
	requests  int64
	puts      int64
	up        int64 // bytes of request bodies
}

// measure runs a command behind the counting proxy.
func measure(ctx context.Context, args []string, t tool, proxy *s3proxy.Proxy) (result, error) {
	proxy.Reset()
	cmd := t.command(ctx, args)
	began := time.Now()
	out, err := cmd.CombinedOutput()
	wall := time.Since(began)
	if err != nil {
		return result{}, fmt.Errorf("%w\n%s", err, out)
	}
	s := proxy.Reset()
	r := result{wall: wall, requests: s.Requests, up: s.Up, cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	for op, n := range s.Ops {
		if op == "PutObject" || op == "UploadPart" {
			r.puts += n.Requests
		}
	}
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.memory = u.Maxrss << 10
	}
	return r, nil
}

// walkTime is what find takes over the tree, the better of two.
func walkTime(ctx context.Context, dir string) (time.Duration, error) {
	best := time.Duration(0)
	for range 2 {
		began := time.Now()
		cmd := exec.CommandContext(ctx, "find", dir, "-printf", `%p %s %T@ %C@\n`)
		if _, err := cmd.Output(); err != nil {
			return 0, err
		}
		if d := time.Since(began); best == 0 || d < best {
			best = d
		}
	}
	return best, nil
}

// The bars of Tunesafe.
const (
	walksAllowed  = 1.5         // an unchanged run: so many walks over the tree
	startAllowed  = time.Second // and this
	bytesPerRetag = 300         // up, a track
)

// table prints rows as they come.
type table struct {
	w      io.Writer
	tracks int // that were retagged
	rows   map[string]result
	order  []string
}

func (t *table) head(work string, walk time.Duration) {
	t.rows, t.order = map[string]result{}, nil
	fmt.Fprintf(t.w, "\n%s (find over the tree: %.2f s)\n%-12s%9s%9s%9s%10s%8s%14s\n", work, walk.Seconds(),
		"", "wall s", "CPU s", "MB", "requests", "PUTs", "bytes up")
}

func (t *table) row(name string, r result) {
	t.rows[name] = r
	t.order = append(t.order, name)
	fmt.Fprintf(t.w, "%-12s%9.2f%9.2f%9d%10d%8d%14d\n", name, r.wall.Seconds(), r.cpu.Seconds(), r.memory>>20, r.requests, r.puts, r.up)
}

// verdicts says how Tunesafe stands to its bars.
func (t *table) verdicts(work string, walk time.Duration) {
	own, ok := t.rows["tunesafe"]
	if !ok {
		return
	}
	switch work {
	case "first backup":
		for _, peer := range t.order {
			if peer != "tunesafe" {
				t.verdict(fmt.Sprintf("%.2f of the time of %s", own.wall.Seconds()/t.rows[peer].wall.Seconds(), peer), own.wall <= t.rows[peer].wall)
			}
		}
	case "nothing changed":
		allowed := time.Duration(walksAllowed*float64(walk)) + startAllowed
		t.verdict(fmt.Sprintf("%.2f s, allowed %.2f", own.wall.Seconds(), allowed.Seconds()), own.wall <= allowed)
		t.verdict(fmt.Sprintf("%d PUTs, allowed none", own.puts), own.puts == 0)
	case "retagged":
		each := float64(own.up) / float64(t.tracks)
		t.verdict(fmt.Sprintf("%.0f bytes a track for %d tracks, allowed %d", each, t.tracks, bytesPerRetag), each <= bytesPerRetag)
	}
}

func (t *table) verdict(text string, ok bool) {
	word := "ok"
	if !ok {
		word = "BELOW"
	}
	fmt.Fprintf(t.w, "    %s: %s\n", text, word)
}
