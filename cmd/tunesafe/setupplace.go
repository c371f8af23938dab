package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tunesafe/tunesafe/internal/home"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/internal/store/s3"
	"github.com/tunesafe/tunesafe/internal/web"
)

// How long a place is waited for.
const (
	tryPatience  = 25 * time.Second
	dialPatience = 5 * time.Second
)

// storeOf makes sense of the fields, as init does of its flags; what is wrong with one
// is a [*web.Mistake].
func storeOf(h home.Home, p web.Place) (home.Store, error) {
	if p.Supplier == web.ThisDisk {
		return diskOf(h, p)
	}
	endpoint := p.Endpoint
	if s, ok := supplierOf(p.Supplier); ok {
		if s.Account != "" && p.Account == "" {
			return home.Store{}, &web.Mistake{Field: "account", Text: "The " + s.Account + " is missing.", Hint: "The supplier's page shows it beside the keys."}
		}
		if p.Region == "" {
			return home.Store{}, &web.Mistake{Field: "region", Text: "The region is missing.", Hint: "The supplier's page of the bucket tells it."}
		}
		endpoint = s.At(p.Region, p.Account)
	}
	u, err := url.Parse(endpoint)
	switch {
	case p.Supplier == web.OwnServer && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil):
		return home.Store{}, &web.Mistake{Field: "endpoint", Text: "That is not the address of a server.", Hint: "It is of the form https://host:port."}
	case err != nil || strings.ContainsAny(p.Region+p.Account, "/?#@ "):
		return home.Store{}, &web.Mistake{Field: "region", Text: "That is no region, or no account, of this supplier."}
	case !bucketName.MatchString(p.Bucket):
		return home.Store{}, &web.Mistake{Field: "bucket", Text: "A bucket cannot be called so.", Hint: "Its name has 3 to 63 lower-case letters, digits, hyphens and dots."}
	case p.Access == "" && p.Secret == "":
		return home.Store{}, &web.Mistake{Field: "access", Text: "The keys are missing."}
	case p.Access == "":
		return home.Store{}, &web.Mistake{Field: "access", Text: "The access key ID is missing."}
	case p.Secret == "":
		return home.Store{}, &web.Mistake{Field: "secret", Text: "The secret access key is missing."}
	}
	o := initOptions{store: "s3://" + p.Bucket, endpoint: endpoint, region: p.Region, addressing: "auto", lockMode: s3.Compliance}
	if p.Prefix != "" {
		o.store += "/" + p.Prefix
	}
	st, err := o.where(h)
	if err != nil {
		return st, &web.Mistake{Field: "prefix", Text: "The bucket and the folder in it cannot be named so: " + strings.TrimPrefix(err.Error(), "--store: ") + "."}
	}
	return st, nil
}

// diskOf is a store on this disk.
func diskOf(h home.Home, p web.Place) (home.Store, error) {
	if p.Dir != "" {
		if err := checkTyped(p.Dir); err != nil {
			return home.Store{}, &web.Mistake{Field: "dir", Text: capitalized(err.Error()) + "."}
		}
	}
	o := initOptions{storeDir: p.Dir}
	st, err := o.local(h)
	if err != nil {
		f := explain(err)
		return st, &web.Mistake{Field: "dir", Text: capitalized(f.Text) + ".", Hint: f.Hint}
	}
	return st, nil
}

