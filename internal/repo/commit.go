package repo

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/tunesafe/tunesafe/internal/store"
)

// Kinds of commit.
const (
	Changes          = "changes"
	CheckpointCommit = "checkpoint"
)

// Head is the newest commit of a device: its number and the SHA-256 of its
// object.
type Head struct {
	Seq uint64
	SHA string
}

// Commit is one signed step of a device's chain, FORMAT.md §5. Heads and Rows
// are of checkpoints only.
type Commit struct {
	Kind   string
	Device string
	Seq    uint64
	Prev   string // SHA-256 of the previous commit of the device; empty in the first
	Repo   string // SHA-256 of repo.json ([RepoHash]); only in a first commit
	Time   time.Time
	Seen   map[string]Head // other devices' newest commits taken in
	Epoch  int
	Lost   []string // names of commits that nobody can read any more, see [ParseLost]
	Lock   Lock     // how the device locks what it writes

	Puts      []ObjectRow
	Condemned []CondemnRow
	Deleted   []DeletedRow
	Forgotten map[string][]Span // by device: commits whose moments are shown no more
	Inodes    []InodeRow
	Names     []NameRow

	Heads map[string]Head
	Rows  []BlobRef

	Name string // of the object; set by [EncodeCommit] and [DecodeCommit], as is
	Size int64  // its size in the bucket
	Body []byte // as it lies in the bucket; set by the same

	// Behind is the commit of the device that [ReadLog] read before this one, where what
	// was between the two is known as lost; else nil.
	Behind *Head
}

// Lock is for how long a device has the bucket refuse to remove what it writes, and by
// which of S3's modes, in lower case. A device that comes later does as the others do.
type Lock struct {
	Mode string
	Days int // 0: it locks nothing
}

// CondemnRow says that an object is no longer used and will be deleted. Device and
// Seq are of the commit that says so, which a checkpoint repeats; in that commit
// itself they are left out.
type CondemnRow struct {
	Name   string
	Size   int64
	Why    string
	Device string
	Seq    uint64
}

// DeletedRow says that an object, condemned before, was deleted.
type DeletedRow struct {
	Name string
	Size int64
}

// ForgetRow says of commits of devices that the moments they made are shown no more.
type ForgetRow map[string][]Span

// Span is the numbers from First to Last.
type Span struct{ First, Last uint64 }

// Row is an [ObjectRow], [CondemnRow], [DeletedRow], [ForgetRow], [InodeRow] or
// [NameRow].
type Row interface{ isRow() }

func (ObjectRow) isRow()  {}
func (CondemnRow) isRow() {}
func (DeletedRow) isRow() {}
func (ForgetRow) isRow()  {}
func (InodeRow) isRow()   {}
func (NameRow) isRow()    {}

// Head is the commit as its successor names it.
func (c *Commit) Head() Head {
	sum, err := nameSum(c.Name)
	if err != nil {
		return Head{}
	}
	return Head{c.Seq, hex.EncodeToString(sum[:])}
}

func logPrefix(device string) string { return "log/" + device + "/" }

// CommitName is the name of the commit h of device.
func CommitName(device string, h Head) string { return commitName(device, h) }

// commitName is the name of the commit h of device.
func commitName(device string, h Head) string {
	return fmt.Sprintf("%s%016d-%s.age", logPrefix(device), h.Seq, h.SHA)
}

// parseCommitName is the inverse of commitName.
func parseCommitName(name string) (device string, h Head, err error) {
	parts := strings.Split(strings.TrimSuffix(name, ".age"), "/")
	if len(parts) == 3 {
		seq, sha, _ := strings.Cut(parts[2], "-")
		h.Seq, err = strconv.ParseUint(seq, 10, 63)
		h.SHA, device = sha, parts[1]
	}
	if err != nil || h.Seq == 0 || !isHex(device, 16) || !isHex(h.SHA, 64) || name != commitName(device, h) {
		return "", Head{}, fmt.Errorf("%.200q: %w: not the name of a commit", name, ErrCorrupt)
	}
	return device, h, nil
}

