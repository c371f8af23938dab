package catalog

import "encoding/binary"

// text is a string in an arena, in four bytes; 0 is the empty one.
type text uint32

// arena keeps many short strings without a header and an allocation for each.
type arena struct {
	chunks [][]byte
	size   int
}

const (
	chunkSize = 1 << 16
	longest   = 4 << 10 // bytes of a string; what is behind is not kept
)

func (a *arena) add(s string) text {
	if s == "" {
		return 0
	}
	s = s[:min(len(s), longest)]
	need := len(s) + binary.MaxVarintLen16
	if n := len(a.chunks); n == 0 || len(a.chunks[n-1])+need > chunkSize {
		first := 0
		if n == 0 {
			first = 1 // so that nothing lies at 0
		}
		a.chunks = append(a.chunks, make([]byte, first, chunkSize))
	}
	last := &a.chunks[len(a.chunks)-1]
	t := text((len(a.chunks)-1)*chunkSize + len(*last))
	*last = append(binary.AppendUvarint(*last, uint64(len(s))), s...)
	a.size += len(s) + 2
	return t
}

// bytes gives the string as it lies there: not to be changed.
func (a *arena) bytes(t text) []byte {
	if t == 0 {
		return nil
	}
	b := a.chunks[t/chunkSize][t%chunkSize:]
	n, k := binary.Uvarint(b)
	return b[k : k+int(n)]
}

func (a *arena) string(t text) string { return string(a.bytes(t)) }
