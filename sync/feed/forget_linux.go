package feed

import (
	"os"

	"golang.org/x/sys/unix"
)

// forget has the kernel drop what it remembers of a file's bytes, as far as they are
// on the disk: who reads them next reads the disk, and nobody else's memory went for it.
func forget(f *os.File) { _ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) }