func capitalized(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// Try implements [web.Setup].
func (u *setUp) Try(ctx context.Context, p web.Place) (t web.Tried, err error) {
	where, err := storeOf(u.home, p)
	if err != nil {
		return t, err
	}
	t.Where = where.String()
	ctx, cancel := context.WithTimeout(ctx, tryPatience)
	defer cancel()
	if err := answers(ctx, where); err != nil {
		return t, err
	}
	st, err := openPlace(ctx, where, p)
	if err != nil {
		return t, placeMistake(err, p)
	}
	defer st.Close()
	for _, err := range st.List(ctx, "", "") { // unlike a look at the bucket alone it tells why not
		if err != nil && !(errors.Is(err, store.ErrNoBucket) && (p.Make || where.Local())) {
			return t, placeMistake(fmt.Errorf("list: %w", err), p)
		}
		break
	}
	if t.Made, err = ensureBucket(ctx, st, where, false); err != nil {
		return t, placeMistake(err, p)
	}
	if err := st.CheckClock(); err != nil {
		return t, placeMistake(err, p)
	}
	note, err := probe(ctx, st)
	if err != nil {
		return t, placeMistake(err, p)
	}
	if note != "" {
		t.Notes = append(t.Notes, note)
	}
	if t.Backup, err = repo.Exists(ctx, st); err != nil {
		return t, placeMistake(err, p)
	}
	return t, nil
}

func openPlace(ctx context.Context, where home.Store, p web.Place) (*home.OpenStore, error) {
	c := home.Credentials{AccessKey: p.Access, SecretKey: p.Secret}
	if where.Local() {
		c = home.RandomCredentials()
	}
	return where.Open(ctx, c, nil)
}

// errProbe: an object was not what had been written.
var errProbe = errors.New("what was read is not what was written")

// probe writes an object, reads it and removes it. Who may not remove may back up all
// the same: that is a note.
func probe(ctx context.Context, st store.Store) (note string, err error) {
	key, body := "probe-"+strings.ToLower(rand.Text()), []byte(rand.Text())
	if err := st.Put(ctx, key, body); err != nil {
		return "", fmt.Errorf("write: %w", err)
	}
	r, err := st.Get(ctx, key, 0, -1)
	if err != nil {
		return "", fmt.Errorf("read: %w", err)
	}
	got, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		return "", fmt.Errorf("read: %w", err)
	}
	if !bytes.Equal(got, body) {
		return "", errProbe
	}
	err = st.Delete(ctx, key)
	switch {
	case errors.Is(err, store.ErrDenied), errors.Is(err, store.ErrKept), errors.Is(err, store.ErrLocked):
		return "These keys may not remove anything: backups work, and what is no longer needed stays and is paid for.", nil
	case err != nil:
		return "", fmt.Errorf("remove: %w", err)
	}
	return "", nil
}

// answers asks the network whether anybody is there, in less time than a client that
// tries again and again.
func answers(ctx context.Context, where home.Store) error {
	if where.Local() {
		return nil
	}
	at := where.Endpoint
	if at == "" {
		at = "https://s3." + where.Region + ".amazonaws.com"
	}
	u, err := url.Parse(at)
	if err != nil {
		return err
	}
	if proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u}); err == nil && proxy != nil {
		return nil // it is asked for the store, and knows names that this machine does not
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	d := net.Dialer{Timeout: dialPatience}
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err == nil {
		return c.Close()
	}
	field := "endpoint"
	if where.Endpoint == "" || !strings.Contains(at, "://"+u.Hostname()) {
		field = "region"
	}
	m := &web.Mistake{Field: field, Text: "Nobody answers at " + u.Host + ".", Hint: "Is this computer on the network, and is the address right? Then try again."}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		m.Text = "There is no address of " + dns.Name + "."
	} else if errors.Is(err, syscall.ECONNREFUSED) {
		m.Text = "Nothing listens at " + u.Host + "."
	}
	return m
}

// wordsOf are what a server's own words mean to a person, and for which field.
var wordsOf = []struct {
	codes []string
	field string
	text  string
	hint  string
}{
	{[]string{"InvalidAccessKeyId", "XAdminUserNotFound", "InvalidToken"}, "access", "The server does not know this access key ID.", "Copy it again; it is the shorter of the two."},
	{[]string{"SignatureDoesNotMatch"}, "secret", "The secret access key does not belong to this access key ID.", "Copy both again, without spaces. A secret that is lost cannot be shown again: make another pair."},
	{[]string{"ExpiredToken", "ExpiredTokenException"}, "access", "These keys are for a short time, which is over.", "Make keys that last."},
	{[]string{"AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException", "TemporaryRedirect"}, "region", "The bucket is in another region.", "The supplier's page of the bucket tells which."},
	{[]string{"BucketAlreadyExists"}, "bucket", "Somebody else has a bucket of that name.", "Choose another name: at most suppliers each can be taken once in the world."},
	{[]string{"InvalidBucketName"}, "bucket", "A bucket cannot be called so.", "Its name has 3 to 63 lower-case letters, digits, hyphens and dots."},
	{[]string{"NotSignedUp", "AccountProblem"}, "access", "The account cannot be used yet.", "Look at the supplier's page: it may want to be confirmed, or paid."},
}

