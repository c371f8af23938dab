package shamir

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

func fromHex(t *testing.T, text string) []byte {
	t.Helper()
	p, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestVector is the test vector of draft-mcgrew-tss-03, §9: a secret of which two
// shares are needed.
func TestVector(t *testing.T) {
	secret := fromHex(t, "7465737400")
	shares := []Share{{1, fromHex(t, "b9fa07e185")}, {2, fromHex(t, "f5409b4511")}}
	got, err := Combine(shares)
	if err != nil || !bytes.Equal(got, secret) {
		t.Errorf("combined %x, want %x: %v", got, secret, err)
	}
	// The coefficients that those shares have: share 1 without the secret.
	random := make([]byte, len(secret))
	for i := range secret {
		random[i] = shares[0].Y[i] ^ secret[i]
	}
	for i, s := range split(secret, 2, 2, random) {
		if s.X != shares[i].X || !bytes.Equal(s.Y, shares[i].Y) {
			t.Errorf("share %d is %x, want %x", s.X, s.Y, shares[i].Y)
		}
	}
}

// TestField holds the field to FIPS 197, §4.2, and to its laws.
func TestField(t *testing.T) {
	if got := mul(0x57, 0x83); got != 0xc1 {
		t.Errorf("{57}•{83} = {%x}, want {c1}", got)
	}
	if got := mul(0x57, 0x13); got != 0xfe {
		t.Errorf("{57}•{13} = {%x}, want {fe}", got)
	}
	if got := inverse(0x53); got != 0xca {
		t.Errorf("{53}⁻¹ = {%x}, want {ca}", got)
	}
	for a := 1; a < 256; a++ {
		if mul(byte(a), inverse(byte(a))) != 1 {
			t.Errorf("{%x} times its inverse is not 1", a)
		}
	}
}

// TestShares: any of them, in any order, as many as are needed or more.
func TestShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.SliceOfN(rapid.Byte(), 1, 80).Draw(t, "secret")
		n := rapid.IntRange(2, 12).Draw(t, "n")
		threshold := rapid.IntRange(2, n).Draw(t, "threshold")
		shares, err := Split(secret, n, threshold)
		if err != nil || len(shares) != n {
			t.Fatal(err)
		}
		some := rapid.Permutation(shares).Draw(t, "order")[:rapid.IntRange(threshold, n).Draw(t, "used")]
		got, err := Combine(some)
		if err != nil || !bytes.Equal(got, secret) {
			t.Fatalf("combined %x, want %x: %v", got, secret, err)
		}
	})
}

// TestTooFew: one share less than needed is as likely with any other secret.
func TestTooFew(t *testing.T) {
	seen := map[byte]int{}
	for range 20000 {
		shares, err := Split([]byte{42}, 3, 3)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Combine(shares[:2])
		if err != nil {
			t.Fatal(err)
		}
		seen[got[0]]++
	}
	for v := range 256 {
		if n := seen[byte(v)]; n < 20 || n > 160 { // 78 are expected, and 9 is the deviation
			t.Errorf("%d comes %d times of 20,000: two of three shares tell something", v, n)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, bad := range [][]Share{nil, {{1, []byte{1}}}, {{1, []byte{1}}, {1, []byte{2}}}, {{0, []byte{1}}, {1, []byte{2}}}, {{1, []byte{1}}, {2, []byte{1, 2}}}} {
		if _, err := Combine(bad); !errors.Is(err, ErrShares) {
			t.Errorf("%v: %v", bad, err)
		}
	}
	for _, bad := range [][2]int{{1, 1}, {2, 1}, {2, 3}, {256, 2}} {
		if _, err := Split([]byte{1}, bad[0], bad[1]); err == nil {
			t.Errorf("%v is taken", bad)
		}
	}
}
