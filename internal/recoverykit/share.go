package recoverykit

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"

	"github.com/tunesafe/tunesafe/internal/shamir"
)

// A share, as text, is the word TUNESAFE-SHARE- and base32 (RFC 4648 §6,
// without padding) of
//
//	1 byte    1, the version
//	1 byte    how many are needed
//	1 byte    x, its number, from 1
//	4 bytes   random, the same in all shares of one split
//	n bytes   the values of the polynomials at x: see package shamir
//	4 bytes   the first of the SHA-256 of all bytes before
//
// What is split is the recovery key without AGE-SECRET-KEY-1, which is the same
// in all. Its own checksum (Bech32, BIP 173) tells whether shares that belong
// together gave the right one.

const (
	sharePrefix  = "TUNESAFE-SHARE-"
	keyPrefix    = "AGE-SECRET-KEY-1"
	shareVersion = 1
	shareHead    = 7
	shareSum     = 4
)

var (
	// ErrShare: the text is no share, or was mistyped.
	ErrShare = errors.New("not a share of a recovery key, or mistyped")
	// ErrTooFewShares: more shares are needed.
	ErrTooFewShares = errors.New("too few shares")
	// ErrMixedShares: the shares are of several keys, or of several splits.
	ErrMixedShares = errors.New("the shares do not belong together")
)

var base32Text = base32.StdEncoding.WithPadding(base32.NoPadding)

// SplitKey makes the texts of n shares of a recovery key.
func SplitKey(key string, n, needed int) ([]string, error) {
	rest, ok := strings.CutPrefix(key, keyPrefix)
	if !ok {
		return nil, fmt.Errorf("a recovery key begins with %s", keyPrefix)
	}
	shares, err := shamir.Split([]byte(rest), n, needed)
	if err != nil {
		return nil, err
	}
	var set [4]byte
	rand.Read(set[:])
	var texts []string
	for _, s := range shares {
		p := append([]byte{shareVersion, byte(needed), s.X}, set[:]...)
		p = append(p, s.Y...)
		sum := sha256.Sum256(p)
		texts = append(texts, sharePrefix+base32Text.EncodeToString(append(p, sum[:shareSum]...)))
	}
	return texts, nil
}

// FindShares gives the shares in a text that may be a whole page of a kit as
// text, or what was typed from it; a share ends with an empty line.
func FindShares(text string) (shares []string) {
	text = strings.ToUpper(text)
	for {
		_, after, ok := strings.Cut(text, sharePrefix)
		if !ok {
			return shares
		}
		body := strings.Builder{}
		for line := range strings.Lines(after) {
			line = strings.Join(strings.Fields(line), "")
			if strings.Trim(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" || line == "" {
				break
			}
			body.WriteString(line)
		}
		shares, text = append(shares, sharePrefix+body.String()), after
	}
}

// CombineKey gives the recovery key of shares. A share given twice counts once.
func CombineKey(texts []string) (string, error) {
	var shares []shamir.Share
	var set []byte
	seen := map[byte]bool{}
	for i, text := range texts {
		p, err := parseShare(text)
		if err != nil {
			return "", fmt.Errorf("share %d: %w", i+1, err)
		}
		if set == nil {
			set = append([]byte{p[1]}, p[3:shareHead]...)
		}
		if !bytes.Equal(set, append([]byte{p[1]}, p[3:shareHead]...)) {
			return "", ErrMixedShares
		}
		if x := p[2]; !seen[x] {
			seen[x] = true
			shares = append(shares, shamir.Share{X: x, Y: p[shareHead : len(p)-shareSum]})
		}
	}
	if len(shares) == 0 || len(shares) < int(set[0]) {
		return "", fmt.Errorf("%w: there are %d", ErrTooFewShares, len(shares))
	}
	rest, err := shamir.Combine(shares)
	if err != nil {
		return "", ErrMixedShares
	}
	return keyPrefix + string(rest), nil
}

func parseShare(text string) ([]byte, error) {
	body, ok := strings.CutPrefix(text, sharePrefix)
	p, err := base32Text.DecodeString(body)
	if !ok || err != nil || base32Text.EncodeToString(p) != body || len(p) <= shareHead+shareSum || p[0] != shareVersion {
		return nil, ErrShare
	}
	sum := sha256.Sum256(p[:len(p)-shareSum])
	if !bytes.Equal(sum[:shareSum], p[len(p)-shareSum:]) {
		return nil, ErrShare
	}
	return p, nil
}
