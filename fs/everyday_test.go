package fs

import (
	"crypto/sha256"
	"fmt"
	iofs "io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pkg/xattr"
)

// everyday are things people and programs do with a directory of music. Each
// script runs on the drive and in an ordinary directory, and both must print
// the same and leave the same tree. need names a program beyond the usual.
var everyday = []struct{ name, need, script string }{
	{"copy a tree", "", `
		mkdir -p src/a/b; printf one >src/a/1; printf two >src/a/b/2; ln -s ../1 src/a/b/l
		chmod 640 src/a/1; touch -d '2011-02-03 04:05:06.123456789 UTC' src/a/1 src/a/b
		cp -a src dst; stat -c '%n %a %y' dst/a/1 dst/a/b`},
	{"copy a large file", "", `
		seq 1 300000 >big; cp big copy; cmp big copy; cp --reflink=never --sparse=always big copy2; cmp big copy2; stat -c %s copy`},
	{"move within and between", "", `
		mkdir a b; echo x >a/f; mv a/f a/g; mv a/g b/; mv b c; mv -T c a; ls a`},
	{"move over", "", `
		echo old >a; echo new >b; mv -f b a; cat a; mkdir d e; mv -T d e; mkdir e/f; mkdir g; mv -T g e || echo refused`},
	{"remove a tree", "", `
		mkdir -p a/b/c; touch a/1 a/b/2 a/b/c/3; rm -r a; ls -A`},
	{"refusals", "", `
		mkdir d; touch d/f f; rmdir d || echo "$?"; mkdir d || echo "$?"; mv d d/e || echo "$?"; cat d || echo "$?"
		ls f/x || echo "$?"; rmdir f || echo "$?"; unlink d || echo "$?"; ln f d/f || echo "$?"; cat nothing || echo "$?"`},
	{"save by temporary and rename", "", `
		echo old >song; chmod 600 song; echo new >.song.tmp; chmod --reference=song .song.tmp; sync .song.tmp; mv .song.tmp song; cat song`},
	{"save in place", "", `
		printf 'ID3 old title ... audio' >song; printf 'ID3 NEW' | dd of=song conv=notrunc status=none; cat song
		printf 'shorter' >song; cat song; sed -i s/short/long/ song; cat song`},
	{"save with a backup", "", `
		echo 1 >list; mv list list~; echo 2 >list; cat list list~; cp -b --suffix=.bak list~ list; cat list list.bak`},
	{"truncate and append", "", `
		printf 0123456789 >f; truncate -s 4 f; cat f; truncate -s 8 f; od -c f; printf ab >>f; printf cd >>f; od -c f; : >f; stat -c %s f`},
	{"exclusive", "", `
		set -o noclobber; echo a >f; echo b >f || echo refused; cat f; (echo c >|f); cat f`},
	{"modes", "", `
		touch f; for m in 000 400 4755 2755 6711 777; do chmod $m f; stat -c %a f; done; mkdir d; chmod 1777 d; umask 077; touch g; mkdir e`},
	{"owners", "root", `
		touch f; chmod 6755 f; chown 12:34 f; stat -c '%u %g %a' f; chown :56 f; stat -c '%u %g' f; ln -s f l; chown -h 7:8 l
		chmod 4711 f; echo x >>f; stat -c %a f`},
	{"setuid goes with a write", "root", `
		umask 0; touch f; chmod 6777 f; setpriv --reuid 12 --regid 34 --clear-groups sh -c 'echo x >>f'; stat -c %a f
		touch g; chown 12:34 g; chmod 6777 g; setpriv --reuid 12 --regid 34 --clear-groups chgrp 34 g; stat -c %a g`},
	{"rights are checked", "root", `
		echo x >f; chmod 600 f; mkdir d; touch d/f; umask 0; mkdir s; chmod 1777 s; touch s/f
		setpriv --reuid 12 --regid 34 --clear-groups sh -c 'cat f; touch d/g; rm -f d/f s/f; touch s/mine; chmod 777 f; ls d s'`},
	{"setgid directories", "root", `
		mkdir d; chown 0:77 d; chmod 2775 d; touch d/f; mkdir d/e; mkfifo d/p; ln -s x d/l; touch d/e/g; cp f d/h 2>/dev/null || true`},
	{"times", "", `
		touch f; touch -d '1999-12-31 23:59:59.999999999 UTC' f; stat -c '%x %y' f; touch -a -d '2001-01-01 UTC' f; touch -m -d '1965-05-05 05:05:05.5 UTC' f
		stat -c '%x %y' f; ln -s f l; touch -h -d '2002-02-02 UTC' l; stat -c %y l; mkdir d; touch -d '2003-03-03 UTC' d; stat -c %y d; touch f; find . -name f -mmin -5`},
	{"links", "", `
		echo x >a; ln a b; stat -c %h a; echo y >>b; cat a; rm a; cat b; stat -c %h b; ln -s b s; readlink s; cat s; ln -s /nowhere/ö n; readlink n; ln -sf a s; readlink s; cp -al . /dev/null 2>/dev/null || true`},
	{"special files", "root", `
		mkfifo p; mknod c c 1 3; mknod b b 7 200; mknod -m 600 d c 300 70000; stat -c '%n %F %t %T %a' p c b d; (echo hello >p &) ; cat p`},
	{"attributes", "setfattr", `
		touch f; setfattr -n user.a -v one f; setfattr -n user.b -v 0x00ff00 f; setfattr -n user.empty f; getfattr -d -e hex f
		setfattr -x user.a f; getfattr -d -e hex f; setfattr -x user.a f || echo "$?"; getfattr -n user.zz f || echo "$?"
		mkdir d; setfattr -n user.d -v x d; cp -a f g; getfattr -d -e hex g d; setfattr -n user.empty -v "$(seq 1 500)" f; getfattr -n user.empty --only-values f | wc -c`},
	{"trusted attributes", "root", `
		touch f; setfattr -n trusted.a -v one f; getfattr -d -m - f; chmod 777 f
		setpriv --reuid 12 --regid 34 --clear-groups getfattr -d -m - f`},
	{"names in any bytes", "", `
		touch $'caf\u00e9' $'cafe\u0301' $'bad\xff\xfeutf' $'new\nline' ' space ' '-dash' 'quote"'\''s' 'back\slash' '日本語'; ls -A1b; ls -A | wc -l
		mv $'cafe\u0301' $'bad\xff\xfeutf'; cat $'caf\u00e9'; rm -- -dash
		n=$(printf 'x%.0s' {1..255}); touch "$n"; touch "${n}y" || echo "$?"; mkdir "${n}y" || echo "$?"; stat "${n}y" >/dev/null || echo "$?"`},
	{"sparse files", "", `
		truncate -s 3M f; printf mid | dd of=f bs=1 seek=1500000 conv=notrunc status=none; stat -c %s f; cp --sparse=always f g; cmp f g; sha256sum <f`},
	{"preallocated", "fallocate", `
		fallocate -l 100000 f; stat -c %s f; fallocate -n -o 100000 -l 50000 f; stat -c %s f; printf x >>f; od -c f | tail -2`},
	{"archive", "", `
		mkdir -p a/b; echo 1 >a/1; ln a/1 a/b/2; ln -s ../1 a/b/3; tar cf t.tar a; mkdir x; tar xf t.tar -C x; diff -r a x/a; rm t.tar`},
	{"synchronise", "rsync", `
		mkdir -p a/b; echo 1 >a/1; echo 2 >a/b/2; touch -d '2005-05-05 UTC' a/1; rsync -aHX a/ b/; echo 22 >a/b/2; rm a/1; rsync -aHX --delete a/ b/; diff -r a b`},
	{"a library database", "python3", `
		python3 -c "
import sqlite3
for mode in 'delete', 'wal':
    c = sqlite3.connect('lib.db'); print(c.execute('pragma journal_mode=' + mode).fetchone())
    c.execute('create table if not exists t(a, b)')
    with c: c.executemany('insert into t values(?, ?)', [(i, 'x' * (i % 100)) for i in range(2000)])
    d = sqlite3.connect('lib.db'); print(d.execute('select count(*), sum(length(b)) from t').fetchone()); d.close()
    print(c.execute('pragma integrity_check').fetchone()); c.close()
"; rm -f lib.db`},
}

