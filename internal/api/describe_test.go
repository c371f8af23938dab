package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// described is the description as a program gets it.
func described(t *testing.T) []byte {
	t.Helper()
	w := httptest.NewRecorder()
	New(Options{Contents: nothing{}}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/openapi.json", nil))
	if w.Code != http.StatusOK || !json.Valid(w.Body.Bytes()) {
		t.Fatalf("%d: %.300s", w.Code, w.Body)
	}
	return w.Body.Bytes()
}

// nothing has no contents: only what describes them is asked for.
type nothing struct{ Contents }

func (nothing) ExportLog(http.ResponseWriter, *http.Request) error { return nil }

// TestProblemsAreDescribed: each type of problem leads to a heading of docs/API.md.
func TestProblemsAreDescribed(t *testing.T) {
	text, err := os.ReadFile("../../docs/API.md")
	if err != nil {
		t.Fatal(err)
	}
	for kind, title := range titles {
		if !strings.Contains(string(text), "\n#### "+kind+"\n") {
			t.Errorf("docs/API.md does not describe %s: %s", kind, title)
		}
	}
	for status := 400; status < 600; status++ {
		if titles[kindOf(status)] == "" {
			t.Errorf("%d has no type", status)
		}
	}
}

func TestCondition(t *testing.T) {
	for _, c := range []struct {
		c    Condition
		tag  string
		want bool
	}{
		{Condition{}, "", true}, {Condition{}, "a", true},
		{Condition{Absent: true}, "", true}, {Condition{Absent: true}, "a", false},
		{Condition{Match: []string{"a", "b"}}, "b", true}, {Condition{Match: []string{"a"}}, "b", false},
		{Condition{Match: []string{"*"}}, "b", true}, {Condition{Match: []string{"*"}}, "", false},
		{Condition{Match: []string{"a"}, Absent: true}, "a", false},
	} {
		if c.c.Holds(c.tag) != c.want {
			t.Errorf("%+v with %q is %v", c.c, c.tag, !c.want)
		}
	}
}
