package s3_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/internal/store/s3"
	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
)

// TestClassOnTheWire sees the class of each kind of object.
func TestClassOnTheWire(t *testing.T) {
	c := serverWithObject(t, []byte("old"))
	c.Classes = s3.Classes{Audio: "STANDARD_IA"}
	classes := map[string]string{}
	s, _ := through(t, c, func(_ int64, w http.ResponseWriter, r *http.Request, pass http.HandlerFunc) {
		if r.Method == http.MethodPut {
			classes[strings.TrimPrefix(r.URL.Path, "/bucket/")] = r.Header.Get("X-Amz-Storage-Class")
		}
		pass(w, r)
	})
	large, small := make([]byte, 128<<10), make([]byte, 128<<10-1)
	for key, body := range map[string][]byte{"audio/large": large, "audio/small": small, "meta/large": large, "log/large": large} {
		if err := s.Put(t.Context(), key, body); err != nil {
			t.Fatal(err)
		}
	}
	for key, got := range classes {
		want := ""
		if key == "audio/large" {
			want = "STANDARD_IA"
		}
		if got != want {
			t.Errorf("%s has class %q, want %q", key, got, want)
		}
	}
	if len(classes) != 4 {
		t.Errorf("%d objects put", len(classes))
	}
}

// TestClasses tries classes on servers that have none but one, and on one that
// refuses those it does not know.
func TestClasses(t *testing.T) {
	try := func(t *testing.T, server *realserver.Server, class string) ([]string, error) {
		c := config(server)
		c.Classes.Audio = class
		s := open(t, c)
		if _, err := s.EnsureBucket(t.Context()); err != nil {
			t.Fatal(err)
		}
		ignored, err := s.TryClasses(t.Context())
		for info := range s.List(t.Context(), "", "") {
			t.Errorf("%s was left behind", info.Key)
		}
		return ignored, err
	}
	versity := realserver.StartVersity(t)
	if ignored, err := try(t, versity, "STANDARD_IA"); err != nil || len(ignored) != 1 {
		t.Errorf("VersityGW: %v, %v, want the class ignored", ignored, err)
	}
	if ignored, err := try(t, versity, "STANDARD"); err != nil || len(ignored) != 0 {
		t.Errorf("VersityGW: %v, %v", ignored, err)
	}
	if !realserver.WithMinIO() {
		return
	}
	minio := realserver.StartMinIO(t)
	if ignored, err := try(t, minio, "REDUCED_REDUNDANCY"); err != nil || len(ignored) != 0 {
		t.Errorf("MinIO: %v, %v", ignored, err)
	}
	_, err := try(t, minio, "STANDARD_IA")
	expectOnly(t, err, store.ErrClass)
}
