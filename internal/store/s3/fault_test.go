package s3_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/internal/store/s3"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// call is one operation on "object".
type call struct {
	name string
	do   func(ctx context.Context, s *s3.Store) error
}

var calls = []call{
	{"put", func(ctx context.Context, s *s3.Store) error { return s.Put(ctx, "object", []byte("new")) }},
	{"get", func(ctx context.Context, s *s3.Store) error { return read(ctx, s, 0, -1) }},
	{"range", func(ctx context.Context, s *s3.Store) error { return read(ctx, s, 1, 2) }},
	{"stat", func(ctx context.Context, s *s3.Store) error { _, err := s.Stat(ctx, "object"); return err }},
	{"list", func(ctx context.Context, s *s3.Store) error { return list(ctx, s) }},
	{"delete", func(ctx context.Context, s *s3.Store) error { return s.Delete(ctx, "object") }},
}

func read(ctx context.Context, s *s3.Store, offset, length int64) error {
	r, err := s.Get(ctx, "object", offset, length)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	return errors.Join(err, r.Close())
}

func list(ctx context.Context, s *s3.Store) error {
	for _, err := range s.List(ctx, "", "") {
		if err != nil {
			return err
		}
	}
	return nil
}

// The sentinels a caller decides on; a fault must give exactly one of them.
var sentinels = []error{
	store.ErrNotExist, store.ErrNoBucket, store.ErrDenied, store.ErrUnavailable,
	store.ErrClock, store.ErrRange, store.ErrFull, store.ErrArchived, store.ErrClass,
}

func expectOnly(t *testing.T, err, want error) {
	t.Helper()
	for _, s := range sentinels {
		if errors.Is(err, s) != errors.Is(want, s) {
			t.Errorf("got %v, want %v", err, want)
			return
		}
	}
	if err == nil {
		t.Error("no error")
	}
}

// TestRefused is about answers that no retry would change.
func TestRefused(t *testing.T) {
	tools.StepByStep(t)
	c := serverWithObject(t, []byte("old"))
	for _, test := range []struct {
		name  string
		fault fault
		want  error
	}{
		{"denied", answer(403, "AccessDenied"), store.ErrDenied},
		{"unknown key", answer(403, "InvalidAccessKeyId"), store.ErrDenied},
		{"bad signature", answer(403, "SignatureDoesNotMatch"), store.ErrDenied},
		{"expired", answer(400, "ExpiredToken"), store.ErrDenied},
		{"unknown 403", answer(403, "SomethingNew"), store.ErrDenied},
		{"clock", answer(403, "RequestTimeTooSkewed"), store.ErrClock},
		{"quota", answer(403, "QuotaExceeded"), store.ErrFull},
		{"full", answer(507, "XMinioStorageFull"), store.ErrFull},
		{"archived", answer(403, "InvalidObjectState"), store.ErrArchived},
		{"no class", answer(400, "InvalidStorageClass"), store.ErrClass},
		{"no bucket", answer(404, "NoSuchBucket"), store.ErrNoBucket},
		{"foreign 404", page(404), store.ErrUnavailable},
	} {
		for _, call := range calls {
			t.Run(test.name+"/"+call.name, func(t *testing.T) {
				s, p := through(t, c, test.fault)
				want := test.want
				if call.name == "stat" {
					want = headSees(test.name, want)
				}
				expectOnly(t, call.do(t.Context(), s), want)
				if n := p.attempts.Load(); n > 2 {
					t.Errorf("asked %d times", n)
				}
			})
		}
	}
}

// headSees is what remains of an answer to HEAD, which has a status but no
// code, so that a refusal is all that can be told.
func headSees(name string, want error) error {
	switch name {
	case "clock", "quota", "archived":
		return store.ErrDenied
	case "expired", "no class":
		return errors.New("bad request")
	}
	return want
}

