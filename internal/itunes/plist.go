package itunes

import (
	"bufio"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/runes"
	"golang.org/x/text/transform"
)

// What is wrong with a library. The errors tell the line.
var (
	ErrMalformed  = errors.New("malformed library")               // and what could be read was
	ErrTruncated  = errors.New("the library ends in the middle")  // as one that is being written does
	ErrNotLibrary = errors.New("not a library in the XML format") // whatever its name
)

const (
	// maxRestarts bounds how often reading goes on behind what is no XML.
	maxRestarts = 1000
	// maxDepth bounds how deep values that nobody asked for may nest.
	maxDepth = 64
	// maxText is the longest text that is kept, in bytes; a longer one is cut.
	maxText = 64 << 10
)

// lines counts lines. As it reads bytes, a decoder takes no more from it than it
// needs, and another may go on where one gave up.
type lines struct {
	*bufio.Reader
	n    int
	last byte
}

func (l *lines) ReadByte() (byte, error) {
	b, err := l.Reader.ReadByte()
	if b == '\n' {
		l.n++
	}
	l.last = b
	return b, err
}

// parser reads a property list as a stream. It keeps the first thing that was
// wrong and goes on as long as there is input.
type parser struct {
	in       *lines
	d        *xml.Decoder
	back     xml.Token // to be returned by token once more
	restarts int
	bad      error  // the first thing that was malformed
	err      error  // of the reader, io.EOF at the end
	root     string // the first element
	whole    bool   // the end tag of plist was seen
}

func newParser(r io.Reader) *parser {
	// No XML may hold control characters or broken UTF-8, but libraries do.
	clean := transform.NewReader(r, runes.Map(func(c rune) rune {
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0xFFFE || c == 0xFFFF {
			return utf8.RuneError
		}
		return c
	}))
	p := &parser{in: &lines{Reader: bufio.NewReaderSize(clean, 64<<10), n: 1}}
	p.start()
	return p
}

func (p *parser) start() {
	p.d = xml.NewDecoder(p.in)
	p.d.Strict = false
	p.d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil } // it is UTF-8 whatever it says
}

// complain keeps the first thing that is wrong.
func (p *parser) complain(what string) {
	if p.bad == nil {
		p.bad = fmt.Errorf("%w: line %d: %s", ErrMalformed, p.in.n, what)
	}
}

// token returns the next start tag, end tag or text; nil at the end. Behind what
// is no XML it goes on at the next tag.
func (p *parser) token() xml.Token {
	if t := p.back; t != nil {
		p.back = nil
		return t
	}
	for p.err == nil {
		t, err := p.d.RawToken()
		var syntax *xml.SyntaxError
		switch {
		case err == nil:
			p.note(t)
			return t
		case errors.As(err, &syntax) && p.restarts < maxRestarts && !strings.Contains(syntax.Msg, "unexpected EOF"):
			p.complain(syntax.Msg)
			p.restarts++
			p.resume()
		case errors.As(err, &syntax):
			p.complain(syntax.Msg)
			p.err = io.EOF
		default:
			p.err = err
		}
	}
	return nil
}

// note sees whether this is a property list, and its end.
func (p *parser) note(t xml.Token) {
	switch t := t.(type) {
	case xml.StartElement:
		if p.root == "" {
			p.root = t.Name.Local
		}
	case xml.EndElement:
		p.whole = p.whole || t.Name.Local == "plist"
	}
}

// resume starts again at the next tag. The decoder may have seen its beginning.
func (p *parser) resume() {
	if p.in.last == '<' {
		p.in.UnreadByte()
	}
	for {
		b, err := p.in.Peek(1)
		if err != nil || b[0] == '<' {
			break // the next token tells of the error
		}
		p.in.ReadByte()
	}
	p.start()
}

// element returns the name of the next start tag; false at the end of the element
// called in, which is then behind.
func (p *parser) element(in string) (string, bool) {
	for {
		switch t := p.token().(type) {
		case nil:
			return "", false
		case xml.StartElement:
			return t.Name.Local, true
		case xml.EndElement:
			if t.Name.Local == in || t.Name.Local == "plist" {
				return "", false
			}
		}
	}
}

// text returns the text of the element called name, whose start tag is behind. A
// text ends with whatever tag comes: one that is not its own is read again.
func (p *parser) text(name string) string {
	var b strings.Builder
	for {
		switch t := p.token().(type) {
		case nil:
			return b.String()
		case xml.CharData:
			b.Write(t[:min(len(t), maxText-b.Len())])
		case xml.StartElement:
			p.complain("<" + t.Name.Local + "> in <" + name + ">")
			p.back = t
			return b.String()
		case xml.EndElement:
			if t.Name.Local != name {
				p.complain("</" + t.Name.Local + "> ends <" + name + ">")
				p.back = t
			}
			return b.String()
		}
	}
}

// skip skips the element called name.
func (p *parser) skip(name string, depth int) {
	if depth > maxDepth {
		p.complain("nested too deep")
		p.err = io.EOF
		return
	}
	for {
		inner, ok := p.element(name)
		if !ok {
			return
		}
		p.skip(inner, depth+1)
	}
}

// dict calls visit for each key of a dictionary whose start tag is behind, with
// the name of the element that is its value. visit takes the value.
func (p *parser) dict(visit func(key, element string)) {
	key, have := "", false
	for {
		name, ok := p.element("dict")
		switch {
		case !ok:
			return
		case name == "key":
			if have {
				p.complain("key " + strconv.Quote(key) + " has no value")
			}
			key, have = p.text(name), true
		case !have:
			p.complain("a value without a key")
			p.skip(name, 0)
		default:
			visit(key, name)
			have = false
		}
	}
}

// value is a value that is no dictionary or array.
type value struct{ kind, text string }

// scalar takes a value; of a dictionary or an array nothing.
func (p *parser) scalar(element string) value {
	switch element {
	case "dict", "array", "data":
		p.skip(element, 0)
		return value{kind: element}
	}
	return value{element, p.text(element)}
}

// number is lenient: a number in a string is one.
func (v value) number() int {
	n, err := strconv.ParseInt(strings.TrimSpace(v.text), 10, 64)
	if err != nil || n < -1<<53 || n > 1<<53 {
		return 0
	}
	return int(n)
}

func (v value) truth() bool { return v.kind == "true" }

func (v value) date() time.Time {
	t, err := time.Parse(time.RFC3339, strings.TrimSpace(v.text))
	if err != nil {
		return time.Time{}
	}
	return t
}

func (v value) string() string { return strings.TrimSpace(v.text) }

// end returns what was wrong.
func (p *parser) end() error {
	switch {
	case p.err != nil && !errors.Is(p.err, io.EOF) && !errors.Is(p.err, io.ErrUnexpectedEOF):
		return p.err
	case p.root != "" && p.root != "plist":
		return ErrNotLibrary
	case !p.whole:
		return fmt.Errorf("%w: line %d", ErrTruncated, p.in.n)
	}
	return p.bad
}
