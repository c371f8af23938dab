package s3server

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/s3response"
)

// durable makes "200 OK" mean "survives a power cut". The gateway's own backend
// writes an unnamed file and links it into place, and never syncs.
//
// The order of a PUT, so that a crash at any point leaves the old object, the
// new one or none, and after the answer the new one:
//
//  1. the body is in the unnamed file: sync it, so that the name never leads
//     to bytes that are not there yet
//  2. the gateway adds the attributes and links the file into place
//  3. sync the file, for its attributes
//  4. sync every folder from the file's up to the root, as any of them may be
//     new; one that did not change costs next to nothing
//  5. answer
//
// A completed multipart upload and a copy skip step 1: a crash before the
// answer may leave a torn object there. Tunesafe makes neither.
type durable struct {
	*posix.Posix
	root string // absolute
}

// PutObject implements the gateway's backend.
func (d *durable) PutObject(ctx context.Context, in s3response.PutObjectInput) (s3response.PutObjectOutput, error) {
	out, err := d.PutObjectWithPostFunc(ctx, in, (*os.File).Sync)
	if err != nil {
		return out, err
	}
	return out, d.syncObject(in.Bucket, in.Key)
}

// CompleteMultipartUpload implements the gateway's backend.
func (d *durable) CompleteMultipartUpload(ctx context.Context, in *s3.CompleteMultipartUploadInput) (s3response.CompleteMultipartUploadResult, string, error) {
	out, version, err := d.Posix.CompleteMultipartUpload(ctx, in)
	if err != nil {
		return out, version, err
	}
	return out, version, d.syncObject(in.Bucket, in.Key)
}

// CopyObject implements the gateway's backend.
func (d *durable) CopyObject(ctx context.Context, in s3response.CopyObjectInput) (s3response.CopyObjectOutput, error) {
	out, err := d.Posix.CopyObject(ctx, in)
	if err != nil {
		return out, err
	}
	return out, d.syncObject(in.Bucket, in.Key)
}

// DeleteObject implements the gateway's backend.
func (d *durable) DeleteObject(ctx context.Context, in *s3.DeleteObjectInput) (*s3.DeleteObjectOutput, error) {
	out, err := d.Posix.DeleteObject(ctx, in)
	if err != nil {
		return out, err
	}
	return out, d.syncFolders(d.path(in.Bucket, in.Key))
}

// DeleteObjects implements the gateway's backend. Objects it could not delete
// are named in the answer; their folders are synced in vain.
func (d *durable) DeleteObjects(ctx context.Context, in *s3.DeleteObjectsInput) (s3response.DeleteResult, error) {
	out, err := d.Posix.DeleteObjects(ctx, in)
	if err != nil {
		return out, err
	}
	for _, o := range in.Delete.Objects {
		if err := d.syncFolders(d.path(in.Bucket, o.Key)); err != nil {
			return out, err
		}
	}
	return out, nil
}

// CreateBucket implements the gateway's backend.
func (d *durable) CreateBucket(ctx context.Context, in *s3.CreateBucketInput, acl []byte) error {
	if err := d.Posix.CreateBucket(ctx, in, acl); err != nil {
		return err
	}
	return d.syncFolders(d.path(in.Bucket, aws.String("x"))) // from the bucket's own folder up
}

// DeleteBucket implements the gateway's backend.
func (d *durable) DeleteBucket(ctx context.Context, bucket string) error {
	if err := d.Posix.DeleteBucket(ctx, bucket); err != nil {
		return err
	}
	return syncPath(d.root)
}

func (d *durable) path(bucket, key *string) string {
	return filepath.Join(d.root, aws.ToString(bucket), aws.ToString(key))
}

// syncObject syncs an object's file and the folders that lead to it.
func (d *durable) syncObject(bucket, key *string) error {
	path := d.path(bucket, key)
	if err := syncPath(path); err != nil {
		return err
	}
	return d.syncFolders(path)
}

// syncFolders syncs every folder above path, up to and with the root.
func (d *durable) syncFolders(path string) error {
	for path != d.root && len(path) > len(d.root) {
		path = filepath.Dir(path)
		if err := syncPath(path); err != nil {
			return err
		}
	}
	return nil
}

// syncPath syncs one file or folder. One that is gone was deleted meanwhile,
// by a request that does its own syncing.
func syncPath(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
