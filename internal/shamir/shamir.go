// Package shamir splits a secret into shares of which any so many give it back,
// and fewer tell nothing but its length: Adi Shamir, "How to Share a Secret"
// (Communications of the ACM 22, 1979).
//
// Each byte of the secret is the value at 0 of a random polynomial over
// GF(2^8), the field of AES (FIPS 197, §4), whose degree is one less than the
// threshold; share x has its values at x, from 1. This is the scheme of
// draft-mcgrew-tss-03, of which the tests have the vectors.
//
// There is no table to look up by secret bytes: a product takes the same steps
// whatever its factors are.
package shamir

import (
	"crypto/rand"
	"errors"
)

// Share is the values of the polynomials at X, which is never 0.
type Share struct {
	X byte
	Y []byte
}

// ErrShares: the shares given are not of one split, or one is given twice.
var ErrShares = errors.New("the shares do not belong together")

// MaxShares is how many there can be of one secret.
const MaxShares = 255

// Split makes n shares, of which any threshold give the secret back. threshold
// is at least 2, and at most n.
func Split(secret []byte, n, threshold int) ([]Share, error) {
	if threshold < 2 || n < threshold || n > MaxShares || len(secret) == 0 {
		return nil, errors.New("shares: 2 to 255, of which 2 or more are needed")
	}
	random := make([]byte, (threshold-1)*len(secret))
	rand.Read(random)
	return split(secret, n, threshold, random), nil
}

// split takes the coefficients of the polynomials behind the first from random,
// those of one degree for all bytes after another.
func split(secret []byte, n, threshold int, random []byte) []Share {
	shares := make([]Share, n)
	for i := range shares {
		x := byte(i + 1)
		y := make([]byte, len(secret))
		for j, s := range secret {
			for degree := threshold - 1; degree > 0; degree-- { // Horner's rule
				y[j] = mul(y[j]^random[(degree-1)*len(secret)+j], x)
			}
			y[j] ^= s
		}
		shares[i] = Share{x, y}
	}
	return shares
}

// Combine gives the secret of as many shares as are needed, or more. Too few,
// or altered ones, give other bytes and no error: what they are shares of must
// tell.
func Combine(shares []Share) ([]byte, error) {
	if len(shares) < 2 {
		return nil, ErrShares
	}
	seen := map[byte]bool{0: true}
	for _, s := range shares {
		if seen[s.X] || len(s.Y) != len(shares[0].Y) {
			return nil, ErrShares
		}
		seen[s.X] = true
	}
	secret := make([]byte, len(shares[0].Y))
	for i, s := range shares {
		weight := byte(1) // Lagrange's, at 0: the product of x/(x-s.X)
		for j, other := range shares {
			if j != i {
				weight = mul(weight, mul(other.X, inverse(other.X^s.X)))
			}
		}
		for k, y := range s.Y {
			secret[k] ^= mul(y, weight)
		}
	}
	return secret, nil
}

// mul is the product in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1.
func mul(a, b byte) (product byte) {
	for range 8 {
		product ^= a & -(b & 1)
		a = a<<1 ^ 0x1b&-(a>>7)
		b >>= 1
	}
	return product
}

// inverse is a to the power of 254: that of 0, which has none, is 0.
func inverse(a byte) byte {
	result := byte(1)
	for range 7 { // 254 is 2 + 4 + … + 128
		a = mul(a, a)
		result = mul(result, a)
	}
	return result
}