// TestUnavailable is about faults that may pass: they are retried a bounded
// number of times, for a bounded time, and say nothing of the object.
func TestUnavailable(t *testing.T) {
	c := serverWithObject(t, []byte("old"))
	for _, test := range []struct {
		name  string
		fault fault
	}{
		{"503", status(503)},
		{"500 with code", answer(500, "InternalError")},
		{"slow down", answer(503, "SlowDown")},
		{"429", status(429)},
		{"dropped", drop},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel() // they mostly wait
			var together sync.WaitGroup
			for _, call := range calls {
				s, p := through(t, c, test.fault)
				together.Go(func() { expectGivesUp(t, call, s, p) })
			}
			together.Wait()
		})
	}
}

func expectGivesUp(t *testing.T, call call, s *s3.Store, p *proxy) {
	begun := time.Now()
	expectOnly(t, call.do(t.Context(), s), store.ErrUnavailable)
	took := time.Since(begun)
	if took > time.Minute {
		t.Errorf("%s: gave up after %v", call.name, took)
	}
	// On a machine so busy that one attempt takes all the patience there is no second.
	if n := p.attempts.Load(); n > 20 || n < 2 && took < 2*time.Second {
		t.Errorf("%s: asked %d times in %v", call.name, n, took)
	}
}

// TestPassingFault: a fault that passes is not seen by the caller.
func TestPassingFault(t *testing.T) {
	c := serverWithObject(t, []byte("old"))
	c.Patience = 10 * time.Second // on a busy machine one attempt may take long
	for _, test := range []struct {
		name  string
		fault fault
	}{
		{"503", status(503)},
		{"429", status(429)},
		{"dropped", drop},
		{"lost reply", func(_ int64, w http.ResponseWriter, r *http.Request, pass http.HandlerFunc) {
			pass(discard{http.Header{}}, r)
			cut(w)
		}},
	} {
		for _, call := range calls {
			t.Run(test.name+"/"+call.name, func(t *testing.T) {
				s, p := through(t, c, first(1, test.fault))
				if err := call.do(t.Context(), s); err != nil {
					t.Error(err)
				}
				if n := p.attempts.Load(); n != 2 {
					t.Errorf("asked %d times, want 2", n)
				}
				if call.name == "delete" { // the next ones need it
					if err := s.Put(t.Context(), "object", []byte("old")); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

// discard is an answer that gets lost.
type discard struct{ header http.Header }

func (d discard) Header() http.Header       { return d.header }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}

func TestWrongSecret(t *testing.T) {
	c := serverWithObject(t, []byte("old"))
	c.Credentials.SecretKey += "x"
	s := open(t, c)
	for _, call := range calls {
		expectOnly(t, call.do(t.Context(), s), store.ErrDenied)
	}
	if n := s.Requests(); n > int64(len(calls)) {
		t.Errorf("%d requests for %d refused calls", n, len(calls))
	}
}

// TestWrongKey: the server does not know the access key. Whatever it answers, it
// is no absence.
func TestWrongKey(t *testing.T) {
	c := serverWithObject(t, []byte("old"))
	c.Credentials.AccessKey += "x"
	s := open(t, c)
	for _, call := range calls {
		expectOnly(t, call.do(t.Context(), s), store.ErrDenied)
	}
}

func TestWrongBucket(t *testing.T) {
	c := serverWithObject(t, []byte("old"))
	c.Bucket = "another"
	s := open(t, c)
	for _, call := range calls {
		t.Run(call.name, func(t *testing.T) {
			expectOnly(t, call.do(t.Context(), s), store.ErrNoBucket)
		})
	}
	expectOnly(t, s.CheckBucket(t.Context()), store.ErrNoBucket)
}

func TestNoServer(t *testing.T) {
	for _, test := range []struct{ name, endpoint string }{
		{"refused", "http://127.0.0.1:1"},
		{"no such host", "http://host.invalid"},
		{"mute", mute(t)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, s3.Config{
				Bucket: "bucket", Endpoint: test.endpoint,
				Credentials: s3.Credentials{AccessKey: "a", SecretKey: "s"},
				Patience:    time.Second, Stall: time.Second,
			})
			begun := time.Now()
			expectOnly(t, s.Put(t.Context(), "object", []byte("x")), store.ErrUnavailable)
			if took := time.Since(begun); took > 30*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// TestCutDownload: a body that ends early is never a clean end.
func TestCutDownload(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	c := serverWithObject(t, want)
	half := func(_ int64, w http.ResponseWriter, r *http.Request, pass http.HandlerFunc) {
		pass(&cutWriter{ResponseWriter: w, left: len(want) / 2}, r)
	}
	for _, r := range []struct{ offset, length int64 }{{0, -1}, {1, -1}, {5, int64(len(want)) - 10}} {
		s, p := through(t, c, half)
		body, err := s.Get(t.Context(), "object", r.offset, r.length)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, body)
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("after %d bytes: got %v", n, err)
		}
		if err := body.Close(); err != nil {
			t.Error(err)
		}
		if p.attempts.Load() != 1 {
			t.Errorf("asked %d times", p.attempts.Load())
		}
	}
}

// cutWriter drops the connection after some bytes of the body.
type cutWriter struct {
	http.ResponseWriter
	left int
}

func (w *cutWriter) Write(p []byte) (int, error) {
	if len(p) < w.left {
		w.left -= len(p)
		return w.ResponseWriter.Write(p)
	}
	_, _ = w.ResponseWriter.Write(p[:w.left])
	_ = http.NewResponseController(w.ResponseWriter).Flush()
	cut(w.ResponseWriter)
	return 0, io.ErrClosedPipe
}

// TestDamagedDownload: a whole read is held to the checksum, and its last byte
// is not handed out before.
func TestDamagedDownload(t *testing.T) {
	want := bytes.Repeat([]byte("x"), 10_000)
	c := serverWithObject(t, want)
	s, _ := through(t, c, func(_ int64, w http.ResponseWriter, r *http.Request, pass http.HandlerFunc) {
		pass(&damage{ResponseWriter: w}, r)
	})
	body, err := s.Get(t.Context(), "object", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = body.Close() }()
	_, err = io.ReadFull(body, make([]byte, len(want)-1))
	if err == nil { // the last byte may come with its neighbours or alone
		_, err = body.Read(make([]byte, 1))
	}
	if !errors.Is(err, store.ErrDamaged) {
		t.Errorf("got %v", err)
	}
}

type damage struct{ http.ResponseWriter }

func (d *damage) Write(p []byte) (int, error) {
	p = bytes.Clone(p)
	p[len(p)/2] ^= 1
	return d.ResponseWriter.Write(p)
}

// TestDamagedUpload: the server refuses a body that changed on the way, and the
// retry brings it whole; also where it is the checksum alone that tells.
func TestDamagedUpload(t *testing.T) {
	for before := range int64(2) {
		c := serverWithObject(t, []byte("old"))
		s, p := through(t, c, func(i int64, w http.ResponseWriter, r *http.Request, pass http.HandlerFunc) {
			if i == before+1 {
				if is := r.Header.Get("X-Amz-Content-Sha256") == "UNSIGNED-PAYLOAD"; is != (before > 0) {
					t.Errorf("the payload of put %d is unsigned: %v", i, is)
				}
				r.Body = io.NopCloser(strings.NewReader("NEW"))
			}
			pass(w, r)
		})
		for range before + 1 {
			if err := s.Put(t.Context(), "object", []byte("new")); err != nil {
				t.Fatal(err)
			}
		}
		if n := p.attempts.Load(); n != before+2 {
			t.Errorf("asked %d times, want %d", n, before+2)
		}
		r, err := s.Get(t.Context(), "object", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); string(got) != "new" || err != nil {
			t.Errorf("%q is stored, %v", got, err)
		}
		r.Close()
	}
}

// TestRangeIgnored: a server that sends the whole object for a range is not
// believed.
func TestRangeIgnored(t *testing.T) {
	c := serverWithObject(t, []byte("0123456789"))
	s, _ := through(t, c, func(_ int64, w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		_, _ = io.WriteString(w, "0123456789")
	})
	expectOnly(t, read(t.Context(), s, 3, 2), store.ErrUnavailable)
}
