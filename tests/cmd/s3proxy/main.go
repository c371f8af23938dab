// S3proxy runs the counting, slowing and failing proxy of tests/s3proxy for
// scripts:
//
//	go run ./tests/cmd/s3proxy -listen 127.0.0.1:9100 -backend http://127.0.0.1:9000 -latency 30ms
//	curl 'http://127.0.0.1:9100/__config?down-rate=1000000&drop=0.01'
//	curl http://127.0.0.1:9100/__reset
//
// It prints its URL when it listens, and the counts as JSON when it is ended by
// SIGINT or SIGTERM. The package describes the control requests.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/tunesafe/tunesafe/tests/s3proxy"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("s3proxy", flag.ContinueOnError)
	fs.SetOutput(stderr)
	var (
		listen  = fs.String("listen", "127.0.0.1:9100", "address to listen on")
		backend = fs.String("backend", "http://127.0.0.1:9000", "URL of the S3 server")
		root    = fs.String("root", "", "prefix of the repository within its bucket")
		logFile = fs.String("log", "", "write a line of JSON for each request to this file")
		faults  s3proxy.Faults
	)
	faults.Flags(fs)
	if err := fs.Parse(args); err != nil {
		return 2
	}
	p, err := s3proxy.Listen(*listen, *backend)
	if err != nil {
		fmt.Fprintln(stderr, "error:", err)
		return 1
	}
	defer p.Close()
	if *logFile != "" {
		f, err := os.Create(*logFile)
		if err != nil {
			fmt.Fprintln(stderr, "error:", err)
			return 1
		}
		defer f.Close()
		p.LogTo(f)
	}
	p.SetRoot(*root)
	p.Set(faults)
	fmt.Fprintln(stdout, p.URL)
	<-ctx.Done()
	enc := json.NewEncoder(stdout)
	enc.SetIndent("", " ")
	if err := enc.Encode(p.Stats()); err != nil {
		fmt.Fprintln(stderr, "error:", err)
		return 1
	}
	return 0
}
