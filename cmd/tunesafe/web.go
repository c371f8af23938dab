package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/home"
	"github.com/tunesafe/tunesafe/internal/web"
)

var webCommand = &command{
	name:    "web",
	args:    "[password | token list | token add NAME | token remove NAME]",
	summary: "show your library in a browser: is it safe, what is it doing",
	text: `Serves a page for a browser on this computer, and prints a link to it. The link lets
one browser in, once, within ten minutes; give the command again for another. Where the drive is mounted, or
an agent works, that process serves the page, and the command returns; --stop ends the
page, and signs out everybody. An agent serves it from its beginning (tunesafe agent --web),
at the same address each time, and who was in stays in. Else the command opens the home itself, uploads what waits, and stays until Ctrl-C.
Where there is no home yet, the page sets one up: folders, store, keys, recovery kit.

The page is for this computer alone, at 127.0.0.1 and port 8863, or another if that is
taken. With --listen ADDRESS it is for other machines, too, and then it needs two things:

  - a password, which is asked for, or is the first line of --password-file. "tunesafe
    web password" sets another;
  - TLS: --tls-cert and --tls-key, or --acme DOMAIN for a certificate from Let's Encrypt,
    whose servers must reach the page under that name at port 443 (TLS-ALPN-01; a router
    may pass that port on to another). An ACME server of one's own, such as step-ca, is
    named by --acme-server URL, and trusted by --acme-ca FILE. The certificate is kept in
    the home and renewed by itself.

--keep has an agent show the page as it is asked for here whenever it begins.

--read-only is for a tablet that all the family uses: nothing can be changed from
such a page, and it shows no keys.

Other programs reach the same by HTTP below /api/v1/, as /openapi.json beside the page
describes. They need a token: "token add NAME" prints one, once; with --read-only it
changes nothing, with --expires 90d it ends by itself. "token list" names them and when
each was used last, "token remove NAME" ends one at once. docs/API.md tells how to begin.`,
	bind: bindWeb,
}

// webOptions are the flags of web.
type webOptions struct {
	control.WebRequest
	cert, key    string
	acmeCA       string
	passwordFile string
	keep         bool
	expires      string // of a token
}

func bindWeb(f *pflag.FlagSet) action {
	var o webOptions
	f.StringVar(&o.Listen, "listen", "", fmt.Sprintf("the `ADDRESS` to serve the page at (default 127.0.0.1:%d, or another port if that is taken)", web.DefaultPort))
	f.BoolVar(&o.ReadOnly, "read-only", false, "a page for looking only, that shows no keys")
	f.StringSliceVar(&o.Hosts, "host", nil, "a `NAME` by which browsers ask for the page, beside the address and the certificate's; may be given again")
	f.StringVar(&o.cert, "tls-cert", "", "serve with the certificate in `FILE`, read again when it is renewed")
	f.StringVar(&o.key, "tls-key", "", "the certificate's key, in `FILE`")
	f.StringVar(&o.ACME, "acme", "", "serve with a certificate for `DOMAIN` from Let's Encrypt, whose terms you accept by this")
	f.StringVar(&o.ACMEFrom, "acme-server", "", "ask the ACME server with this `URL` of its directory, such as one's own step-ca (default Let's Encrypt)")
	f.StringVar(&o.acmeCA, "acme-ca", "", "trust that server by the root certificates in `FILE`, too")
	f.StringVar(&o.passwordFile, "password-file", "", "set the page's password to the first line of `FILE`")
	f.StringVar(&o.expires, "expires", "", "the new token is good for this `TIME`, such as 90d (default for ever)")
	f.BoolVar(&o.keep, "keep", false, "show it so from now on, whenever an agent begins; alone: for this computer, as at first")
	f.BoolVar(&o.Stop, "stop", false, "serve the page no more, and sign out everybody")
	return func(ctx context.Context, e *env, args []string) error {
		if err := want(args, 0, 3, ""); err != nil {
			return err
		}
		if (o.cert == "") != (o.key == "") {
			return misuse("--tls-cert and --tls-key belong together")
		}
		if o.ACME == "" && o.ACMEFrom+o.acmeCA != "" {
			return misuse("--acme-server and --acme-ca need --acme DOMAIN")
		}
		switch {
		case len(args) > 0 && args[0] == "token":
			return tokens(e, args[1:], o.ReadOnly, o.expires)
		case len(args) == 1 && args[0] == "password":
			return setPassword(e, o.passwordFile)
		case len(args) > 0:
			return misuse("unexpected argument %q", args[len(args)-1])
		}
		return showPage(ctx, e, &o)
	}
}

