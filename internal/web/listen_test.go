package web

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestElsewhere: other machines need a password and TLS, however the address is put.
func TestElsewhere(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0"} {
		for _, c := range []struct {
			w    Where
			want error
		}{
			{Where{}, ErrNoPassword},
			{Where{Cert: "c", Key: "k"}, ErrNoPassword},
			{Where{ACME: ACME{Domain: "music.example"}}, ErrNoPassword},
			{Where{Password: true}, ErrNoTLS},
			{Where{Password: true, Cert: "c", Key: "k", ACME: ACME{Domain: "music.example"}}, ErrTwoCertificates},
			{Where{Password: true, ACME: ACME{Domain: "music.example", Server: "http://ca.example/dir"}}, ErrACMEAddress},
		} {
			c.w.Addr = addr
			if l, err := Listen(t.Context(), c.w); !errors.Is(err, c.want) {
				t.Errorf("%+v: %v", c.w, err)
				if l != nil {
					l.Close()
				}
			}
		}
	}
	for _, addr := range []string{"", "localhost:0", "127.0.0.1:0", "127.1.2.3:0"} {
		if err := (Where{Addr: addr}).Check(); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

// TestTakenPort: whoever has the usual one, the page is shown.
func TestTakenPort(t *testing.T) {
	var c net.ListenConfig
	if l, err := c.Listen(t.Context(), "tcp", "127.0.0.1:8863"); err == nil {
		defer l.Close()
	}
	l, err := Listen(t.Context(), Where{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if l.At.Port == DefaultPort || !l.At.IP.IsLoopback() {
		t.Errorf("it listens at %v", l.At)
	}
}

// certify writes a certificate of its own for names.
func certify(t *testing.T, dir string, names ...string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, b := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// TestTLS: nothing in the clear, the certificate's names are the page's, the cookie
// is for TLS alone, and a renewed certificate is taken up.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := certify(t, dir, "music.example")
	l, err := Listen(t.Context(), Where{Addr: "0.0.0.0:0", Cert: cert, Key: key, Password: true})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(l.Names, []string{"music.example"}) {
		t.Errorf("the page is called %q", l.Names)
	}
	s, err := New(Options{Owner: &testOwner{}, Hosts: l.Names, Secure: l.Secure}, l.At)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(l) }()
	defer s.Close()
	if want := "https://music.example:" + s.port() + "/"; s.URL() != want {
		t.Errorf("the page is at %s", s.URL())
	}
	here := net.JoinHostPort("127.0.0.1", s.port())
	client := open(t, s)
	client.http.Transport = &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // it is its own
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", here)
		},
	}
	link, _ := s.Link()
	c := client.get(link).Cookies()
	if len(c) != 1 || !c[0].Secure || !strings.HasPrefix(c[0].Name, "__Host-") {
		t.Errorf("the cookie is %v", c)
	}
	client.want(client.get("/", "Host", "music.example:"+s.port()), http.StatusOK, "by its name")
	if got := client.get("/").Header.Get("Strict-Transport-Security"); got != "" {
		t.Errorf("other ports of the name must be asked by TLS, too: %q", got)
	}
	behind := client.get("/login", "Host", "music.example")
	client.want(behind, http.StatusOK, "at a port that a router passes on to this one")
	if behind.Header.Get("Strict-Transport-Security") == "" {
		t.Error("a browser may ask in the clear the next time")
	}
	client.want(client.get("https://"+here+"/"), http.StatusUnauthorized, "by an address of this machine, of which the browser has no cookie")
	client.want(client.get("/", "Host", "evil.example:"+s.port()), http.StatusMisdirectedRequest, "by another name")
	client.want(client.get("http://"+here+"/"), http.StatusBadRequest, "in the clear")

	certify(t, dir, "new.example")
	future := time.Now().Add(time.Minute)
	if err := os.Chtimes(cert, future, future); err != nil {
		t.Fatal(err)
	}
	got := client.get("/")
	if name := got.TLS.PeerCertificates[0].Subject.CommonName; name != "new.example" {
		t.Errorf("after renewal the certificate is of %s", name)
	}
}
