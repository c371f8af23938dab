package s3

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/logging"

	"github.com/tunesafe/tunesafe/internal/store"
)

const (
	defaultRegion   = "us-east-1"
	defaultPatience = 20 * time.Second
	defaultStall    = 60 * time.Second
)

// Config says which bucket, where, and with what patience.
type Config struct {
	Bucket string // required
	Prefix string // "" is the whole bucket

	Endpoint   string // the URL of a server that is not AWS, with scheme
	Addressing Addressing
	Region     string // "" takes the SDK's configuration, then us-east-1
	Classes    Classes
	Lock       Lock

	// Credentials with an empty AccessKey stand for the SDK's usual chain:
	// environment, shared files, single sign-on, instance roles. Of the shared
	// files it takes Profile, or what AWS_PROFILE says.
	Credentials Credentials
	Profile     string

	// Patience is how long retries go on without progress: a network that is
	// down is reported after this and at most one pause (5 s) and one attempt
	// (8 s to connect) more. 0 means 20 s.
	Patience time.Duration

	// Stall is how long one request may make no progress. 0 means 60 s.
	Stall time.Duration

	Log *slog.Logger // requests at level debug; nil for none
}

// ParseURL takes "s3://bucket/prefix" apart.
func ParseURL(raw string) (bucket, prefix string, err error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", "", err
	}
	if u.Scheme != "s3" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", "", fmt.Errorf("%q is not of the form s3://bucket/prefix", raw)
	}
	return u.Host, strings.Trim(u.Path, "/"), nil
}

// Open prepares a store. It sends nothing: whether the bucket can be reached
// shows with the first call.
func Open(ctx context.Context, c Config) (*Store, error) {
	if c.Bucket == "" {
		return nil, errors.New("no bucket named")
	}
	if err := c.Lock.Check(); err != nil {
		return nil, err
	}
	if err := c.Addressing.Check(c.Endpoint, c.Bucket); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	sdk, err := config.LoadDefaultConfig(ctx, c.sdkOptions()...)
	if err != nil {
		return nil, fmt.Errorf("s3 configuration: %w", err)
	}
	t := newTransport(c.Stall, c.Log)
	renewed := &renewable{chain: sdk.Credentials, load: c.loadChain, loaded: time.Now()}
	creds := aws.NewCredentialsCache(deniedWithout{renewed}, renewEarly)
	t.refused = func() { renewed.refused(); creds.Invalidate() }
	return &Store{
		client:    s3.NewFromConfig(sdk, c.clientOptions(t, creds)),
		bucket:    c.Bucket,
		prefix:    trimPrefix(c.Prefix),
		classes:   c.Classes,
		lock:      c.Lock,
		transport: t,
		creds:     creds,
		renewed:   renewed,
	}, nil
}

func (c Config) withDefaults() Config {
	if c.Patience <= 0 {
		c.Patience = defaultPatience
	}
	if c.Stall <= 0 {
		c.Stall = defaultStall
	}
	return c
}

func (c Config) sdkOptions() []func(*config.LoadOptions) error {
	opts := []func(*config.LoadOptions) error{config.WithLogger(logging.Nop{}), config.WithCredentialsCacheOptions(renewEarly)}
	if c.Region != "" {
		opts = append(opts, config.WithRegion(c.Region))
	}
	if c.Profile != "" {
		opts = append(opts, config.WithSharedConfigProfile(c.Profile))
	}
	if c.Credentials.AccessKey != "" {
		opts = append(opts, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(
			c.Credentials.AccessKey, c.Credentials.SecretKey, c.Credentials.SessionToken)))
	}
	return opts
}

func (c Config) clientOptions(t *transport, creds aws.CredentialsProvider) func(*s3.Options) {
	return func(o *s3.Options) {
		if c.Endpoint != "" {
			o.BaseEndpoint = &c.Endpoint
		}
		o.UsePathStyle = c.Addressing.byPath(aws.ToString(o.BaseEndpoint))
		if o.Region == "" {
			o.Region = defaultRegion
		}
		o.Credentials = creds
		o.HTTPSignerV4 = new(signer)
		o.Retryer = newRetryer(c.Patience, &t.outage)
		o.HTTPClient = &http.Client{Transport: t, CheckRedirect: stay}
		// The SDK's own default, CRC32 in a trailer, is unknown to several
		// servers; Put sets a plain SHA-256 header itself, Get asks itself.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	}
}

// stay keeps a redirect from carrying a signed request to another host.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// CheckBucket asks whether the bucket is there and may be used.
func (s *Store) CheckBucket(ctx context.Context) error {
	_, err := s.client.HeadBucket(withPulse(ctx), &s3.HeadBucketInput{Bucket: &s.bucket})
	if statusOf(err) == http.StatusNotFound {
		return fmt.Errorf("bucket %s: %w", s.bucket, store.ErrNoBucket)
	}
	if err != nil {
		return fmt.Errorf("bucket %s: %w", s.bucket, translate(ctx, err))
	}
	return nil
}

// EnsureBucket makes the bucket if it is missing and reports whether it did.
func (s *Store) EnsureBucket(ctx context.Context) (created bool, err error) {
	err = s.CheckBucket(ctx)
	if !errors.Is(err, store.ErrNoBucket) {
		return false, err
	}
	_, err = s.client.CreateBucket(withPulse(ctx), &s3.CreateBucketInput{
		Bucket:                     &s.bucket,
		CreateBucketConfiguration:  s.location(),
		ObjectLockEnabledForBucket: s.lock.ofBucket(),
	})
	if _, ours := errors.AsType[*types.BucketAlreadyOwnedByYou](err); ours {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("create bucket %s: %w", s.bucket, translate(ctx, err))
	}
	return true, nil
}

// location is required by AWS for every region but the first, where it is an
// error; other servers take their own names or none.
func (s *Store) location() *types.CreateBucketConfiguration {
	region := s.client.Options().Region
	if region == defaultRegion || region == "auto" {
		return nil
	}
	return &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(region)}
}
