package zipstream

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"os"
)

// recordLen is a record of the file of sums: key, sum, and the CRC-32 of both.
const recordLen = 16 + 4 + 4

// Keep has the sums outlive the process, in a file: a download that goes on after a
// restart need not read again what it has. The file is a help and no more: a record that
// is torn or damaged counts as none, and one that cannot be written is left out.
func (s *Sums) Keep(file string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	flag := os.O_APPEND
	if len(b)%recordLen != 0 || len(b) > 2*sumsKept*recordLen {
		flag = os.O_TRUNC // it is begun anew, with what is read of it
	}
	b = b[:len(b)/recordLen*recordLen]
	b = b[max(0, len(b)-sumsKept*recordLen):]
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|flag, 0o600)
	if err != nil {
		return err
	}
	if flag == os.O_TRUNC {
		if _, err := f.Write(b); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	for ; len(b) > 0; b = b[recordLen:] {
		if crc32.ChecksumIEEE(b[:20]) == binary.LittleEndian.Uint32(b[20:]) {
			s.keep([16]byte(b), binary.LittleEndian.Uint32(b[16:]))
		}
	}
	s.file = f
	return nil
}

// Close ends the use of the file.
func (s *Sums) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}

// note writes a record; it is called with the lock held.
func (s *Sums) note(key [16]byte, sum uint32) {
	if s.file == nil {
		return
	}
	b := binary.LittleEndian.AppendUint32(key[:], sum)
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	_, _ = s.file.Write(b) // or it is read again one day
}
