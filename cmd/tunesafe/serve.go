package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/internal/home"
	"github.com/tunesafe/tunesafe/internal/s3server"
)

var serveCommand = &command{
	name:    "serve",
	args:    "--dir DIR",
	summary: "run the S3 server alone, over a folder",
	text: `Serves a folder as an S3 server that any S3 client can use, until interrupted.
Every object is synced to the disk before it is acknowledged.

Its credentials are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Without them
random ones are made, and printed once.

A machine elsewhere that runs this is a place for a backup:
tunesafe init --store s3://bucket/prefix --endpoint http://HOST:7070`,
	bind: bindServe,
}

func bindServe(f *pflag.FlagSet) action {
	dir := f.String("dir", "", "the folder `DIR` to serve; made if missing")
	listen := f.String("listen", "127.0.0.1:7070", "the `ADDRESS`; port 0 takes a free one")
	region := f.String("region", "", "the `REGION` that clients are to name (default us-east-1)")
	return func(ctx context.Context, e *env, args []string) error {
		if err := want(args, 0, 0, ""); err != nil {
			return err
		}
		if *dir == "" {
			return misuse("--dir is missing")
		}
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return err
		}
		c, made, err := serveCredentials()
		if err != nil {
			return err
		}
		return s3server.Run(ctx, s3server.Config{
			Dir: abs, Listen: *listen, Region: *region,
			AccessKey: c.AccessKey, SecretKey: c.SecretKey,
			Ready: func(addr string) {
				fmt.Fprintf(e.stdout, "serving %s at http://%s\n", abs, addr)
				if made {
					fmt.Fprintf(e.stdout, "AWS_ACCESS_KEY_ID=%s\nAWS_SECRET_ACCESS_KEY=%s\n", c.AccessKey, c.SecretKey)
				}
			},
		})
	}
}

// serveCredentials takes the environment's, or makes some.
func serveCredentials() (c home.Credentials, made bool, err error) {
	access, secret := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
	if (access == "") != (secret == "") {
		missing := "AWS_ACCESS_KEY_ID"
		if access != "" {
			missing = "AWS_SECRET_ACCESS_KEY"
		}
		return c, false, misuse("%s is not set", missing)
	}
	if access == "" {
		return home.RandomCredentials(), true, nil
	}
	return home.Credentials{AccessKey: access, SecretKey: secret}, false, nil
}
