package web

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tunesafe/tunesafe/internal/recoverykit"
)

type testKit struct{ saved int }

const testKey = "AGE-SECRET-KEY-1TEST"

func (*testKit) Sheet(context.Context) (recoverykit.Sheet, error) {
	return recoverykit.Sheet{Key: testKey, Store: hostile, Heads: []string{hostile}}, nil
}

func (k *testKit) Saved(context.Context) error { k.saved++; return nil }

// TestKit: the key is shown to who asks for it by the form of the page, kept by no
// browser, and never on a page for looking only.
func TestKit(t *testing.T) {
	kit := &testKit{}
	s, _ := serve(t, Options{Drawer: kit})
	b := enter(t, s)
	token := b.csrfOf("/kit")
	for what, got := range map[string]answer{
		"by GET": b.get("/kit"), "by GET with a token": b.get("/kit?csrf=" + token), "without a token": b.press("/kit", ""),
		"from elsewhere": b.do(http.MethodPost, "/kit", url.Values{"csrf": {token}}, "Sec-Fetch-Site", "cross-site"), "a stranger": open(t, s).press("/kit", token),
	} {
		if strings.Contains(got.text, testKey) {
			t.Errorf("%s: the key is shown", what)
		}
	}
	got := b.press("/kit", token)
	b.want(got, http.StatusOK, "the kit")
	if !strings.Contains(got.text, testKey) || !strings.Contains(got.text, `aria-label="QR code of the key"`) || strings.Contains(got.text, "<script>alert") {
		t.Error("the kit lacks the key or its picture, or shows HTML of a name as such")
	}
	if at := got.Header.Get("Cache-Control"); at != "no-store" {
		t.Errorf("it may be kept: %q", at)
	}
	b.want(b.press("/kit/kept", token), http.StatusSeeOther, "noting that it is kept")
	if kit.saved != 1 {
		t.Error("that it is kept was not noted")
	}

	s, _ = serve(t, Options{Drawer: kit, ReadOnly: true})
	b = enter(t, s)
	b.want(b.get("/kit"), http.StatusForbidden, "the way to it, for looking")
	b.want(b.press("/kit", "any"), http.StatusForbidden, "the kit, for looking")
	if strings.Contains(b.get("/").text, `href="/kit"`) {
		t.Error("the navigation leads to it")
	}
}
