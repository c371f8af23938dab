package s3

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
)

const (
	// expiryWindow is how long before their end temporary credentials are
	// renewed, so that none ends between signing and the store's look at it.
	expiryWindow = time.Minute
	// reloadAfter is how often at most refused credentials are looked for anew
	// in the SDK's chain, which may ask other servers.
	reloadAfter = 10 * time.Second
)

func renewEarly(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = expiryWindow }

// Credentials sign the requests.
type Credentials struct {
	AccessKey, SecretKey string
	SessionToken         string // only with temporary credentials
}

// loadChain asks the SDK's chain anew: files may have changed.
func (c Config) loadChain(ctx context.Context) (aws.CredentialsProvider, error) {
	sdk, err := config.LoadDefaultConfig(ctx, c.sdkOptions()...)
	return sdk.Credentials, err
}

// renewable are credentials that may be replaced while the store is in use: those
// of the chain that end are renewed by the SDK, those that the store refuses are
// looked for again.
type renewable struct {
	load func(context.Context) (aws.CredentialsProvider, error)

	mu     sync.Mutex
	chain  aws.CredentialsProvider
	loaded time.Time
	stale  bool // the store refused what chain gave
	fresh  func() (Credentials, error)
}

// Retrieve implements [aws.CredentialsProvider].
func (r *renewable) Retrieve(ctx context.Context) (aws.Credentials, error) {
	r.mu.Lock()
	fresh := r.fresh
	r.mu.Unlock()
	if fresh != nil {
		c, err := fresh()
		if err != nil {
			return aws.Credentials{}, err
		}
		if c.AccessKey != "" {
			return aws.Credentials{AccessKeyID: c.AccessKey, SecretAccessKey: c.SecretKey, SessionToken: c.SessionToken}, nil
		}
	}
	return r.current(ctx).Retrieve(ctx)
}

// refused notes that the store did not take what Retrieve gave last.
func (r *renewable) refused() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stale = true
}

// current is the chain, anew if the store refused what it gave. Files that cannot
// be read now leave it as it was.
func (r *renewable) current(ctx context.Context) aws.CredentialsProvider {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stale && time.Since(r.loaded) >= reloadAfter {
		r.loaded, r.stale = time.Now(), false
		if chain, err := r.load(ctx); err == nil {
			r.chain = chain
		}
	}
	return r.chain
}

// RenewWith has the credentials read anew by fresh after the store refused a
// request: they expire, and people replace them in a file. None stands for those
// of [Config].
func (s *Store) RenewWith(fresh func() (Credentials, error)) {
	s.renewed.mu.Lock()
	defer s.renewed.mu.Unlock()
	s.renewed.fresh = fresh
}

// deniedWithout marks failures to get credentials, which the SDK reports with
// no type of its own.
type deniedWithout struct{ aws.CredentialsProvider }

// Retrieve implements [aws.CredentialsProvider].
func (p deniedWithout) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := p.CredentialsProvider.Retrieve(ctx)
	if err != nil {
		return c, fmt.Errorf("%w: %w", errNoCredentials, err)
	}
	return c, nil
}

// Credentials returns what requests are signed with now. Those that last can be
// kept for a later run that has another environment; the others are renewed by
// whoever gave them, and a copy would be worth nothing soon.
func (s *Store) Credentials(ctx context.Context) (c Credentials, last bool, err error) {
	found, err := s.creds.Retrieve(ctx)
	if err != nil {
		return Credentials{}, false, translate(ctx, err)
	}
	return Credentials{AccessKey: found.AccessKeyID, SecretKey: found.SecretAccessKey, SessionToken: found.SessionToken}, !found.CanExpire, nil
}
