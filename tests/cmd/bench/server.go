package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/tunesafe/tunesafe/tests/s3proxy"
)

const (
	accessKey = "tunesafe"
	secretKey = "tunesafe-secret"
	region    = "us-east-1"
	// serverPatience is how long the server may take to answer first.
	serverPatience = 30 * time.Second
)

// server is a real S3 server, and the counting proxy that all programs see.
type server struct {
	cmd   *exec.Cmd
	url   string
	dir   string
	proxy *s3proxy.Proxy
}

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
	s := &server{url: "http://" + addr, dir: dir}
	s.cmd = exec.CommandContext(ctx, program, "--access", accessKey, "--secret", secretKey, "--port", addr, "--keep-alive", "--quiet", "posix", dir)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for began := time.Now(); time.Since(began) < serverPatience; time.Sleep(50 * time.Millisecond) {
		if resp, err := http.Get(s.url); err == nil {
			resp.Body.Close()
			s.proxy, err = s3proxy.Listen("127.0.0.1:0", s.url)
			if err != nil {
				s.stop()
			}
			return s, err
		}
	}
	s.stop()
	return nil, errors.New("the S3 server does not answer")
}

func (s *server) stop() {
	if s.proxy != nil {
		s.proxy.Close()
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Wait() // ended by the signal
}

func client(endpoint string) *s3.Client {
	return s3.New(s3.Options{BaseEndpoint: &endpoint, Region: region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, "")})
}

func (s *server) makeBucket(ctx context.Context, name string) error {
	_, err := client(s.url).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &name})
	return err
}

// dropBucket removes it from the server's disk, which is quicker than asking.
func (s *server) dropBucket(name string) error { return os.RemoveAll(filepath.Join(s.dir, name)) }

// stored counts the bytes of all objects of a bucket.
func (s *server) stored(ctx context.Context, bucket string) (n int64, err error) {
	pages := s3.NewListObjectsV2Paginator(client(s.url), &s3.ListObjectsV2Input{Bucket: &bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return 0, err
		}
		for _, o := range page.Contents {
			n += *o.Size
		}
	}
	return n, nil
}

// line makes the network slow: bytes a second in each direction, and a delay of
// each request; zeros make it as it was.
func (s *server) line(rate int64, latency time.Duration) {
	s.proxy.Set(s3proxy.Faults{UpRate: rate, DownRate: rate, Latency: latency})
}

// settle waits until nothing went over the line for a while, and returns the
// moment of the last byte.
func (s *server) settle(ctx context.Context, quiet time.Duration) (time.Time, error) {
	const most = 5 * time.Minute
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		st := s.proxy.Stats()
		idle := time.Duration(st.Idle * float64(time.Second))
		if st.InFlight == 0 && idle > quiet {
			return time.Now().Add(-idle), nil
		}
		if time.Since(began) > most || ctx.Err() != nil {
			return time.Time{}, fmt.Errorf("not quiet after %v: %w", time.Since(began), context.Cause(ctx))
		}
	}
}
