package home

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tunesafe/tunesafe/internal/s3server"
	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/internal/store/s3"
)

// localBucket is the bucket of a local store.
const localBucket = "tunesafe"

// MaxSkew is how far this machine's clock may be from the store's. S3 itself
// refuses requests that are 15 minutes off.
const MaxSkew = 10 * time.Minute

// RandomCredentials are for a server that only this program knows.
func RandomCredentials() Credentials {
	return Credentials{AccessKey: "TS" + rand.Text()[:18], SecretKey: rand.Text() + rand.Text()[:14]}
}

// OpenStore is a store that is ready to be used.
type OpenStore struct {
	*s3.Store
	stop func() error // of the server of a local store
}

// Open opens the store. Of a local one it starts the server first, on loopback:
// see package s3server for what that imposes on the process, which is to name
// every file absolutely from here on. It sends nothing to a bucket elsewhere.
func (s Store) Open(ctx context.Context, c Credentials, log *slog.Logger) (*OpenStore, error) {
	if s.Local() {
		return s.openLocal(ctx, c, log)
	}
	bucket, prefix, err := s3.ParseURL(s.URL)
	if err != nil {
		return nil, err
	}
	st, err := s3.Open(ctx, s3.Config{
		Bucket: bucket, Prefix: prefix, Endpoint: s.Endpoint, Region: s.Region,
		Addressing: s3.Addressing(s.Addressing), Classes: s3.Classes{Audio: s.AudioClass, Packs: s.PacksClass},
		Lock: s.Lock(), Credentials: s3.Credentials(c), Profile: s.Profile, Log: log,
	})
	if err != nil {
		return nil, err
	}
	return &OpenStore{Store: st, stop: func() error { return nil }}, nil
}

// openLocal starts the server of a local store.
func (s Store) openLocal(ctx context.Context, c Credentials, log *slog.Logger) (*OpenStore, error) {
	if c.AccessKey == "" {
		c = RandomCredentials()
	}
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ready := make(chan string, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- s3server.Run(serving, s3server.Config{
			Dir: s.Dir, Listen: "127.0.0.1:0", AccessKey: c.AccessKey, SecretKey: c.SecretKey,
			Ready: func(addr string) { ready <- addr }, Log: log,
		})
	}()
	stop := func() error { cancel(); return <-ended }
	select {
	case addr := <-ready:
		st, err := openServed(ctx, "http://"+addr, c, log)
		if err != nil {
			return nil, errors.Join(err, stop())
		}
		return &OpenStore{Store: st, stop: stop}, nil
	case err := <-ended:
		cancel()
		return nil, err
	case <-ctx.Done():
		stop()
		return nil, ctx.Err()
	}
}

func openServed(ctx context.Context, endpoint string, c Credentials, log *slog.Logger) (*s3.Store, error) {
	return s3.Open(ctx, s3.Config{
		Bucket: localBucket, Endpoint: endpoint, Region: "us-east-1", Credentials: s3.Credentials(c), Log: log,
	})
}

// Close ends what Open started. No request may be under way. The connections
// are closed first: the server of a local store waits for those never used.
func (o *OpenStore) Close() error {
	o.Store.Close()
	return o.stop()
}

// CheckClock compares the clocks, as seen in the last answer: [store.ErrClock]
// if they are too far apart.
func (o *OpenStore) CheckClock() error {
	off := o.ClockOffset()
	if off.Abs() < MaxSkew {
		return nil
	}
	way := "behind"
	if off < 0 {
		way = "ahead of"
	}
	return fmt.Errorf("this machine's clock is %s %s the store's: %w", off.Abs().Round(time.Second), way, store.ErrClock)
}
