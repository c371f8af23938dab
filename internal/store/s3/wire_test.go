package s3_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/internal/store/s3"
	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
)

func TestParseURL(t *testing.T) {
	for _, c := range []struct {
		raw, bucket, prefix string
		bad                 bool
	}{
		{raw: "s3://music", bucket: "music"},
		{raw: "s3://music/", bucket: "music"},
		{raw: "s3://music/some/where/", bucket: "music", prefix: "some/where"},
		{raw: "s3:///x", bad: true},
		{raw: "music", bad: true},
		{raw: "https://music/x", bad: true},
		{raw: "s3://key:secret@music", bad: true},
		{raw: "s3://music?region=x", bad: true},
		{raw: "s3://\x7f", bad: true},
	} {
		bucket, prefix, err := s3.ParseURL(c.raw)
		if bucket != c.bucket || prefix != c.prefix || (err != nil) != c.bad {
			t.Errorf("%q: %q, %q, %v", c.raw, bucket, prefix, err)
		}
	}
}

// TestRequests counts what a call costs, because requests cost money.
func TestRequests(t *testing.T) {
	s := openBucket(t, config(realserver.StartEmbedded(t)))
	absent := func(err error) error {
		if !errors.Is(err, store.ErrNotExist) {
			return err
		}
		return nil
	}
	big := make([]byte, 5<<20)
	for _, c := range []struct {
		name string
		want int64
		do   func(ctx context.Context) error
	}{
		{"put", 1, func(ctx context.Context) error { return s.Put(ctx, "object", []byte("abc")) }},
		{"put large", 1, func(ctx context.Context) error { return s.Put(ctx, "large", big) }},
		{"get", 1, func(ctx context.Context) error { return read(ctx, s, 0, -1) }},
		{"range", 1, func(ctx context.Context) error { return read(ctx, s, 1, 1) }},
		{"list", 1, func(ctx context.Context) error { return list(ctx, s) }},
		{"stat", 1, func(ctx context.Context) error { _, err := s.Stat(ctx, "object"); return err }},
		{"delete", 1, func(ctx context.Context) error { return s.Delete(ctx, "object") }},
		{"get absent", 1, func(ctx context.Context) error { return absent(read(ctx, s, 0, -1)) }},
		{"stat absent", 2, func(ctx context.Context) error { _, err := s.Stat(ctx, "object"); return absent(err) }},
	} {
		before := s.Requests()
		if err := c.do(t.Context()); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if n := s.Requests() - before; n != c.want {
			t.Errorf("%s: %d requests, want %d", c.name, n, c.want)
		}
	}
}

