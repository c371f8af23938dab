// Package recoverykit makes the page that is kept in a drawer: all that is
// needed to get a backup back when every machine is gone, to be read by a
// person who knows nothing of it, and by a telephone.
//
// The page is one HTML file that refers to nothing outside itself, and the same
// as plain text. It is secret.
package recoverykit

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"strings"
	texttemplate "text/template"
	"time"

	"rsc.io/qr"
)

// Sheet is what a page says.
type Sheet struct {
	Repository string // its id; empty on a page that is printed before there is one
	Root       string // the public half of its root key, by which an exported log is verified
	Store      string // for people: a bucket's URL, or a folder
	Bucket     string // empty where the store is a folder of a machine
	Prefix     string
	Endpoint   string // empty is Amazon's
	Region     string
	InitFlags  string // of tunesafe init, that name the store
	Heads      []string
	Tracks     int64
	Files      int64
	Date       time.Time

	Key    string // the recovery key, or the text of a share
	Number int    // of the share, from 1; 0 is the key itself
	Shares int
	Needed int
}

// Day is the date as it is printed.
func (s Sheet) Day() string { return s.Date.Format("2 January 2006") }

// Lines is the key as it is printed, to be typed: spaces and ends of lines do
// not count.
func (s Sheet) Lines() []string {
	if s.Number == 0 {
		return []string{s.Key}
	}
	return splitEvery(s.Key, 44)
}

func splitEvery(text string, n int) (lines []string) {
	for len(text) > n {
		lines, text = append(lines, text[:n]), text[n:]
	}
	return append(lines, text)
}

// QR is a picture of the key as a data URI.
func (s Sheet) QR() (template.URL, error) {
	code, err := qr.Encode(s.Key, qr.M)
	if err != nil {
		return "", err
	}
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(code.PNG())), nil //nolint:gosec // made here
}

// Drawing is the same picture as the path of an SVG, each dark module a square of 1,
// and how many modules it is wide.
func (s Sheet) Drawing() (path string, width int, err error) {
	code, err := qr.Encode(s.Key, qr.M)
	if err != nil {
		return "", 0, err
	}
	var b strings.Builder
	for y := range code.Size {
		for x := range code.Size {
			if code.Black(x, y) {
				fmt.Fprintf(&b, "M%d %dh1v1h-1z", x, y)
			}
		}
	}
	return b.String(), code.Size, nil
}

//go:embed kit.html
var page string

//go:embed kit.txt
var text string

var (
	pageTemplate = template.Must(template.New("kit.html").Parse(page))
	textTemplate = texttemplate.Must(texttemplate.New("kit.txt").Parse(text))
)

// HTML gives the page.
func (s Sheet) HTML() ([]byte, error) {
	var b bytes.Buffer
	err := pageTemplate.Execute(&b, s)
	return b.Bytes(), err
}

// Text gives the page as text of at most 80 columns, but for names that are longer.
func (s Sheet) Text() ([]byte, error) {
	var b strings.Builder
	err := textTemplate.Execute(&b, s)
	return []byte(b.String()), err
}