// EncodeCommit signs and seals a commit of d, whose Device and Epoch it fills
// in, and sets c.Name. A retry puts the very same Sealed again.
func EncodeCommit(k *Keys, d *Device, c *Commit) (*Sealed, error) {
	c.Device, c.Epoch, c.Time = d.ID, k.Epoch(), c.Time.UTC().Truncate(time.Millisecond)
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("commit %d: %w", c.Seq, err)
	}
	text := c.appendText(nil)
	if len(text) > MaxCommit {
		return nil, fmt.Errorf("commit %d of %d bytes: %w", c.Seq, len(text), ErrTooLarge)
	}
	sum := sha256.Sum256(text)
	text = append(text, `{"sig":"`...)
	text = b64.AppendEncode(text, ed25519.Sign(d.Key, sum[:]))
	text = append(text, '"', '}', '\n')
	s, err := k.seal(better().EncodeAll(text, nil))
	if err != nil {
		return nil, fmt.Errorf("commit %d: %w", c.Seq, err)
	}
	s.Name = commitName(d.ID, Head{c.Seq, hex.EncodeToString(s.sum[:])})
	c.Name, c.Size, c.Body = s.Name, int64(len(s.Body)), s.Body
	return s, nil
}

// appendText appends all lines but the signature.
func (c *Commit) appendText(b []byte) []byte {
	b = appendHeader(b, c)
	if c.Kind == CheckpointCommit {
		b = appendCheckpoint(b, c)
	}
	for _, r := range c.Puts {
		b = appendRow(b, r)
	}
	for _, r := range c.Condemned {
		b = appendRow(b, r)
	}
	for _, r := range c.Deleted {
		b = appendRow(b, r)
	}
	if len(c.Forgotten) > 0 {
		b = appendRow(b, ForgetRow(c.Forgotten))
	}
	for _, r := range c.Inodes {
		b = appendRow(b, r)
	}
	for _, r := range c.Names {
		b = appendRow(b, r)
	}
	return b
}

// validate keeps a writer from commits that no reader would take.
func (c *Commit) validate() error {
	if c.Kind != Changes && c.Kind != CheckpointCommit {
		return fmt.Errorf("kind %.20q", c.Kind)
	}
	if c.Seq == 0 || (c.Seq == 1) != (c.Prev == "") || c.Prev != "" && !isHex(c.Prev, 64) {
		return fmt.Errorf("number %d with predecessor %.80q", c.Seq, c.Prev)
	}
	if (c.Seq == 1) != (c.Repo != "") || c.Repo != "" && !isHex(c.Repo, 64) {
		return fmt.Errorf("number %d with hash of %s %.80q", c.Seq, repoFile, c.Repo)
	}
	for _, name := range c.Lost {
		if _, _, err := ParseLost(name); err != nil {
			return err
		}
	}
	for i := range c.Puts {
		if err := c.Puts[i].validate(); err != nil {
			return err
		}
	}
	for i := range c.Inodes {
		if err := c.Inodes[i].validate(); err != nil {
			return err
		}
	}
	for _, n := range c.Names {
		if err := validName(n.Name); err != nil {
			return err
		}
	}
	return nil
}

