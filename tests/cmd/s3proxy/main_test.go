package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tunesafe/tunesafe/tests/s3proxy"
)

func TestRun(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, stdout := io.Pipe()
	var stderr bytes.Buffer
	code := make(chan int)
	go func() {
		code <- run(ctx, []string{"-listen", "127.0.0.1:0", "-backend", server.URL,
			"-log", filepath.Join(t.TempDir(), "log"), "-internal", "1", "-max", "1"}, stdout, &stderr)
	}()
	r := bufio.NewReader(out)
	url, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{500, 200} {
		resp, err := http.Get(strings.TrimSpace(url) + "/bucket/key")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("status %d, want %d", resp.StatusCode, want)
		}
	}
	stop()
	var s s3proxy.Stats
	if err := json.NewDecoder(r).Decode(&s); err != nil || s.Requests != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	go io.Copy(io.Discard, r)
	if c := <-code; c != 0 {
		t.Errorf("exit code %d: %s", c, stderr.String())
	}
	if c := run(t.Context(), []string{"-backend", "nowhere"}, io.Discard, &stderr); c != 1 {
		t.Errorf("a bad server: exit code %d, want 1", c)
	}
}
