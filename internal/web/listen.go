package web

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/acme"
)

// DefaultPort is what TUNE is on a telephone's keys. Where another program has it,
// any that is free is taken.
const DefaultPort = 8863

// nearPorts is how many are tried before any that is free is taken.
const nearPorts = 10

// Where says at which address the page listens.
type Where struct {
	Addr      string // HOST:PORT; empty is loopback at DefaultPort, or one near it
	Port      int    // instead of DefaultPort, if not 0: where it was the last time
	Cert, Key string // files of a certificate of one's own, and its key
	ACME      ACME   // or how to get one
	Password  bool   // one is set
}

var (
	// ErrNoPassword: other machines could open the page, and nothing keeps them out.
	ErrNoPassword = errors.New("the page would be open to other machines, and has no password")
	// ErrNoTLS: what goes over the network could be read and changed there.
	ErrNoTLS = errors.New("the page would go over the network in the clear")
	// ErrTwoCertificates: two ways to have one were given.
	ErrTwoCertificates = errors.New("a certificate of one's own and one by ACME exclude each other")
)

// Check tells early what [Listen] would refuse.
func (w Where) Check() error {
	if w.ACME.Domain != "" && w.Cert != "" {
		return ErrTwoCertificates
	}
	if err := w.ACME.check(); err != nil {
		return err
	}
	addr, err := w.resolve()
	if err != nil {
		return err
	}
	switch {
	case addr.IP.IsLoopback():
		return nil
	case !w.Password:
		return fmt.Errorf("%s: %w", addr, ErrNoPassword)
	case !w.secure():
		return fmt.Errorf("%s: %w", addr, ErrNoTLS)
	}
	return nil
}

func (w Where) secure() bool { return w.Cert != "" || w.ACME.Domain != "" }

// Names are those by which the page will be asked for.
func (w Where) names() ([]string, error) {
	if w.ACME.Domain != "" {
		return []string{w.ACME.Domain}, nil
	}
	if w.Cert == "" {
		return nil, nil
	}
	c, err := tls.LoadX509KeyPair(w.Cert, w.Key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", w.Cert, err)
	}
	return c.Leaf.DNSNames, nil
}

// resolve looks the address up before anything listens: a name may be anybody's.
func (w Where) resolve() (*net.TCPAddr, error) {
	if w.Addr == "" {
		return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: cmp.Or(w.Port, DefaultPort)}, nil
	}
	addr, err := net.ResolveTCPAddr("tcp", w.Addr)
	if err != nil {
		return nil, fmt.Errorf("--listen %s: %w", w.Addr, err)
	}
	if addr.IP == nil { // as of ":8863"
		addr.IP = net.IPv6unspecified
	}
	return addr, nil
}

// Listening is a place where the page is about to be served.
type Listening struct {
	net.Listener
	At     *net.TCPAddr
	Names  []string
	Secure bool

	orders *orders // nil: no certificate has to be ordered
}

// Ready returns once the page can be shown there: it has a certificate. The page must
// be served by then, as the ACME server looks at it before it gives one.
func (l *Listening) Ready(ctx context.Context) error {
	if l.orders == nil {
		return nil
	}
	return l.orders.order(ctx)
}

// Listen opens the address, unless [Where.Check] refuses it.
func Listen(ctx context.Context, w Where) (*Listening, error) {
	if err := w.Check(); err != nil {
		return nil, err
	}
	names, err := w.names()
	if err != nil {
		return nil, err
	}
	addr, err := w.resolve()
	if err != nil {
		return nil, err
	}
	var c net.ListenConfig
	l, err := c.Listen(ctx, "tcp", addr.String())
	for port := DefaultPort; w.Addr == "" && errors.Is(err, syscall.EADDRINUSE); port++ {
		if port == DefaultPort+nearPorts {
			port = 0
		}
		l, err = c.Listen(ctx, "tcp", net.JoinHostPort(addr.IP.String(), strconv.Itoa(port)))
		if port == 0 {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("--listen %s: %w", addr, err)
	}
	at, _ := l.Addr().(*net.TCPAddr)
	out := &Listening{Listener: l, At: at, Names: names, Secure: w.secure()}
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	switch {
	case w.ACME.Domain != "":
		if out.orders, err = w.ACME.orders(); err != nil {
			return nil, errors.Join(err, l.Close())
		}
		config.GetCertificate = out.orders.get
		config.NextProtos = append(config.NextProtos, acme.ALPNProto)
	case w.Cert != "":
		config.GetCertificate = (&keptCertificate{cert: w.Cert, key: w.Key}).get
	default:
		return out, nil
	}
	out.Listener = tls.NewListener(l, config)
	return out, nil
}

// keptCertificate reads a certificate again once its file has changed: they are
// renewed every few months.
type keptCertificate struct {
	cert, key string
	mu        sync.Mutex
	is        *tls.Certificate
	of        time.Time
}

func (k *keptCertificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	info, err := os.Stat(k.cert)
	if k.is != nil && (err != nil || info.ModTime().Equal(k.of)) {
		return k.is, nil
	}
	if err != nil {
		return nil, err
	}
	c, err := tls.LoadX509KeyPair(k.cert, k.key)
	if err != nil {
		if k.is != nil {
			return k.is, nil // half written: the next one looks again
		}
		return nil, err
	}
	k.is, k.of = &c, info.ModTime()
	return k.is, nil
}
