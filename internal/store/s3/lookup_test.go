package s3_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/tunesafe/tunesafe/internal/store"
)

// redirect sends the client to a page for people.
func redirect(code int) fault {
	return func(_ int64, w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
		w.Header().Set("Location", "http://"+r.Host+"/login")
		w.WriteHeader(code)
		io.WriteString(w, "<html><a href=/login>moved</a></html>")
	}
}

// half passes half of the real answer's body, as long as it says.
func half(_ int64, w http.ResponseWriter, r *http.Request, pass http.HandlerFunc) {
	rec := httptest.NewRecorder()
	pass(rec, r)
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	n := rec.Body.Len() / 2
	w.Header().Set("Content-Length", strconv.Itoa(n))
	w.WriteHeader(rec.Code)
	w.Write(rec.Body.Bytes()[:n])
}

// TestFailedLookUpIsNoAbsence: whatever answers in the store's place, nothing is
// believed to be absent, nothing to be done, and what was there stays. Faults that
// may pass are TestUnavailable's.
func TestFailedLookUpIsNoAbsence(t *testing.T) {
	body := []byte("what was there")
	c := serverWithObject(t, body)
	for _, test := range []struct {
		name  string
		fault fault
		want  error // nil: any but absence
	}{
		{"403", answer(403, "AccessDenied"), store.ErrDenied},
		{"404 of a bucket", answer(404, "NoSuchBucket"), store.ErrNoBucket},
		{"404 of a page", page(404), store.ErrUnavailable},
		{"404 of nothing", status(404), store.ErrUnavailable},
		{"301 of S3", answer(301, "PermanentRedirect"), nil},
		{"301", redirect(301), nil},
		{"302", redirect(302), nil},
		{"307", redirect(307), nil},
		{"400", answer(400, "InvalidRequest"), nil},
		{"login page", page(200), store.ErrUnavailable},
		{"200 of nothing", status(200), store.ErrUnavailable},
		{"204", status(204), nil},
		{"cut listing", half, nil},
	} {
		for _, call := range calls {
			if test.name == "cut listing" && call.name != "list" {
				continue
			}
			if call.name == "delete" && (test.name == "200 of nothing" || test.name == "204") {
				continue // as the store itself may answer it; at worst an object is left
			}
			t.Run(test.name+"/"+call.name, func(t *testing.T) {
				t.Parallel()
				s, _ := through(t, c, test.fault)
				err := call.do(t.Context(), s)
				switch {
				case err == nil:
					t.Error("no error")
				case errors.Is(err, store.ErrNotExist):
					t.Errorf("taken for absence: %v", err)
				case test.want != nil && !errors.Is(err, test.want):
					t.Errorf("got %v, want %v", err, test.want)
				}
			})
		}
	}
	t.Cleanup(func() { // after the parallel ones
		s := open(t, c)
		r, err := s.Get(context.Background(), "object", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if got, err := io.ReadAll(r); err != nil || string(got) != string(body) {
			t.Errorf("the object is %q now (%v)", got, err)
		}
	})
}

// TestAbsence: only NoSuchKey is.
func TestAbsence(t *testing.T) {
	c := serverWithObject(t, []byte("x"))
	s := open(t, c)
	if err := s.Delete(t.Context(), "object"); err != nil {
		t.Fatal(err)
	}
	for _, call := range calls {
		if call.name == "get" || call.name == "range" || call.name == "stat" {
			expectOnly(t, call.do(t.Context(), s), store.ErrNotExist)
		}
	}
}
