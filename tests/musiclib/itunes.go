package musiclib

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"net/url"
	"strings"
)

// libraryXML is the property list that iTunes keeps beside the music: every
// track, and a playlist of every seventh.
func libraryXML(tracks []Track) []byte {
	var b bytes.Buffer
	b.WriteString(xml.Header + `<!DOCTYPE plist PUBLIC "-//Apple Computer//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>Major Version</key><integer>1</integer>
	<key>Minor Version</key><integer>1</integer>
	<key>Application Version</key><string>12.9.5.5</string>
	<key>Music Folder</key><string>file://localhost/Music/</string>
	<key>Tracks</key>
	<dict>
`)
	for i, t := range tracks {
		id := 1000 + 2*i
		fmt.Fprintf(&b, "\t\t<key>%d</key>\n\t\t<dict>\n", id)
		number := func(key string, v int64) {
			fmt.Fprintf(&b, "\t\t\t<key>%s</key><integer>%d</integer>\n", key, v)
		}
		text := func(key, v string) {
			fmt.Fprintf(&b, "\t\t\t<key>%s</key><string>", key)
			xml.EscapeText(&b, []byte(v)) // a bytes.Buffer takes everything
			b.WriteString("</string>\n")
		}
		number("Track ID", int64(id))
		text("Name", t.Title)
		text("Artist", t.Artist)
		text("Album", t.Album)
		number("Size", t.Size)
		number("Play Count", int64(i*i%23))
		number("Rating", int64(i%6*20))
		text("Track Type", "File")
		text("Location", "file://localhost/Music/"+escapePath(t.Path))
		b.WriteString("\t\t</dict>\n")
	}
	b.WriteString("\t</dict>\n\t<key>Playlists</key>\n\t<array>\n\t\t<dict>\n" +
		"\t\t\t<key>Name</key><string>Sunday</string>\n\t\t\t<key>Playlist ID</key><integer>1</integer>\n" +
		"\t\t\t<key>Playlist Items</key>\n\t\t\t<array>\n")
	for i := 0; i < len(tracks); i += 7 {
		fmt.Fprintf(&b, "\t\t\t\t<dict><key>Track ID</key><integer>%d</integer></dict>\n", 1000+2*i)
	}
	b.WriteString("\t\t\t</array>\n\t\t</dict>\n\t</array>\n</dict>\n</plist>\n")
	return b.Bytes()
}

// escapePath escapes each element of a slash-separated path for a URL.
func escapePath(p string) string {
	parts := strings.Split(p, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}
