package s3

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// signer is the SDK's, begun anew when the secret changes: the SDK's keeps what it
// derived from a secret under the access key alone, so that a secret corrected
// under the same key would not be used for the rest of the day.
type signer struct {
	mu     sync.Mutex
	secret string
	of     *v4.Signer
}

// SignHTTP implements [s3.HTTPSignerV4].
func (s *signer) SignHTTP(ctx context.Context, c aws.Credentials, r *http.Request, payloadHash, service, region string,
	at time.Time, options ...func(*v4.SignerOptions)) error {
	return s.with(c.SecretAccessKey).SignHTTP(ctx, c, r, payloadHash, service, region, at, options...)
}

func (s *signer) with(secret string) *v4.Signer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil || s.secret != secret {
		s.secret = secret
		s.of = v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }) // as S3 has it
	}
	return s.of
}
