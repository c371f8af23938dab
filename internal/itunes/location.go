package itunes

import (
	"net/url"
	"path"
	"strings"
)

// Path returns the path in a track's location, slash-separated: of
// file://localhost/Users/x/a%20b.mp3 it is /Users/x/a b.mp3, and of
// file://localhost/C:/Music/a.mp3 it is C:/Music/a.mp3. It is empty for what is no
// file: streams.
func Path(location string) string {
	rest, ok := strings.CutPrefix(location, "file://")
	if !ok {
		return ""
	}
	i := strings.IndexByte(rest, '/')
	if i < 0 {
		return ""
	}
	host, p := rest[:i], unescape(rest[i:])
	if len(p) > 2 && p[2] == ':' { // /C:/
		p = p[1:]
	}
	if host != "" && !strings.EqualFold(host, "localhost") { // a share
		p = "//" + host + p
	}
	if strings.IndexByte(p, 0) >= 0 {
		return ""
	}
	clean := path.Clean(p)
	if strings.HasPrefix(p, "//") {
		clean = "/" + clean
	}
	return clean
}

// unescape decodes percent signs; one that begins no number stands for itself.
func unescape(s string) string {
	if p, err := url.PathUnescape(s); err == nil {
		return p
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := url.PathUnescape(s[i : i+3]); err == nil {
				b.WriteString(c)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