// DecodeCommit opens the commit of that name. In this order: SHA-256,
// decryption, size, signature by the device's certificate; only then are its
// rows read.
func DecodeCommit(k *Keys, certs map[string]Certificate, name string, body []byte) (*Commit, error) {
	device, head, err := parseCommitName(name)
	if err != nil {
		return nil, err
	}
	packed, err := k.OpenObject(name, body)
	if err != nil {
		return nil, err
	}
	text, err := uncommitText(packed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, ErrCorrupt, err)
	}
	cert, ok := certs[device]
	if !ok {
		return nil, fmt.Errorf("%s: %w: no certificate", name, ErrSignature)
	}
	if err := cert.refuses(head); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	signed, err := verifyText(cert.Key, text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	c, err := parseCommit(signed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if c.Device != device || c.Seq != head.Seq {
		return nil, fmt.Errorf("%s: %w: its header says device %.40q, number %d", name, ErrCorrupt, c.Device, c.Seq)
	}
	c.Name, c.Size, c.Body = name, int64(len(body)), body
	return c, nil
}

func uncommitText(packed []byte) ([]byte, error) {
	var h zstd.Header
	if err := h.Decode(packed); err != nil {
		return nil, err
	}
	return uncommit().DecodeAll(packed, nil)
}

// verifyText checks the signature in the last line of text and returns the
// lines before it.
func verifyText(key ed25519.PublicKey, text []byte) ([]byte, error) {
	body, ok := bytes.CutSuffix(text, []byte("\n"))
	cut := bytes.LastIndexByte(body, '\n') + 1
	if !ok || cut == 0 {
		return nil, fmt.Errorf("%w: no signature", ErrSignature)
	}
	l, err := parseLine(body[cut:])
	defer l.release()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	sig, err := b64.DecodeString(l.signature)
	sum := sha256.Sum256(text[:cut])
	if err != nil || !ed25519.Verify(key, sum[:], sig) {
		return nil, fmt.Errorf("%w: the signature is wrong", ErrSignature)
	}
	return text[:cut], nil
}

// parseCommit reads the lines of a commit whose signature was verified.
func parseCommit(text []byte) (*Commit, error) {
	first, rest, _ := bytes.Cut(text, []byte("\n"))
	l, err := parseLine(first)
	defer l.release()
	if err != nil {
		return nil, fmt.Errorf("%w: header: %w", ErrCorrupt, err)
	}
	if l.version > Format {
		return nil, fmt.Errorf("%w: commit of format %d", ErrNewerFormat, l.version)
	}
	c := l.header
	if l.version != Format || c.Time.IsZero() {
		return nil, fmt.Errorf("%w: no header", ErrCorrupt)
	}
	for n := 2; len(rest) > 0; n++ {
		var one []byte
		one, rest, _ = bytes.Cut(rest, []byte("\n"))
		if err := c.addLine(one); err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrCorrupt, n, err)
		}
	}
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return &c, nil
}

func (c *Commit) addLine(text []byte) error {
	l, err := parseLine(text)
	defer l.release()
	if err != nil {
		return err
	}
	if l.seen["heads"] && c.Kind == CheckpointCommit && c.Heads == nil {
		c.Heads, c.Rows = l.header.Heads, l.header.Rows
		return nil
	}
	row, err := l.row()
	if err != nil {
		return err
	}
	switch r := row.(type) {
	case ObjectRow:
		c.Puts = append(c.Puts, r)
	case CondemnRow:
		c.Condemned = append(c.Condemned, r)
	case DeletedRow:
		c.Deleted = append(c.Deleted, r)
	case ForgetRow:
		if c.Forgotten == nil {
			c.Forgotten = map[string][]Span{}
		}
		for device, spans := range r {
			c.Forgotten[device] = append(c.Forgotten[device], spans...)
		}
	case InodeRow:
		c.Inodes = append(c.Inodes, r)
	case NameRow:
		c.Names = append(c.Names, r)
	}
	return nil
}

// HintName is the name of the hint that tells where a checkpoint commit is.
func HintName(c *Commit) string {
	return fmt.Sprintf("checkpoints/%016d-%s-%016d-%s", c.Time.UnixMilli(), c.Device, c.Seq, c.Head().SHA)
}

// Hint is a name in checkpoints/ and the commit that it leads to.
type Hint struct{ Object, Commit string }

// Hints lists the hints, the newest last. Anybody who can write the bucket can make one.
func Hints(ctx context.Context, st store.Store) (hints []Hint, err error) {
	for info, err := range st.List(ctx, "checkpoints/", "") {
		if err != nil {
			return nil, err
		}
		if name, err := parseHint(info.Key); err == nil {
			hints = append(hints, Hint{info.Key, name})
		}
	}
	return hints, nil
}

// parseHint gives the name of the commit that a hint leads to.
func parseHint(hint string) (commit string, err error) {
	f := strings.Split(path.Base(hint), "-")
	if len(f) != 4 {
		return "", fmt.Errorf("%.200q: %w: not the name of a hint", hint, ErrCorrupt)
	}
	commit = logPrefix(f[1]) + f[2] + "-" + f[3] + ".age"
	_, _, err = parseCommitName(commit)
	return commit, err
}
