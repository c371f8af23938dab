package cache

import "testing"

func BenchmarkDecodeInode(b *testing.B) {
	row := encode(&inode{Mode: 0o100644, Nlink: 1, Size: 5 << 20, Atime: stamp{S: 1795306286, N: 451527464}, Mtime: stamp{S: 1795306286, N: 451527464},
		Ctime: stamp{S: 1795306286, N: 451527464}, Gen: 2, Cut: 2, Ver: 3, CVer: 3, Base: "0123456789abcdef:12"})
	b.Run("whole", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := decode(row, new(inode)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("whole, by the library", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := decMode.Unmarshal(row, new(inode)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("brief", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := briefOf(row); err != nil {
				b.Fatal(err)
			}
		}
	})
}
