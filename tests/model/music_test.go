package model

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/tunesafe/tunesafe/tests/musiclib"
)

// makeTracks returns small files of real music, of every kind there is.
func makeTracks(t *testing.T) (tracks [][]byte) {
	t.Helper()
	lib := t.TempDir()
	sum, err := musiclib.Make(t.Context(), lib, musiclib.Options{
		Albums: 2, TracksPerAlbum: 12, TotalBytes: 4e6, ArtBytes: [2]int{3e3, 8e3}, Seed: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[musiclib.Kind]bool{}
	for _, track := range sum.Tracks {
		if seen[track.Kind] {
			continue
		}
		seen[track.Kind] = true
		data, err := os.ReadFile(filepath.Join(lib, track.Path))
		if err != nil {
			t.Fatal(err)
		}
		tracks = append(tracks, data)
	}
	return tracks
}

// pattern is n bytes of which none is zero, another for every salt.
func pattern(salt int, n int64) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(1 + (salt*37+i*7+i>>8*11)%255)
	}
	return p
}

// retagged makes the tags of a file larger, with n bytes of padding where its
// format has room for it: behind ID3v2's frames, as FLAC's second block, or as
// an atom that players pass over at the end. The result is valid if the file was.
func retagged(file []byte, n int) []byte {
	pad := bytes.Repeat([]byte{0}, n)
	switch {
	case len(file) > 10 && string(file[:3]) == "ID3":
		s := file[6:10]
		size := (int(s[0])<<21 | int(s[1])<<14 | int(s[2])<<7 | int(s[3])) + n
		if end := size - n + 10; end <= len(file) {
			head := append(bytes.Clone(file[:6]), byte(size>>21&0x7f), byte(size>>14&0x7f), byte(size>>7&0x7f), byte(size&0x7f))
			return bytes.Join([][]byte{head, file[10:end], pad, file[end:]}, nil)
		}
	case len(file) > 42 && string(file[:4]) == "fLaC":
		block := binary.BigEndian.AppendUint32(nil, 1<<24|uint32(n)) // type 1, PADDING
		return bytes.Join([][]byte{file[:42], block, pad, file[42:]}, nil)
	}
	atom := append(binary.BigEndian.AppendUint32(nil, uint32(n+8)), "free"...)
	return bytes.Join([][]byte{file, atom, pad}, nil)
}
