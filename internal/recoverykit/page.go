package recoverykit

import (
	"errors"
	"regexp"
	"strings"
)

// Page is what a page tells that is no secret, to hold a bucket to it.
type Page struct {
	Repository string
	Root       string // empty on pages that were printed before it was on them
	Heads      []string
}

// ErrPage: a file is no page of a recovery kit.
var ErrPage = errors.New("not a page of a recovery kit")

var (
	tag        = regexp.MustCompile(`<[^>]*>`)
	repository = regexp.MustCompile(`(?i)\bRepository\s+([0-9a-f]{32})\b`)
	root       = regexp.MustCompile(`(?i)\bPublic root\s+([A-Za-z0-9_-]{43})(?:[^A-Za-z0-9_-]|$)`)
	head       = regexp.MustCompile(`\b[0-9a-f]{16}:[0-9]+:[0-9a-f]{32,64}\b`)
)

// ReadPage reads a page, as HTML or as text.
func ReadPage(text []byte) (p Page, err error) {
	plain := tag.ReplaceAllString(string(text), " ")
	found := repository.FindStringSubmatch(plain)
	if found == nil {
		return p, ErrPage
	}
	p.Repository = strings.ToLower(found[1])
	if r := root.FindStringSubmatch(plain); r != nil {
		p.Root = r[1]
	}
	p.Heads = head.FindAllString(strings.ToLower(plain), -1)
	return p, nil
}