// setPassword asks for the page's password, and keeps what tells it.
func setPassword(e *env, file string) error {
	if err := e.home.Check(); err != nil {
		return err
	}
	text, err := newSecret(e, file, "password", errShortPassword)
	if err != nil {
		return err
	}
	return e.home.SetPasswordHash(web.HashPassword(text))
}

// showPage has the process that owns the home serve the page, or does it itself.
func showPage(ctx context.Context, e *env, o *webOptions) error {
	if err := o.paths(); err != nil {
		return err
	}
	if err := readyForOthers(e, o); err != nil {
		return err
	}
	if errors.Is(e.home.Check(), home.ErrNone) && !o.Stop {
		return showSetUp(ctx, e, o.WebRequest)
	}
	if o.keep {
		if err := keepPage(e.home, o.WebRequest); err != nil {
			return err
		}
	}
	client, err := control.Dial(ctx, e.home.RunDir())
	switch {
	case errors.Is(err, control.ErrNoOwner) && o.Stop:
		return errNoPage
	case errors.Is(err, control.ErrNoOwner):
		log, err := e.home.OpenLog()
		if err != nil {
			return err
		}
		defer log.Close()
		p := newProgress(e.stderr)
		defer p.clear()
		return serveHome(ctx, e, life{page: &o.WebRequest, say: e.stdout}, screenStarter(p), log)
	case err != nil:
		return err
	}
	r, err := client.Web(ctx, o.WebRequest)
	if err != nil {
		return err
	}
	tellPage(e.stdout, r)
	return nil
}

// paths makes the names of files absolute: another process may read them.
func (o *webOptions) paths() error {
	for from, to := range map[string]*[]byte{o.cert: &o.Cert, o.key: &o.Key, o.acmeCA: &o.ACMECA} {
		if from == "" {
			continue
		}
		abs, err := filepath.Abs(from)
		if err != nil {
			return err
		}
		*to = []byte(abs)
	}
	return nil
}

// readyForOthers sets the password that a page for other machines needs.
func readyForOthers(e *env, o *webOptions) error {
	if o.passwordFile != "" {
		return setPassword(e, o.passwordFile)
	}
	if o.Stop || e.home.Check() != nil {
		return nil
	}
	w, err := whereOf(e.home, o.WebRequest)
	if err != nil {
		return err
	}
	err = w.Check()
	if errors.Is(err, web.ErrNoPassword) && canAsk(e) {
		fmt.Fprintln(e.stdout, "the page would be open to other machines: choose a password for it")
		return setPassword(e, "")
	}
	return err
}

// whereOf says where the page is to be served.
func whereOf(h home.Home, r control.WebRequest) (web.Where, error) {
	hash, err := h.PasswordHash()
	return web.Where{
		Addr: r.Listen, Port: web.LastPort(h), Cert: string(r.Cert), Key: string(r.Key), Password: hash != "",
		ACME: web.ACME{Domain: r.ACME, Server: r.ACMEFrom, CA: string(r.ACMECA), Dir: h.ACMEDir()},
	}, err
}

func tellPage(w io.Writer, r control.WebReport) {
	if r.Stopped {
		fmt.Fprintln(w, "the page is served no more")
		return
	}
	fmt.Fprintf(w, "open your library: %s\n", r.Link)
	fmt.Fprintf(w, "the link works once, until %s\n", r.Until.Local().Format(time.TimeOnly))
}
