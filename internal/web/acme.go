package web

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// ACME says from whom a certificate is had, RFC 8555. The proof that the domain is
// this machine's is TLS-ALPN-01 (RFC 8737): it needs no port but the page's own, which
// the server asks for at 443.
type ACME struct {
	Domain string // empty: it is not asked for one
	Server string // address of its directory; empty is Let's Encrypt's
	CA     string // file of certificates that the server's own may be signed by, beside the system's
	Dir    string // where what it gave is kept, and the key of the account
}

var (
	// ErrACMEAddress: nobody can be asked there.
	ErrACMEAddress = errors.New("is no address of an ACME server")
	// ErrACMEAway: no answer was had from the ACME server.
	ErrACMEAway = errors.New("the ACME server gives no answer")
	// ErrACMEStranger: who answers cannot show that it is the ACME server.
	ErrACMEStranger = errors.New("the certificate of the ACME server is signed by nobody that this machine trusts")
	// ErrACMEProof: it asked at the domain, and it was not this page that answered.
	ErrACMEProof = errors.New("the ACME server did not find this page under its name")
	// ErrACMERefused: it gives no certificate for another reason.
	ErrACMERefused = errors.New("the ACME server refuses a certificate")
)

// orderPatience is how long a first certificate may take.
const orderPatience = 2 * time.Minute

func (a ACME) check() error {
	if a.Domain == "" || a.Server == "" {
		return nil
	}
	u, err := url.Parse(a.Server)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%s %w", a.Server, ErrACMEAddress)
	}
	return nil
}

// orders has certificates ordered, kept, and renewed when a third of their time is left.
type orders struct {
	domain  string
	manager *autocert.Manager
}

// orders reads what it needs; nobody is asked yet.
func (a ACME) orders() (*orders, error) {
	client := &acme.Client{DirectoryURL: autocert.DefaultACMEDirectory, UserAgent: "tunesafe"}
	dir := a.Dir
	if a.Server != "" {
		client.DirectoryURL = a.Server
		dir = filepath.Join(dir, url.PathEscape(a.Server)) // one server's certificates are not another's
	}
	if a.CA != "" {
		pool, err := x509.SystemCertPool()
		if err != nil {
			return nil, err
		}
		text, err := os.ReadFile(a.CA)
		if err != nil {
			return nil, err
		}
		if !pool.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s: no certificate in PEM", a.CA)
		}
		transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
		client.HTTPClient = &http.Client{Transport: transport}
	}
	return &orders{domain: a.Domain, manager: &autocert.Manager{
		Prompt: autocert.AcceptTOS, HostPolicy: autocert.HostWhitelist(a.Domain), Cache: autocert.DirCache(dir), Client: client,
	}}, nil
}

// get answers a browser, or the ACME server. Whatever ciphers a hello names, there is
// one certificate, of ECDSA: a hello of TLS 1.3 alone names no kind, and would have
// another ordered.
func (o *orders) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return o.manager.GetCertificate(&tls.ClientHelloInfo{
		ServerName: hello.ServerName, SupportedProtos: hello.SupportedProtos, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	})
}

// order sees to it that there is a certificate: one that is kept and good, or a new
// one. Whoever starts the page is told what went wrong, as no browser would tell.
func (o *orders) order(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, orderPatience)
	defer cancel()
	done := make(chan error, 1)
	go func() { // it minds no context
		_, err := o.get(&tls.ClientHelloInfo{ServerName: o.domain})
		done <- err
	}()
	select {
	case err := <-done:
		return o.blame(err)
	case <-ctx.Done():
		if err := ctx.Err(); !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		return fmt.Errorf("%s: %w", o.manager.Client.DirectoryURL, ErrACMEAway)
	}
}

// blame tells who must do something about an order that failed.
func (o *orders) blame(err error) error {
	if err == nil {
		return nil
	}
	kind := ErrACMEAway
	if strings.Contains(err.Error(), "no viable challenge type") { // all that autocert says when the only one failed
		kind = ErrACMEProof
	} else if _, ok := errors.AsType[*acme.Error](err); ok {
		kind = ErrACMERefused
	} else if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		kind = ErrACMEStranger
	}
	return fmt.Errorf("%s: %s: %w: %w", o.manager.Client.DirectoryURL, o.domain, kind, err)
}
