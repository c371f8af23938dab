package recoverykit

import (
	"bytes"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"filippo.io/age"

	"github.com/tunesafe/tunesafe/tests/tools"
)

func sheet() Sheet {
	return Sheet{
		Repository: strings.Repeat("0f", 16), Root: "q063lvrurLoQ7belyuNTHWG7Nm9_khBI3wEXFK0qHr-", Store: "s3://a-bucket-with-quite-a-long-name/music/of/mine at https://s3.eu-central-1.supplier.example.com",
		Bucket: "a-bucket-with-quite-a-long-name", Prefix: "music/of/mine", Endpoint: "https://s3.eu-central-1.supplier.example.com", Region: "eu-central-1",
		InitFlags: "--store s3://b/music --endpoint https://s3.example.com", Tracks: 23400, Files: 25000, Date: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC),
		Heads: []string{"8f3a09bc12de4567:1042:9c1f2ab39c1f2ab39c1f2ab39c1f2ab3", "1f3a09bc12de4567:12:9c1f2ab39c1f2ab39c1f2ab39c1f2ab3"},
	}
}

// TestOnePage: the page refers to nothing outside, and its text fits one of A4.
func TestOnePage(t *testing.T) {
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	share, err := SplitKey(key.String(), 3, 2)
	if err != nil {
		t.Fatal(err)
	}
	whole, part := sheet(), sheet()
	whole.Key = key.String()
	part.Key, part.Number, part.Shares, part.Needed = share[0], 1, 3, 2
	for _, s := range []Sheet{whole, part} {
		text, err := s.Text()
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(text, []byte("\n")); n > 66 {
			t.Errorf("%d lines are more than a page", n)
		}
		for line := range strings.Lines(string(text)) {
			if n := utf8.RuneCountInString(line); n > 90 {
				t.Errorf("a line of %d: %s", n, line)
			}
		}
		html, err := s.HTML()
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range []string{"<script", "<link", "url(", `src="http`, "href", "ZgotmplZ", "<no value>"} {
			if bytes.Contains(html, []byte(bad)) {
				t.Errorf("the page has %s", bad)
			}
		}
		for _, want := range []string{s.Repository, s.Root, s.Bucket, s.Endpoint, s.Region, s.Heads[0], s.Heads[1], "23400 tracks", "22 November 2026"} {
			if !bytes.Contains(html, []byte(want)) || !bytes.Contains(text, []byte(want)) {
				t.Errorf("%s is not on the page", want)
			}
		}
		for kind, page := range map[string][]byte{"HTML": html, "text": text} {
			got, err := ReadPage(page)
			if err != nil || got.Repository != s.Repository || got.Root != s.Root || !slices.Equal(got.Heads, s.Heads) {
				t.Errorf("the page as %s is read as %+v, %v", kind, got, err)
			}
			old, err := ReadPage(bytes.ReplaceAll(page, []byte(s.Root), nil))
			if err != nil || old.Root != "" || len(old.Heads) != 2 {
				t.Errorf("a page of before as %s is read as %+v, %v", kind, old, err)
			}
		}
		if s.Number > 0 && (bytes.Contains(html, []byte(key.String())) || bytes.Contains(text, []byte(key.String()))) {
			t.Error("the key is on the page of a share")
		}
		if s.Number > 0 && FindShares(string(text))[0] != s.Key {
			t.Error("the share is not found on its page")
		}
	}
}

func TestShares(t *testing.T) {
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	texts, err := SplitKey(key.String(), 3, 2)
	if err != nil || len(texts) != 3 {
		t.Fatal(texts, err)
	}
	for i := range texts {
		for j := range texts {
			got, err := CombineKey([]string{texts[i], texts[j]})
			if i != j && (err != nil || got != key.String()) || i == j && !errors.Is(err, ErrTooFewShares) {
				t.Errorf("%d and %d: %v", i, j, err)
			}
		}
	}
	typed := strings.ToLower(texts[0][:40]) + "\n " + texts[0][40:70] + "   " + texts[0][70:] + "\n\nKeep it.\n"
	if got := FindShares(typed); len(got) != 1 || got[0] != texts[0] {
		t.Errorf("%q is read as %q", typed, got)
	}
	for at := len(sharePrefix); at < len(texts[0]); at++ { // one character mistyped
		wrong := []byte(texts[0])
		if wrong[at]++; texts[0][at] == 'Z' {
			wrong[at] = 'A'
		}
		if _, err := CombineKey([]string{string(wrong), texts[1]}); err == nil {
			t.Errorf("character %d may be anything", at)
		}
	}
	other, err := SplitKey(key.String(), 3, 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := CombineKey([]string{texts[0], other[1]}); !errors.Is(err, ErrMixedShares) {
		t.Error(err)
	}
}

// TestCombineWithout joins shares by what FORMAT.md says, in another language.
func TestCombineWithout(t *testing.T) {
	python := tools.Need(t, "python3")[0]
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	texts, err := SplitKey(key.String(), 5, 3)
	if err != nil {
		t.Fatal(err)
	}
	const program = `
import base64, hashlib, sys
power, log, x = [], {}, 1
for i in range(255):
    power.append(x); log[x] = i
    x ^= (x << 1) ^ (0x11b if x & 128 else 0)  # times 3
def mul(a, b): return power[(log[a] + log[b]) % 255] if a and b else 0
def div(a, b): return power[(log[a] - log[b]) % 255] if a else 0
shares = {}
for text in sys.argv[1:]:
    text = text.removeprefix("TUNESAFE-SHARE-")
    share = base64.b32decode(text + "=" * (-len(text) % 8))
    assert share[0] == 1 and hashlib.sha256(share[:-4]).digest()[:4] == share[-4:]
    shares[share[2]] = share[7:-4]
key = bytearray(len(next(iter(shares.values()))))
for x, values in shares.items():
    weight = 1
    for other in shares:
        if other != x: weight = mul(weight, div(other, other ^ x))
    for i, y in enumerate(values): key[i] ^= mul(y, weight)
print("AGE-SECRET-KEY-1" + key.decode())`
	out, err := exec.CommandContext(t.Context(), python, "-c", program, texts[4], texts[0], texts[2]).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != key.String() {
		t.Errorf("Python joins %s: %v", out, err)
	}
}
