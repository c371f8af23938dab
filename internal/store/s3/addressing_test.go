package s3_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/internal/store/s3"
	"github.com/tunesafe/tunesafe/internal/store/storetest"
	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// domain is below example.com, so that no rule for localhost applies to it.
const domain = "s3.tunesafe.example"

// TestVirtualAddressing passes the whole suite with buckets that are hosts.
func TestVirtualAddressing(t *testing.T) {
	tools.StepByStep(t)
	resolveToLoopback(t)
	t.Run("Versity", func(t *testing.T) { conformVirtual(t, realserver.StartVersity(t, "--virtual-domain", domain)) })
	if realserver.WithMinIO() {
		t.Run("MinIO", func(t *testing.T) { conformVirtual(t, realserver.StartMinIO(t, "MINIO_DOMAIN="+domain)) })
	}
}

func conformVirtual(t *testing.T, server *realserver.Server) {
	u, err := url.Parse(server.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	var opened atomic.Int64
	storetest.Run(t, func(t *testing.T) store.Store {
		c := config(server)
		c.Bucket = fmt.Sprintf("bucket-%d", opened.Add(1))
		c.Endpoint = "http://" + domain + ":" + u.Port()
		c.Addressing = s3.AddressVirtual
		return openBucket(t, c)
	})
}

// TestAddressingOnTheWire sees where the bucket's name stands.
func TestAddressingOnTheWire(t *testing.T) {
	resolveToLoopback(t)
	for _, test := range []struct {
		addressing     s3.Addressing
		bucket         string
		host, pathHead string
	}{
		{s3.AddressAuto, "music", domain, "/music/object"},
		{s3.AddressPath, "music", domain, "/music/object"},
		{s3.AddressVirtual, "music", "music." + domain, "/object"},
	} {
		var host, path string
		p := newProxy(t, "http://127.0.0.1:1", func(_ int64, w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
			host, path = r.Host, r.URL.Path
			w.WriteHeader(http.StatusForbidden)
		})
		u, err := url.Parse(p.URL)
		if err != nil {
			t.Fatal(err)
		}
		s := open(t, s3.Config{Bucket: test.bucket, Endpoint: "http://" + domain + ":" + u.Port(), Addressing: test.addressing,
			Credentials: s3.Credentials{AccessKey: "a", SecretKey: "b"}})
		expectOnly(t, s.Put(t.Context(), "object", nil), store.ErrDenied)
		if host != test.host+":"+u.Port() || path != test.pathHead {
			t.Errorf("%q: sent to %s, %s", test.addressing, host, path)
		}
	}
}

// TestAmazonIsVirtual has names of AWS as endpoints: the name it looks up says how
// the bucket is addressed.
func TestAmazonIsVirtual(t *testing.T) {
	asked := resolveToNothing(t)
	for endpoint, want := range map[string]string{
		"":                                       "music.s3.eu-central-1.amazonaws.com",
		"https://s3.eu-central-1.amazonaws.com":  "music.s3.eu-central-1.amazonaws.com",
		"https://s3.cn-north-1.amazonaws.com.cn": "music.s3.cn-north-1.amazonaws.com.cn",
		"https://amazonaws.com.example":          "amazonaws.com.example",
	} {
		asked.Store("")
		s := open(t, s3.Config{Bucket: "music", Endpoint: endpoint, Region: "eu-central-1", Patience: 1,
			Credentials: s3.Credentials{AccessKey: "a", SecretKey: "b"}})
		expectOnly(t, s.Put(t.Context(), "object", nil), store.ErrUnavailable)
		if got := asked.Load().(string); !strings.HasPrefix(got, want) { // some machines append a domain
			t.Errorf("%q: looked for %v, want %s", endpoint, got, want)
		}
	}
}

func TestAddressingMistakes(t *testing.T) {
	for _, c := range []s3.Config{
		{Bucket: "music", Addressing: "host"},
		{Bucket: "my.music", Addressing: s3.AddressVirtual},
		{Bucket: "music", Addressing: s3.AddressVirtual, Endpoint: "http://127.0.0.1:9000"},
		{Bucket: "music", Addressing: s3.AddressVirtual, Endpoint: "http://[::1]:9000"},
	} {
		if _, err := s3.Open(t.Context(), c); err == nil {
			t.Errorf("%+v was opened", c)
		}
	}
}

// resolveToLoopback has every name of this process mean this machine.
func resolveToLoopback(t *testing.T) {
	server := serveNames(t, func(string) []byte { return []byte{127, 0, 0, 1} })
	askFor(t, server)
}

// resolveToNothing has no name found, and tells which was asked for last.
func resolveToNothing(t *testing.T) *atomic.Value {
	asked := new(atomic.Value)
	server := serveNames(t, func(name string) []byte { asked.Store(strings.ToLower(name)); return nil })
	askFor(t, server)
	return asked
}

// askFor has Go's own resolver ask one name server.
func askFor(t *testing.T, server string) {
	before := net.DefaultResolver
	t.Cleanup(func() { net.DefaultResolver = before })
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server)
	}}
}

// serveNames is a name server (RFC 1035 §4.1): one question, one address or none.
func serveNames(t *testing.T, address func(name string) []byte) string {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 512)
		for {
			n, from, err := c.ReadFrom(b)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil && n > 12 {
				_, _ = c.WriteTo(answerName(b[:n], address), from)
			}
		}
	}()
	return c.LocalAddr().String()
}

func answerName(query []byte, address func(name string) []byte) []byte {
	var labels []string
	at := 12
	for n := int(query[at]); n > 0; n = int(query[at]) {
		labels = append(labels, string(query[at+1:at+1+n]))
		at += 1 + n
	}
	question := query[12 : at+5]
	a := append([]byte{query[0], query[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, question...)
	ip := address(strings.Join(labels, "."))
	if ip == nil {
		a[3] |= 3 // no such name
	} else if question[len(question)-3] == 1 { // an address of IPv4
		a[7] = 1
		a = append(append(a, 0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4), ip...)
	}
	return a
}