func TestEveryday(t *testing.T) {
	inBoth(t, func(t *testing.T, dir string) {
		for _, e := range everyday {
			t.Run(strings.ReplaceAll(e.name, " ", "-"), func(t *testing.T) {
				need(t, e.need)
				here := subdir(t, dir, strings.ReplaceAll(e.name, " ", "-"))
				there := openTo(t, t.TempDir())
				got, want := script(here, e.script), script(there, e.script)
				if got != want {
					t.Errorf("printed:\n%s\nwant:\n%s", got, want)
				}
				if got, want := tree(t, here), tree(t, there); got != want {
					t.Errorf("left:\n%s\nwant:\n%s", got, want)
				}
			})
		}
	})
}

// need skips where a program, or root, is missing. scripts/test.sh sees to it that
// some run has each.
func need(t *testing.T, what string) {
	t.Helper()
	switch what {
	case "":
	case "root":
		if os.Geteuid() != 0 {
			t.Skip("for root")
		}
	default:
		if _, err := exec.LookPath(what); err != nil {
			lacking(t, what+" is not installed")
		}
	}
}

// script runs a script in dir and returns what it prints, with its status.
func script(dir, script string) string {
	cmd := exec.Command("bash", "-euc", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TZ=UTC")
	out, err := cmd.CombinedOutput()
	return fmt.Sprintf("%s(%v)", strings.ReplaceAll(string(out), dir, "DIR"), err)
}

// tree tells all that a directory holds, as far as two must agree.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, _ iofs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st syscall.Stat_t
		if err := syscall.Lstat(path, &st); err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		fmt.Fprintf(&b, "%q %o %d:%d", rel, st.Mode, st.Uid, st.Gid)
		switch st.Mode & syscall.S_IFMT {
		case syscall.S_IFREG:
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %d links, %d bytes %x", st.Nlink, st.Size, sha256.Sum256(data))
		case syscall.S_IFLNK:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %d bytes -> %q", st.Size, target)
		case syscall.S_IFDIR:
			fmt.Fprintf(&b, " %d links", st.Nlink)
		default:
			fmt.Fprintf(&b, " device %x", st.Rdev)
		}
		names, err := xattr.LList(path)
		if err != nil {
			return err
		}
		for _, name := range names {
			value, err := xattr.LGet(path, name)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %s=%q", name, value)
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return b.String()
}

// subdir makes a directory in which a test is alone.
func subdir(t *testing.T, dir, name string) string {
	t.Helper()
	d := filepath.Join(dir, name)
	if err := os.Mkdir(d, 0o755); err != nil {
		t.Fatal(err)
	}
	return d
}
