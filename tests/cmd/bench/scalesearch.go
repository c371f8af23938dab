package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// searches are what somebody types into the page.
var searches = []string{"night river", "björk", "glass", "весна", "sunday letter ocean", "no. 7"}

// search asks the interface for other programs, of the home that backed the library up, for
// tracks. The first question has it make its catalog.
func (s *scaled) search(ctx context.Context) (err error) {
	token, err := s.p.command(ctx, []string{s.l.program, "web", "token", "add", "bench", "--read-only"}).Output()
	if err != nil {
		return fmt.Errorf("token: %w", err)
	}
	cmd := s.p.command(context.Background(), []string{s.l.program, "web", "--listen", "127.0.0.1:0"}) // ended below, in order
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // ended by the signal
	}()
	at, err := pageAt(out)
	if err != nil {
		return err
	}
	ask := func(q string) error { return s.ask(ctx, at, strings.TrimSpace(string(token)), q) }
	before, err := cpuOf(cmd.Process.Pid)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := ask(searches[0]); err != nil {
		return err
	}
	wall := time.Since(began)
	after, err := cpuOf(cmd.Process.Pid)
	if err != nil {
		return err
	}
	var each []float64
	for range 5 {
		for _, q := range searches {
			began := time.Now()
			if err := ask(q); err != nil {
				return err
			}
			each = append(each, time.Since(began).Seconds())
		}
	}
	memory, own, err := memories(cmd.Process.Pid)
	s.g.row(firstSearch+", wall", "s", 2).add(s.tracks, wall.Seconds())
	s.g.row(firstSearch+", CPU", "s", 2).add(s.tracks, (after - before).Seconds())
	s.g.row(firstSearch+", memory at most", "MB", 0).add(s.tracks, memory)
	s.g.row(firstSearch+", … of it its own", "MB", 0).add(s.tracks, own)
	s.g.row(nextSearch+", wall", "s", 4).add(s.tracks, median(each))
	return err
}

var pageLink = regexp.MustCompile(`http://[^/\s]+`)

// pageAt waits until the page is served, and tells where.
func pageAt(out io.Reader) (string, error) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if at := pageLink.FindString(lines.Text()); at != "" {
			go func() { _, _ = io.Copy(io.Discard, out) }() // what else it says
			return at, nil
		}
	}
	return "", errors.Join(errors.New("the page is not served"), lines.Err())
}

// ask searches, again while the library is being put in order.
func (s *scaled) ask(ctx context.Context, at, token, q string) error {
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, at+"/api/v1/search?q="+url.QueryEscape(q), nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		switch {
		case err != nil:
			return err
		case resp.StatusCode == http.StatusOK && strings.Contains(string(text), `"tracks"`):
			return nil
		case resp.StatusCode != http.StatusServiceUnavailable || time.Since(began) > scalePatience:
			return fmt.Errorf("search: %s: %s", resp.Status, tail(string(text)))
		}
	}
}
