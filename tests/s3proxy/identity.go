package s3proxy

import (
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Identity has the proxy pose as a server with another clock, or with other
// users, than the one behind it, for which it signs the requests anew.
type Identity struct {
	AccessKey, SecretKey, Region string // of the server behind; "" for no new signature

	// Clock is how far the clock is ahead. As S3 does, the proxy refuses what is
	// signed for a time more than 15 minutes off.
	Clock time.Duration

	// Only, if not empty, is the one access key that is known; all others are
	// refused with InvalidAccessKeyId.
	Only string
}

const skew = 15 * time.Minute

// adopt checks the request's signature as far as a server of that identity
// would, and signs it anew. What it returns is done in place of the server
// unless it is [Forward].
func (i Identity) adopt(r *http.Request) Action {
	if i.AccessKey == "" {
		return Forward
	}
	_, key, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	key, _, _ = strings.Cut(key, "/")
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	switch {
	case err != nil || key == "":
		return Refuse(http.StatusForbidden, "AccessDenied")
	case i.Only != "" && key != i.Only:
		return Refuse(http.StatusForbidden, "InvalidAccessKeyId")
	case time.Now().Add(i.Clock).Sub(at).Abs() > skew:
		return Refuse(http.StatusForbidden, "RequestTimeTooSkewed")
	}
	r.Header.Del("Authorization")
	signed := r.Clone(r.Context())
	signed.URL.Scheme, signed.URL.Host = "http", r.Host
	err = v4.NewSigner().SignHTTP(r.Context(), aws.Credentials{AccessKeyID: i.AccessKey, SecretAccessKey: i.SecretKey}, signed,
		r.Header.Get("X-Amz-Content-Sha256"), "s3", i.Region, time.Now(), func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	if err != nil {
		return Reply(http.StatusInternalServerError)
	}
	r.Header = signed.Header
	return Forward
}

// date puts the clock's time into an answer.
func (i Identity) date(h http.Header) {
	if i.Clock != 0 {
		h.Set("Date", time.Now().Add(i.Clock).UTC().Format(http.TimeFormat))
	}
}
