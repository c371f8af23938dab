package repo

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/tunesafe/tunesafe/internal/store"
)

// Exported is a log as it was written out for others.
type Exported struct {
	Note     []byte // signed; FORMAT.md §10
	Lines    int64
	Commits  int64
	Root     string // the public half of the root key, by which the note is checked
	Verifier string // the signing device's key as note verifiers take it
}

// ExportLog writes to w, a line each, every commit of every device and every
// object that they put, condemned or deleted: names, sizes and times, nothing of the
// content. The device d signs a note of it, which anybody can check who has the root
// key's public half (FORMAT.md §10). It ends at the first fault of the log.
func ExportLog(ctx context.Context, st store.Store, k *Keys, d *Device, now time.Time, w io.Writer) (*Exported, error) {
	certs, _, err := Devices(ctx, st, k)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	x := &exporter{w: bufio.NewWriterSize(io.MultiWriter(w, sum), 1<<16), repeats: &Repeats{map[string]bool{}}, heads: map[string]Head{}}
	if err := ReadLog(ctx, st, k, certs, nil, x.commit); err != nil {
		return nil, err
	}
	if err := x.w.Flush(); err != nil {
		return nil, err
	}
	x.out.Root = k.Root()
	text := x.text(k, certs, now, hex.EncodeToString(sum.Sum(nil)))
	return &x.out, x.sign(d, text)
}

type exporter struct {
	w       *bufio.Writer
	repeats *Repeats
	heads   map[string]Head
	line    []byte
	out     Exported
}

// commit writes the lines of one commit.
func (x *exporter) commit(c *Commit) error {
	x.heads[c.Device] = c.Head()
	x.out.Commits++
	if err := x.write(c, "commit", c.Name, c.Size, c.Kind); err != nil {
		return err
	}
	for _, row := range x.repeats.Of(c) {
		if err := x.write(c, "put", row.Name, row.Size, row.Kinds()); err != nil {
			return err
		}
	}
	for _, row := range c.Condemned {
		if err := x.write(c, "condemn", row.Name, row.Size, row.Why); err != nil {
			return err
		}
	}
	for _, row := range c.Deleted {
		if err := x.write(c, "delete", row.Name, row.Size, "-"); err != nil {
			return err
		}
	}
	return nil
}

// write writes a line: TIME DEVICE NUMBER WHAT OBJECT SIZE and the rest, which
// alone may have spaces.
func (x *exporter) write(c *Commit, what, object string, size int64, rest string) error {
	x.out.Lines++
	b := c.Time.UTC().AppendFormat(x.line[:0], timeLayout)
	b = append(append(b, ' '), c.Device...)
	b = strconv.AppendUint(append(b, ' '), c.Seq, 10)
	for _, field := range []string{what, object, strconv.FormatInt(size, 10), plainWords(rest)} {
		b = append(append(b, ' '), field...)
	}
	x.line = append(b, '\n')
	_, err := x.w.Write(x.line)
	return err
}

// plainWords keeps what a commit says from looking like another line.
func plainWords(s string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))), " ")
}

// text is what is signed.
func (x *exporter) text(k *Keys, certs map[string]Certificate, now time.Time, sum string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "tunesafe log 1\nrepository %s\nroot %s\n", k.RepoID(), x.out.Root)
	for _, device := range slices.Sorted(maps.Keys(certs)) {
		c := certs[device]
		fmt.Fprintf(&b, "device %s %s %s %s\n", device, b64.EncodeToString(c.Key), c.Enrolled.UTC().Format(time.RFC3339), b64.EncodeToString(c.Sig))
	}
	for _, device := range slices.Sorted(maps.Keys(x.heads)) {
		fmt.Fprintf(&b, "head %s %d %s\n", device, x.heads[device].Seq, x.heads[device].SHA)
	}
	fmt.Fprintf(&b, "lines %d %s\ntime %s\n", x.out.Lines, sum, now.UTC().Format(time.RFC3339))
	return b.String()
}

func (x *exporter) sign(d *Device, text string) (err error) {
	name := "tunesafe-" + d.ID
	if x.out.Verifier, err = note.NewEd25519VerifierKey(name, d.Key.Public().(ed25519.PublicKey)); err != nil {
		return err
	}
	v, err := note.NewVerifier(x.out.Verifier)
	if err != nil {
		return err
	}
	x.out.Note, err = note.Sign(&note.Note{Text: text}, &noteSigner{d, v})
	return err
}

// noteSigner signs notes with a device's key. A commit's signature is over 32
// bytes, and a note's text is longer: neither is ever taken for the other.
type noteSigner struct {
	d *Device
	v note.Verifier
}

func (s *noteSigner) Name() string                    { return s.v.Name() }
func (s *noteSigner) KeyHash() uint32                 { return s.v.KeyHash() }
func (s *noteSigner) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.d.Key, msg), nil }
