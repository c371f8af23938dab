package nightly

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// summed is the ending of files that tell by themselves whether they are whole.
// They change only by another file that takes their name.
const summed = ".sum"

// withSum is a content that begins with its own hash.
func withSum(body []byte) []byte {
	sum := sha256.Sum256(body)
	return append([]byte(hex.EncodeToString(sum[:])+"\n"), body...)
}

func isWhole(b []byte) bool {
	sum, body, ok := bytes.Cut(b, []byte("\n"))
	want := sha256.Sum256(body)
	return ok && string(sum) == hex.EncodeToString(want[:])
}

// watch reads such files on the drive, over and over, while they are fed. A read
// may fail, as when the program died; but whatever it gives must be whole.
func (n *night) watch() (stop func()) {
	quit, reads := make(chan struct{}), 0
	var w sync.WaitGroup
	w.Go(func() {
		for {
			_ = filepath.WalkDir(filepath.Join(n.At, placeName), func(p string, d fs.DirEntry, err error) error {
				select {
				case <-quit:
					return fs.SkipAll
				default:
				}
				if err != nil || !d.Type().IsRegular() || !strings.HasSuffix(p, summed) {
					return nil
				}
				b, err := os.ReadFile(p)
				if err != nil {
					return nil
				}
				if reads++; !isWhole(b) {
					n.t.Errorf("%q on the drive, %d bytes, is not whole; it begins with %q", p, len(b), b[:min(len(b), 80)])
				}
				return nil
			})
			select {
			case <-quit:
				return
			default:
			}
		}
	})
	return func() {
		close(quit)
		w.Wait()
		n.how["reads of the drive"] += reads
	}
}
