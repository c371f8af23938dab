// Package realserver starts real S3 servers for tests, each as a process of its
// own on a free loopback port, with its data in a temporary folder. They end
// with the test, and with the test's process should that be killed.
//
// The programs `versitygw` and `minio` are looked for in $TUNESAFE_BIN (by
// default .bin beside go.mod) and then in $PATH. Where one is missing the test
// is skipped, unless TUNESAFE_REQUIRE_TOOLS=1, which makes it fail. MinIO
// belongs to the tiers "e2e" and "soak" of $TUNESAFE_TIER and is required only
// in these: see [WithMinIO].
package realserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

const (
	accessKey = "tunesafe"
	secretKey = "tunesafe-secret"

	startTries = 3
	startLimit = 30 * time.Second
	stopLimit  = 15 * time.Second
)

// Server is one running server.
type Server struct {
	Endpoint  string // http://127.0.0.1:port
	AccessKey string
	SecretKey string
	Dir       string // its data
	Pid       int

	process *process
}

// StartVersity starts a VersityGW on an empty folder, with options such as
// "--virtual-domain".
func StartVersity(t testing.TB, options ...string) *Server {
	t.Helper()
	return StartVersityIn(t, t.TempDir(), options...)
}

// StartVersityIn is [StartVersity] on a folder of the caller, with what is in it.
func StartVersityIn(t testing.TB, dir string, options ...string) *Server {
	t.Helper()
	program := find(t, "versitygw", Required())
	return start(t, dir, "/", func(addr, dir string) *exec.Cmd {
		args := append([]string{"--access", accessKey, "--secret", secretKey, "--port", addr, "--quiet"}, options...)
		return exec.Command(program, append(args, "posix", dir)...)
	})
}

// StartVersityVersions starts a VersityGW whose buckets can keep versions, and lock them.
func StartVersityVersions(t testing.TB) *Server {
	t.Helper()
	program := find(t, "versitygw", Required())
	return start(t, t.TempDir(), "/", func(addr, dir string) *exec.Cmd {
		return exec.Command(program, "--access", accessKey, "--secret", secretKey, "--port", addr, "--quiet",
			"posix", "--versioning-dir", t.TempDir(), dir)
	})
}

// Client is one that knows more of S3 than Tunesafe does, and may do what a stranger
// with the credentials would.
func (s *Server) Client() *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: &s.Endpoint, Region: "us-east-1", UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(s.AccessKey, s.SecretKey, ""),
		HTTPClient:  &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, // servers wait for idle connections
	})
}

// MakeVersioned makes a bucket that keeps versions, and locks them where lock says.
func (s *Server) MakeVersioned(t testing.TB, bucket string, lock bool) {
	t.Helper()
	c := s.Client()
	_, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket, ObjectLockEnabledForBucket: &lock})
	if err == nil && !lock { // Object Lock implies it
		_, err = c.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: &bucket,
			VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// StartMinIO starts a MinIO on an empty folder, with settings such as
// "MINIO_DOMAIN=example.com".
func StartMinIO(t testing.TB, settings ...string) *Server {
	t.Helper()
	program := find(t, "minio", Required() && os.Getenv("TUNESAFE_TIER") != "")
	return start(t, t.TempDir(), "/minio/health/ready", func(addr, dir string) *exec.Cmd {
		cmd := exec.Command(program, "server", "--quiet", "--address", addr, dir)
		cmd.Env = append(os.Environ(), "MINIO_ROOT_USER="+accessKey, "MINIO_ROOT_PASSWORD="+secretKey,
			"MINIO_BROWSER=off", "MINIO_UPDATE=off")
		cmd.Env = append(cmd.Env, settings...)
		return cmd
	})
}

// WithMinIO tells whether tests against MinIO are to be registered. Without a
// tier they are, and skip themselves when the program is missing; a tier that
// does not include MinIO leaves them out, so that nothing in it is skipped.
func WithMinIO() bool {
	switch os.Getenv("TUNESAFE_TIER") {
	case "", "e2e", "soak":
		return true
	}
	return false
}

// start runs the command that build returns until something answers at probe.
// The port is free when it is picked; if another process takes it before the
// server does, the server ends and the next port is tried.
func start(t testing.TB, dir, probe string, build func(addr, dir string) *exec.Cmd) *Server {
	t.Helper()
	var failed error
	for range startTries {
		addr := freeAddr(t)
		p, err := launch(build(addr, dir), "http://"+addr+probe)
		if err != nil {
			failed = err
			continue
		}
		t.Cleanup(func() { p.stop(t) })
		return &Server{
			Endpoint: "http://" + addr, AccessKey: accessKey, SecretKey: secretKey,
			Dir: dir, Pid: p.cmd.Process.Pid, process: p,
		}
	}
	t.Fatal(failed)
	return nil
}

// Kill ends the server as a power cut would end its process: at once.
func (s *Server) Kill() {
	s.process.signal(syscall.SIGKILL)
	<-s.process.done
}

func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // only its number is wanted
	return l.Addr().String()
}

// process is a server's process and what it printed.
type process struct {
	cmd    *exec.Cmd
	output output
	done   chan struct{} // closed when it has ended
}

func launch(cmd *exec.Cmd, probe string) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.output, &p.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.WaitDelay = time.Second // should something outlive it that holds its output
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = cmd.Wait() // how it ended is shown by its output
		close(p.done)
	}()
	if err := p.awaitReady(probe); err != nil {
		p.signal(syscall.SIGKILL)
		<-p.done
		return nil, fmt.Errorf("%s: %w; it printed:\n%s", cmd.Path, err, p.output.String())
	}
	return p, nil
}

func (p *process) awaitReady(probe string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	for {
		if answers(ctx, probe) {
			return nil
		}
		select {
		case <-p.done:
			return errors.New("ended before it was ready")
		case <-ctx.Done():
			return errors.New("was not ready in time")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// answers reports whether any answer below 500 comes back: a server that
// refuses an unsigned request is up.
func answers(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.Body.Close() == nil && resp.StatusCode < http.StatusInternalServerError
}

// signal reaches the whole process group, as strace keeps SIGTERM to itself.
func (p *process) signal(s syscall.Signal) {
	select {
	case <-p.done: // its number may be another's by now
	default:
		_ = syscall.Kill(-p.cmd.Process.Pid, s) // fails only if it ended just now
	}
}

func (p *process) stop(t testing.TB) {
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopLimit):
		t.Errorf("%s did not end within %v of SIGTERM", p.cmd.Path, stopLimit)
		p.signal(syscall.SIGKILL)
		<-p.done
	}
	if t.Failed() {
		t.Logf("%s printed:\n%s", p.cmd.Path, p.output.String())
	}
}

// output keeps what a process prints, for the log of a test that failed.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.TrimSpace(o.buf.String())
}
