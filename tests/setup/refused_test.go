package setup

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/s3proxy"
)

// TestRefused has a server refuse what real ones do, each in its words: the page says
// what to mend, in which field, and keeps what was typed. Keys that may not remove are
// good for a backup, and the page says what that means.
func TestRefused(t *testing.T) {
	t.Parallel()
	s := realserver.StartEmbedded(t)
	proxy := s3proxy.Start(s.Endpoint)
	t.Cleanup(proxy.Close)
	p := begin(t)
	music := p.music("Music")
	p.visit("/setup")
	p.send("/setup", "path", music, "do", "next")
	p.send("/setup/place", "supplier", "own")
	try := func() {
		t.Helper()
		p.send("/setup/keys", "endpoint", proxy.URL, "bucket", "my-music", "region", "us-east-1", "access", s.AccessKey, "secret", s.SecretKey, "prefix", "library", "make", "1")
	}
	refuse := func(op string, a s3proxy.Action) {
		proxy.Before(func(r *http.Request) s3proxy.Action {
			if op == "" || s3proxy.Op(r) == op {
				return a
			}
			return s3proxy.Forward
		})
	}
	for _, x := range []struct {
		op, code string
		status   int
		field    string
		words    []string
	}{
		{"", "AuthorizationHeaderMalformed", http.StatusBadRequest, "region", []string{"in another region", "page of the bucket"}},
		{"", "RequestTimeTooSkewed", http.StatusForbidden, "", []string{"clock"}},
		{"", "AccountProblem", http.StatusForbidden, "access", []string{"cannot be used yet"}},
		{"", "ExpiredToken", http.StatusBadRequest, "access", []string{"for a short time, which is over"}},
		{"PutObject", "AccessDenied", http.StatusForbidden, "access", []string{"may not write", "give the keys the rights"}},
		{"GetObject", "AccessDenied", http.StatusForbidden, "access", []string{"may not read"}},
	} {
		refuse(x.op, s3proxy.Refuse(x.status, x.code))
		try()
		p.wrong(x.field, x.words...)
		for _, kept := range []string{proxy.URL, "my-music", "us-east-1"} {
			if !strings.Contains(p.page, `value="`+kept+`"`) {
				t.Errorf("%s: %s has to be typed again", x.code, kept)
			}
		}
	}
	refuse("DeleteObject", s3proxy.Refuse(http.StatusForbidden, "AccessDenied"))
	try()
	p.at("What it takes")
	p.kit()
	if !strings.Contains(p.page, "These keys may not remove anything") {
		t.Errorf("nothing is said of keys that may not remove: %s", p.page)
	}
	p.send("/setup/begin")
	p.begun()
	p.safe(3)
	if strings.Contains(p.all.String(), s.SecretKey) || strings.Contains(p.log(), s.SecretKey) {
		t.Error("the secret key is on a page, or in the log")
	}
}