// TestChecksumOnTheWire: an upload carries its hash as checksum, and as payload hash until
// the server has said that it verified the one before, in plain headers that every server
// understands.
func TestChecksumOnTheWire(t *testing.T) {
	body := []byte("some bytes")
	sum := sha256.Sum256(body)
	signed, checksum := hex.EncodeToString(sum[:]), base64.StdEncoding.EncodeToString(sum[:])
	for _, c := range []struct {
		name   string
		answer func(i int64, w http.ResponseWriter) bool // reports whether it answered itself
		want   []string                                  // payload hashes of three puts
	}{
		{"a server that verifies", nil, []string{signed, "UNSIGNED-PAYLOAD", "UNSIGNED-PAYLOAD"}},
		{"one that says nothing of it", func(_ int64, w http.ResponseWriter) bool {
			w.Header().Set("silent", "yes")
			return false
		}, []string{signed, signed, signed}},
		{"one that stops to say so", func(i int64, w http.ResponseWriter) bool {
			if i > 1 {
				w.Header().Set("silent", "yes")
			}
			return false
		}, []string{signed, "UNSIGNED-PAYLOAD", signed, signed}},
		{"a bucket that wants its payloads signed", func(i int64, w http.ResponseWriter) bool {
			if i == 2 {
				w.Header().Set("Content-Type", "application/xml")
				w.WriteHeader(http.StatusForbidden)
				io.WriteString(w, "<Error><Code>AccessDenied</Code></Error>")
			}
			return i == 2
		}, []string{signed, "UNSIGNED-PAYLOAD", signed, "UNSIGNED-PAYLOAD"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			s, _ := through(t, serverWithObject(t, nil), func(i int64, w http.ResponseWriter, r *http.Request, pass http.HandlerFunc) {
				got = append(got, r.Header.Get("X-Amz-Content-Sha256"))
				for name, want := range map[string]string{"X-Amz-Checksum-Sha256": checksum, "Content-Encoding": "", "X-Amz-Trailer": "", "X-Amz-Checksum-Crc32": ""} {
					if got := r.Header.Get(name); got != want {
						t.Errorf("%s: got %q, want %q", name, got, want)
					}
				}
				if !strings.Contains(r.Header.Get("Authorization"), "x-amz-checksum-sha256") {
					t.Error("the checksum is not signed")
				}
				if c.answer == nil || !c.answer(i, w) {
					pass(&silent{w}, r)
				}
			})
			for range 3 {
				if err := s.Put(t.Context(), "object", body); err != nil {
					t.Fatal(err)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("payload hashes %q, want %q", got, c.want)
			}
		})
	}
}

// silent drops the checksum from an answer that is to be silent about it.
type silent struct{ http.ResponseWriter }

func (w *silent) WriteHeader(status int) {
	if w.Header().Get("silent") != "" {
		w.Header().Del("X-Amz-Checksum-Sha256")
	}
	w.ResponseWriter.WriteHeader(status)
}

func TestClockOffset(t *testing.T) {
	c := serverWithObject(t, nil)
	const ahead = 90 * time.Minute
	s, _ := through(t, c, func(_ int64, w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusNotModified)
	})
	if s.ClockOffset() != 0 {
		t.Error("an offset before the first answer")
	}
	_ = s.Delete(t.Context(), "object")                      // only the answer's date matters
	if d := s.ClockOffset() - ahead; d.Abs() > time.Minute { // dates are to the second, and machines busy
		t.Errorf("offset %v, want %v", s.ClockOffset(), ahead)
	}
}

func TestCredentials(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "from-environment")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_SESSION_TOKEN", "token")
	for _, want := range []s3.Credentials{
		{AccessKey: "given", SecretKey: "too"},
		{AccessKey: "from-environment", SecretKey: "secret", SessionToken: "token"},
	} {
		given := want
		if want.SessionToken != "" {
			given = s3.Credentials{}
		}
		s := open(t, s3.Config{Bucket: "bucket", Endpoint: "http://127.0.0.1:1", Credentials: given})
		if got, last, err := s.Credentials(t.Context()); err != nil || got != want || !last {
			t.Errorf("got %+v, lasting %v, %v", got, last, err)
		}
	}
}

func TestNoCredentials(t *testing.T) {
	noCredentials(t)
	s := open(t, s3.Config{Bucket: "bucket", Endpoint: "http://127.0.0.1:1"})
	expectOnly(t, s.Put(t.Context(), "object", nil), store.ErrDenied)
}

// TestPrefixes: stores below different prefixes of a bucket do not meet.
func TestPrefixes(t *testing.T) {
	c := config(realserver.StartEmbedded(t))
	outer := openBucket(t, c)
	c.Prefix = "/inner/"
	inner := open(t, c)
	if created, err := inner.EnsureBucket(t.Context()); created || err != nil {
		t.Errorf("a bucket that is there: %v, %v", created, err)
	}
	if err := inner.Put(t.Context(), "a", nil); err != nil {
		t.Fatal(err)
	}
	if err := outer.Put(t.Context(), "b", nil); err != nil {
		t.Fatal(err)
	}
	for s, want := range map[*s3.Store][]string{inner: {"a"}, outer: {"b", "inner/a"}} {
		var got []string
		for info, err := range s.List(t.Context(), "", "") {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, info.Key)
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
