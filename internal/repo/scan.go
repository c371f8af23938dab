package repo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// scanner reads the JSON of one line. It takes the JSON that rows are made of:
// any strings, whole numbers, no deep nesting. The first fault sticks in err
// and makes every further call do nothing.
type scanner struct {
	p   []byte
	i   int
	err error
}

func (s *scanner) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf("JSON at byte %d: %w", s.i, fmt.Errorf(format, args...))
	}
}

// next gives the next byte that is no white space, without taking it; 0 at the
// end or after a fault.
func (s *scanner) next() byte {
	for s.err == nil && s.i < len(s.p) {
		switch c := s.p[s.i]; c {
		case ' ', '\t', '\r', '\n':
			s.i++
		default:
			return c
		}
	}
	return 0
}

// take takes the byte c if it comes next.
func (s *scanner) take(c byte) bool {
	if s.next() != c {
		return false
	}
	s.i++
	return true
}

func (s *scanner) expect(c byte) {
	if s.err == nil && !s.take(c) {
		s.fail("no %q", c)
	}
}

// object calls field for each field; it must take the value.
func (s *scanner) object(field func(name string)) {
	s.expect('{')
	for first := true; s.err == nil && !s.take('}'); first = false {
		if !first {
			s.expect(',')
		}
		name := s.str()
		s.expect(':')
		if s.err == nil {
			field(name)
		}
	}
}

// array calls element for each element; it must take it.
func (s *scanner) array(element func()) {
	s.expect('[')
	for first := true; s.err == nil && !s.take(']'); first = false {
		if !first {
			s.expect(',')
		}
		if s.err == nil {
			element()
		}
	}
}

// str takes a string.
func (s *scanner) str() string {
	raw := s.rawString()
	if s.err != nil {
		return ""
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		if !utf8.Valid(raw) {
			s.fail("string is not UTF-8")
		}
		return string(raw[1 : len(raw)-1])
	}
	var out string
	if err := json.Unmarshal(raw, &out); err != nil {
		s.fail("%w", err)
	}
	return out
}

// rawString takes a string with its quotes, escapes as they are.
func (s *scanner) rawString() []byte {
	s.expect('"')
	start := s.i - 1
	for s.err == nil {
		if s.i >= len(s.p) {
			s.fail("string without end")
			break
		}
		c := s.p[s.i]
		s.i++
		switch {
		case c == '"':
			return s.p[start:s.i]
		case c == '\\':
			s.i++
		case c < 0x20:
			s.fail("control character in a string")
		}
	}
	return nil
}

// number takes the bytes of a whole number.
func (s *scanner) number() string {
	s.next()
	start := s.i
	for s.i < len(s.p) && (s.p[s.i] == '-' || s.p[s.i] >= '0' && s.p[s.i] <= '9') {
		s.i++
	}
	return string(s.p[start:s.i])
}

func (s *scanner) int() int64 {
	if s.err != nil {
		return 0
	}
	n, err := strconv.ParseInt(s.number(), 10, 64)
	if err != nil {
		s.fail("%w", err)
	}
	return n
}

// length takes a number of bytes, at most limit.
func (s *scanner) length(limit int64) int64 {
	n := s.int()
	if n < 0 || n > limit {
		s.fail("length %d, the limit is %d", n, limit)
	}
	return n
}

func (s *scanner) uint32() uint32 {
	n := s.int()
	if n < 0 || n > 1<<32-1 {
		s.fail("%d is no 32-bit number", n)
	}
	return uint32(n)
}

// isTrue takes true, the only value its fields have.
func (s *scanner) isTrue() bool {
	s.next()
	if s.err == nil && bytes.HasPrefix(s.p[s.i:], []byte("true")) {
		s.i += 4
		return true
	}
	s.fail("not true")
	return false
}

// skip takes any value; fields that this format does not know are skipped.
func (s *scanner) skip() {
	if s.err != nil {
		return
	}
	d := json.NewDecoder(bytes.NewReader(s.p[s.i:]))
	var v json.RawMessage
	if err := d.Decode(&v); err != nil {
		s.fail("%w", err)
		return
	}
	s.i += int(d.InputOffset())
}

// end checks that nothing follows.
func (s *scanner) end() error {
	if s.next() != 0 || s.err == nil && s.i < len(s.p) {
		s.fail("more after the end")
	}
	return s.err
}

func (s *scanner) id() ID {
	text := s.str()
	if s.err != nil {
		return ID{}
	}
	id, err := ParseID(text)
	if err != nil {
		s.fail("%w", err)
	}
	return id
}

// inode takes an inode's number, which is never 0.
func (s *scanner) inode() uint64 {
	text := s.str()
	if s.err != nil {
		return 0
	}
	n, err := strconv.ParseUint(text, 16, 64)
	if err != nil || len(text) != 16 || n == 0 {
		s.fail("inode %.40q", text)
	}
	return n
}

func (s *scanner) bytes64(decode func(string) ([]byte, error)) []byte {
	text := s.str()
	if s.err != nil {
		return nil
	}
	p, err := decode(text)
	if err != nil {
		s.fail("%w", err)
	}
	return p
}

func (s *scanner) sha() [32]byte {
	p := s.bytes64(b64.DecodeString)
	if s.err == nil && len(p) != 32 {
		s.fail("hash of %d bytes", len(p))
	}
	if s.err != nil {
		return [32]byte{}
	}
	return [32]byte(p)
}