// placeMistake words what is wrong with a place.
func placeMistake(err error, p web.Place) error {
	if _, ok := errors.AsType[*web.Mistake](err); ok {
		return err
	}
	code := s3.Code(err)
	for _, w := range wordsOf {
		if slices.Contains(w.codes, code) {
			return &web.Mistake{Field: w.field, Text: w.text, Hint: w.hint}
		}
	}
	m := &web.Mistake{Field: "bucket"}
	switch step, _, _ := strings.Cut(err.Error(), ":"); {
	case p.Supplier == web.ThisDisk:
		f := explain(err)
		m.Field, m.Text, m.Hint = "dir", capitalized(f.Text)+".", f.Hint
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, store.ErrUnavailable):
		m.Field, m.Text, m.Hint = "endpoint", "What answers there is no S3 server, or it is out of order.", "Check the address, and try again."
	case errors.Is(err, store.ErrDenied) && p.Supplier == web.OwnServer && (code == "" || code == "Unauthorized" || code == "Forbidden"): // of the status alone
		m.Field, m.Text, m.Hint = "endpoint", "What answers there is no S3 server, or refuses these keys without a word.", "Check the address first, then the keys."
	case errors.Is(err, errNoBucketRight):
		m.Text, m.Hint = "There is no bucket "+p.Bucket+", and these keys may not make one.", "Make it at the supplier's page, or check its name."
	case errors.Is(err, store.ErrNoBucket):
		m.Text, m.Hint = "There is no bucket "+p.Bucket+".", "Check its name; or tick “Make the bucket”."
	case errors.Is(err, store.ErrDenied) && slices.Contains([]string{"list", "write", "read"}, step):
		m.Field, m.Text = "access", "These keys may not "+step+" in the bucket "+p.Bucket+"."
		m.Hint = "Check that the bucket is yours, and give the keys the rights above."
	case errors.Is(err, store.ErrDenied):
		m.Field, m.Text, m.Hint = "access", "The server refuses these keys.", "Copy them again, and check their rights on the bucket."
	default:
		f := explain(err)
		m.Field, m.Text, m.Hint = "", capitalized(f.Text)+".", f.Hint
	}
	return m
}

// secretOf takes what was typed for a recovery key or a passphrase.
func secretOf(text string) *secret {
	if key, err := repo.ParseRecoveryKey(text); err == nil {
		return &secret{identity: key}
	}
	return &secret{passphrase: text}
}

// Unlock implements [web.Setup].
func (u *setUp) Unlock(ctx context.Context, p web.Place, key string) error {
	where, err := storeOf(u.home, p)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, tryPatience)
	defer cancel()
	st, err := openPlace(ctx, where, p)
	if err != nil {
		return placeMistake(err, p)
	}
	defer st.Close()
	in, err := unlock(ctx, st, secretOf(key))
	switch {
	case errors.Is(err, repo.ErrWrongKey), errors.Is(err, repo.ErrPassphrase):
		return &web.Mistake{Field: "key", Text: "This does not open the backup that is there.", Hint: "Compare it with the page you printed; spaces do not count."}
	case err != nil:
		return placeMistake(err, p)
	case in.root == nil:
		return &web.Mistake{Field: "key", Text: "This key is for reading only: with it this computer cannot back up anything.", Hint: "Use the recovery key of the backup."}
	}
	return nil
}
