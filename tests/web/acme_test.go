package web

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/drive"
)

// domain is the page's, of which only the test's own DNS knows.
const domain = "music.example"

// pebble is Let's Encrypt's ACME server for tests, with a CA of its own.
type pebble struct {
	URL  string // of its directory
	CA   string // file: who signed the server's own certificate
	root *x509.CertPool
	end  func()
}

// startPebble has domains proved at port tlsPort of this machine.
func startPebble(t *testing.T, tlsPort int) *pebble {
	t.Helper()
	server, dns := realserver.Built(t, "pebble"), realserver.Built(t, "pebble-challtestsrv")
	dir := t.TempDir()
	p := &pebble{CA: filepath.Join(dir, "ca.pem")}
	serverCertificate(t, dir)
	at, management, names := freePort(t), freePort(t), freePort(t)
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": local(at), "managementListenAddress": local(management),
		"certificate": filepath.Join(dir, "cert.pem"), "privateKey": filepath.Join(dir, "key.pem"),
		"httpPort": freePort(t), "tlsPort": tlsPort, "domainBlocklist": []string{"blocked.example"}, "keyAlgorithm": "ecdsa",
		"profiles": map[string]any{"default": map[string]any{"description": "ninety days", "validityPeriod": 7776000}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "pebble.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	beside(t, exec.Command(dns, "-dnsserver", local(names), "-defaultIPv6", "", "-doh", "", "-http01", "", "-https01", "", "-tlsalpn01", "", "-management", local(freePort(t))))
	ca := exec.Command(server, "-config", file, "-dnsserver", local(names), "-strict")
	ca.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1")
	p.end = beside(t, ca)
	p.URL = fmt.Sprintf("https://localhost:%d/dir", at)
	p.root = x509.NewCertPool()
	trusting := x509.NewCertPool()
	pemOf, err := os.ReadFile(p.CA)
	if err != nil || !trusting.AppendCertsFromPEM(pemOf) {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusting}, DisableKeepAlives: true}}
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		text, err := fetch(&client, fmt.Sprintf("https://localhost:%d/roots/0", management))
		if err == nil && p.root.AppendCertsFromPEM(text) {
			return p
		}
		if time.Now().After(end) {
			t.Fatalf("no ACME server: %v", err)
		}
	}
}

func fetch(c *http.Client, at string) ([]byte, error) {
	got, err := c.Get(at)
	if err != nil {
		return nil, err
	}
	defer got.Body.Close()
	return io.ReadAll(got.Body)
}

// beside starts a program that lives until end, or until the test ends.
func beside(t *testing.T, cmd *exec.Cmd) (end func()) {
	t.Helper()
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	t.Cleanup(func() {
		end()
		if t.Failed() {
			t.Logf("%s said:\n%s", cmd.Path, said.Bytes())
		}
	})
	return end
}

func freePort(t *testing.T) int {
	t.Helper()
	var c net.ListenConfig
	l, err := c.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func local(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// serverCertificate makes a CA, and by it a certificate for localhost.
func serverCertificate(t *testing.T, dir string) {
	t.Helper()
	make := func(name string, c, by *x509.Certificate, signer *ecdsa.PrivateKey) *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if signer == nil {
			signer = key
		}
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, c, by, &key.PublicKey, signer)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return key
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "the test's CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	signer := make("ca.pem", ca, ca, nil)
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}}
	key := make("cert.pem", leaf, ca, signer)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// outside is a client for which the domain is at a port of this machine, and which
// trusts the CA of the ACME server and no other.
func outside(t *testing.T, root *x509.CertPool, port int) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: root}, ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", local(port))
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: transport, Timeout: patience}
}

