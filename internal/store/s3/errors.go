package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/aws/smithy-go"

	"github.com/tunesafe/tunesafe/internal/store"
)

// errForeign: something answered that is not the object store.
var errForeign = fmt.Errorf("the answer does not come from an S3 server: %w", store.ErrUnavailable)

// errNoCredentials: the SDK's chain found none or could not refresh them.
var errNoCredentials = fmt.Errorf("no usable credentials: %w", store.ErrDenied)

// codes gives the sentinel of an S3 error code. The names are from "Error
// responses" in the Amazon S3 API reference; X… are MinIO's, InsufficientStorage
// and QuotaExceeded the VersityGW's and others'.
var codes = map[string]error{
	"NoSuchKey":    store.ErrNotExist,
	"NoSuchBucket": store.ErrNoBucket,

	"AccessDenied":                 store.ErrDenied,
	"AccessDeniedException":        store.ErrDenied,
	"AccountProblem":               store.ErrDenied,
	"AllAccessDisabled":            store.ErrDenied,
	"AuthorizationHeaderMalformed": store.ErrDenied,
	"ExpiredToken":                 store.ErrDenied,
	"ExpiredTokenException":        store.ErrDenied,
	"Forbidden":                    store.ErrDenied,
	"InvalidAccessKeyId":           store.ErrDenied,
	"InvalidSecurity":              store.ErrDenied,
	"InvalidToken":                 store.ErrDenied,
	"NotSignedUp":                  store.ErrDenied,
	"SignatureDoesNotMatch":        store.ErrDenied,
	"TokenRefreshRequired":         store.ErrDenied,
	"Unauthorized":                 store.ErrDenied,
	"XAdminUserNotFound":           store.ErrDenied, // an access key unknown to the VersityGW, with status 404
	"BucketAlreadyExists":          store.ErrDenied, // the name is somebody else's

	"RequestTimeTooSkewed": store.ErrClock,
	"RequestExpired":       store.ErrClock,
	"RequestInTheFuture":   store.ErrClock,

	"InvalidObjectState":  store.ErrArchived,
	"InvalidStorageClass": store.ErrClass,

	"InsufficientStorage":            store.ErrFull,
	"QuotaExceeded":                  store.ErrFull,
	"StorageQuotaExceeded":           store.ErrFull,
	"XMinioAdminBucketQuotaExceeded": store.ErrFull,
	"XMinioStorageFull":              store.ErrFull,
	"XAmzContentSHA256Mismatch":      store.ErrUnavailable, // the line corrupted it
	"BadDigest":                      store.ErrUnavailable, // the line corrupted it
	"IncompleteBody":                 store.ErrUnavailable,
	"InternalError":                  store.ErrUnavailable,
	"OperationAborted":               store.ErrUnavailable,
	"RequestTimeout":                 store.ErrUnavailable,
	"ServiceUnavailable":             store.ErrUnavailable,
	"SlowDown":                       store.ErrUnavailable,
	"InvalidRange":                   store.ErrRange,
	"RequestedRangeNotSatisfiable":   store.ErrRange,
}

// translate gives err the sentinel that a caller decides on. A finished context
// comes first: what failed because of it says nothing of the store.
func translate(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if cause := ctx.Err(); cause != nil {
		return cause
	}
	if errors.Is(err, errNoCredentials) {
		return err
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return sentinel(api.ErrorCode(), statusOf(err), err)
	}
	if status := statusOf(err); status >= http.StatusBadRequest {
		return sentinel("", status, err)
	}
	if invalid, ok := errors.AsType[*smithy.InvalidParamsError](err); ok {
		return invalid
	}
	// No answer, or one that is not S3's XML.
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}

func sentinel(code string, status int, err error) error {
	s, ok := codes[code]
	if !ok {
		s = byStatus(status)
	}
	if s == nil {
		return err
	}
	return fmt.Errorf("%w: %w", s, err)
}

// byStatus decides when there is no code that is known. A bare 404 is nothing
// to rely on: see the package's comment.
func byStatus(status int) error {
	switch {
	case status >= http.StatusMultipleChoices && status < http.StatusBadRequest:
		return errForeign
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return store.ErrDenied
	case status == http.StatusNotFound:
		return errForeign
	case status == http.StatusRequestedRangeNotSatisfiable:
		return store.ErrRange
	case status == http.StatusInsufficientStorage:
		return store.ErrFull
	case status == http.StatusNotImplemented:
		return nil
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests, status >= 500:
		return store.ErrUnavailable
	}
	return nil
}

// translateRead is for an error in the middle of a body.
func translateRead(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil {
		return cause
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, store.ErrUnavailable) {
		return err
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	if strings.Contains(err.Error(), "checksum did not match") { // the SDK's error has no type that can be named
		return fmt.Errorf("%w: %w", store.ErrDamaged, err)
	}
	return err
}

func isAbsent(err error) bool { return errors.Is(err, store.ErrNotExist) }

// statusOf is the HTTP status that err reports, or 0.
func statusOf(err error) int {
	var answer interface{ HTTPStatusCode() int }
	if errors.As(err, &answer) {
		return answer.HTTPStatusCode()
	}
	return 0
}

// Code is the server's own word for what went wrong, one of "Error responses" in the
// Amazon S3 API reference; empty if it had none. Sentinels are what programs go by;
// this is to tell people which of their words was wrong.
func Code(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}
