package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"
)

// copyRaw is the command of the columns "raw" and "sealed". Raw is whole files by PUT
// and GET, several at once, with nothing hashed, encrypted or compared: no program
// that uses the server can be faster.
const copyRaw = "copy-raw"

const rawAtOnce = 8

// copier is one way of copying a file.
type copier func(ctx context.Context, c *s3.Client, bucket, key, path string) error

// The verbs of copyRaw.
var (
	puts = map[string]copier{"put": rawPut, "seal": sealedPut}
	gets = map[string]copier{"get": rawGet, "unseal": sealedGet}
)

func raw(ctx context.Context, verb, endpoint, bucket, dir string) error {
	o := client(endpoint).Options()
	o.HTTPClient = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: rawAtOnce}}
	o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
	o.RequestChecksumCalculation, o.ResponseChecksumValidation = 2, 2 // when required
	c := s3.New(o)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(rawAtOnce)
	var err error
	put, get := puts[verb], gets[verb]
	switch {
	case put != nil:
		err = filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			rel, err := filepath.Rel(dir, p)
			g.Go(func() error { return put(ctx, c, bucket, rel, p) })
			return err
		})
	case get != nil:
		pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: &bucket})
		for err == nil && pages.HasMorePages() {
			var page *s3.ListObjectsV2Output
			if page, err = pages.NextPage(ctx); err == nil {
				for _, obj := range page.Contents {
					g.Go(func() error { return get(ctx, c, bucket, *obj.Key, filepath.Join(dir, *obj.Key)) })
				}
			}
		}
	default:
		err = fmt.Errorf("%q is no way of copying", verb)
	}
	return errors.Join(err, g.Wait())
}

func rawPut(ctx context.Context, c *s3.Client, bucket, key, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = c.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: f})
	return err
}

func rawGet(ctx context.Context, c *s3.Client, bucket, key, path string) error {
	out, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return err
	}
	defer out.Body.Close()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, out.Body)
	return errors.Join(err, f.Close())
}