// TestACME is the page on a network: no certificate, and why, is told to whoever
// starts it; then one is had, by which a browser gets in, and it is kept.
func TestACME(t *testing.T) {
	port := freePort(t)
	ca := startPebble(t, port)
	h := drive.New(t, realserver.StartEmbedded(t))
	h.Run("init", "--store-dir", filepath.Join(t.TempDir(), "store"))
	const password = "five words nobody puts together"
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.Run("web", "password", "--password-file", file)
	flags := func(listen int, domain, server string, more ...string) []string {
		return append([]string{"--listen", fmt.Sprintf("0.0.0.0:%d", listen), "--acme", domain, "--acme-server", server}, more...)
	}
	for _, c := range []struct {
		why         string
		flags       []string
		error, hint string
	}{
		{"nobody is there", flags(port, domain, "https://localhost:1/dir"), "gives no answer", "see that this machine reaches it"},
		{"in the clear", flags(port, domain, "http://localhost:1/dir"), "is no address of an ACME server", "give the address of its directory"},
		{"a stranger", flags(port, domain, ca.URL), "signed by nobody that this machine trusts", "--acme-ca FILE"},
		{"a name it gives none for", flags(port, "blocked.example", ca.URL, "--acme-ca", ca.CA), "refuses a certificate", "the name must be one that the server gives certificates for"},
		{"another port than it asks at", flags(freePort(t), domain, ca.URL, "--acme-ca", ca.CA), "did not find this page under its name", "port 443"},
		{"no file", flags(port, domain, ca.URL, "--acme-ca", "none.pem"), "no such file", ""},
	} {
		stdout, stderr, code := h.Try(append([]string{"web"}, c.flags...)...)
		if code == 0 || !strings.Contains(stderr, "error: ") || !strings.Contains(stderr, c.error) || !strings.Contains(stderr, c.hint) || stdout != "" {
			t.Errorf("%s: exit %d\n%s%s", c.why, code, stdout, stderr)
		}
	}

	right := flags(port, domain, ca.URL, "--acme-ca", ca.CA)
	first, cmd := start(t, h, right...)
	if !strings.HasPrefix(first, fmt.Sprintf("https://%s:%d/", domain, port)) {
		t.Fatalf("the link is %q", first)
	}
	serial := signIn(t, outside(t, ca.root, port), "https://"+domain+"/", password)
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		conn, err := tls.Dial("tcp", local(port), &tls.Config{ServerName: domain, RootCAs: ca.root, MinVersion: version, MaxVersion: version}) //nolint:gosec // it must be refused
		if err == nil {
			t.Errorf("it speaks TLS %#x", version)
			conn.Close()
		}
	}
	if _, err := fetch(outside(t, ca.root, port), "https://other.example/"); err == nil {
		t.Error("it has a certificate for any name")
	}
	kept(t, filepath.Join(h.Dir, "web.acme"))
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("Ctrl-C: %v", err)
	}

	ca.end() // so nothing is ordered
	h.Run("agent")
	pid := h.Status().PID
	defer h.Signal(pid, syscall.SIGTERM)
	if at := link(h, right...); !strings.HasPrefix(at, "https://"+domain) {
		t.Errorf("the agent's link is %q", at)
	}
	if again := signIn(t, outside(t, ca.root, port), "https://"+domain+"/", password); again.Cmp(serial) != 0 {
		t.Errorf("certificate %x was ordered beside %x", again, serial)
	}
}

// signIn gets in by the password, and gives the number of the page's certificate.
func signIn(t *testing.T, c *http.Client, page, password string) *big.Int {
	t.Helper()
	got, err := c.PostForm(page+"login", url.Values{"password": {password}})
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil || got.StatusCode != http.StatusOK || got.Request.URL.Path != "/" || !bytes.Contains(text, []byte("Nothing is here yet.")) {
		t.Fatalf("the password leads to %s, %s, %v\n%s", got.Request.URL, got.Status, err, text)
	}
	if got.ProtoMajor != 2 {
		t.Errorf("it speaks %s", got.Proto)
	}
	if got.Header.Get("Strict-Transport-Security") == "" {
		t.Error("a browser may ask in the clear the next time")
	}
	return got.TLS.PeerCertificates[0].SerialNumber
}

// kept looks at what a folder has: nobody else may read it.
func kept(t *testing.T, dir string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v", name, info.Mode())
		}
		if info.Mode().IsRegular() {
			files++
		}
		return nil
	})
	if err != nil || files < 2 {
		t.Errorf("%d files are kept, %v", files, err)
	}
}
