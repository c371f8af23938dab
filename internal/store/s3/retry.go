package s3

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
)

const (
	maxAttempts  = 8
	firstBackoff = 200 * time.Millisecond // a server that closed an idle connection is asked again soon
	maxBackoff   = 5 * time.Second
)

// newRetryer is the SDK's standard retryer with what it lacks for S3: the
// status 429, bodies damaged on the way, and an end to patience.
func newRetryer(patience time.Duration, o *outage) aws.Retryer {
	standard := retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = maxAttempts
		o.Backoff = retry.BackoffDelayerFunc(backoff)
		o.Retryables = append(o.Retryables,
			retry.RetryableHTTPStatusCode{Codes: map[int]struct{}{http.StatusTooManyRequests: {}}},
			retry.RetryableErrorCode{Codes: map[string]struct{}{
				"BadDigest": {}, "IncompleteBody": {}, "OperationAborted": {}, "XAmzContentSHA256Mismatch": {},
			}})
	})
	return &patientRetryer{RetryerV2: standard, patience: patience, outage: o}
}

// backoff doubles from firstBackoff with every attempt, and takes a random
// half off, so that many clients do not come back at once.
func backoff(attempt int, _ error) (time.Duration, error) {
	pause := min(firstBackoff<<min(max(attempt-1, 0), maxAttempts), maxBackoff)
	return pause/2 + rand.N(pause/2), nil
}

// patientRetryer ends the retries of a call that made no progress for patience.
// A long upload that breaks late may so be tried again, while a network that is
// down is reported soon.
type patientRetryer struct {
	aws.RetryerV2
	patience time.Duration
	outage   *outage
}

// GetRetryToken implements [aws.Retryer]. It is the one question the SDK asks
// before a retry that carries the call's context.
func (r *patientRetryer) GetRetryToken(ctx context.Context, err error) (func(error) error, error) {
	if err := r.outage.retry(); err != nil {
		return nil, err
	}
	if quiet := pulseOf(ctx).quiet(); quiet >= r.patience {
		r.outage.giveUp()
		return nil, fmt.Errorf("gave up after %v without progress", quiet.Round(time.Second))
	}
	return r.RetryerV2.GetRetryToken(ctx, err)
}

// pulse remembers when a call began or its upload last moved.
type pulse struct{ last atomic.Int64 } // Unix nanoseconds

type pulseKey struct{}

func withPulse(ctx context.Context) context.Context {
	p := new(pulse)
	p.beat()
	return context.WithValue(ctx, pulseKey{}, p)
}

// pulseOf never returns nil: a request that is no call of ours has its own.
func pulseOf(ctx context.Context) *pulse {
	if p, ok := ctx.Value(pulseKey{}).(*pulse); ok {
		return p
	}
	p := new(pulse)
	p.beat()
	return p
}

func (p *pulse) beat() { p.last.Store(time.Now().UnixNano()) }

func (p *pulse) quiet() time.Duration { return time.Since(time.Unix(0, p.last.Load())) }

// signPayload hands the body's hash to the signer, in hexadecimal or unsigned, which
// would otherwise read the body again to compute it.
func signPayload(hash string) func(*s3.Options) {
	set := middleware.InitializeMiddlewareFunc("SetPayloadHash", func(
		ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
	) (middleware.InitializeOutput, middleware.Metadata, error) {
		return next.HandleInitialize(v4.SetPayloadHash(ctx, hash), in)
	})
	return s3.WithAPIOptions(func(stack *middleware.Stack) error {
		return stack.Initialize.Add(set, middleware.Before)
	})
}
