#!/usr/bin/python3
"""Restore a whole Tunesafe repository without Tunesafe.

    restore.py BUCKETDIR KEY DEST
    restore.py --list BUCKETDIR KEY

BUCKETDIR is a copy of the objects below the repository's prefix, DEST a new or
empty folder. KEY is a file with the recovery key, or with any other that was
added; for one with a passphrase it is BUCKETDIR/keys/NAME.identity.age. It needs the programs age and zstd, and is written from FORMAT.md
alone, to keep that text honest; § are its sections. It verifies all but the
ed25519 signatures, which Python's library cannot: forging takes the keys.

Status 0: all is restored. 1: something did not verify, or could not be made.
3: some files were not in the bucket yet.
"""
import base64, hashlib, heapq, json, os, re, stat, subprocess, sys, tempfile
from collections import defaultdict
from functools import cached_property, lru_cache
from pathlib import Path

ROOT = "0000000000000001"
SPECIAL = {"fifo": stat.S_IFIFO, "socket": stat.S_IFSOCK, "char": stat.S_IFCHR, "block": stat.S_IFBLK}
ERRORS = (ValueError, LookupError, TypeError, AttributeError, OSError)


def check(holds, *what):
    if not holds:
        raise ValueError(" ".join(map(str, what)))


def given(row, field):
    """A name or target, which are bytes: as text if they are UTF-8."""
    return row[field].encode() if field in row else base64.b64decode(row[field + "64"])


def shown(path):
    return repr(os.fsdecode(path))[1:-1]


def owed(inode):
    return any(len(part) == 2 for part in inode.get("parts", []))


def blobs_in(put):
    """The ids and lengths of an object's blobs, which lie back to back in what Repository.opened returns."""
    lists = [frame[1:] for frame in put["frames"]] if "frames" in put else [put["raw"]]
    return [blob for flat in lists for blob in zip(flat[::2], flat[1::2], strict=True)]


class Repository:
    def __init__(self, bucket, key, scratch):
        self.bucket, self.scratch, self.status = Path(bucket).resolve(), scratch, 0
        about = json.loads((self.bucket / "repo.json").read_bytes())
        check(about["format"] == 1, "format", about["format"], "is not known here")
        self.keys = self.open_keys(Path(key)).read()
        said = dict(re.findall(r"^# ([a-z-]+): (\S+)$", self.keys.decode(), re.M))
        check(said["repository"] == about["id"], "repo.json and the keys are of different repositories")
        self.hash_key = base64.urlsafe_b64decode(said["hash-key"] + "==")

    def report(self, *what, status=1):
        self.status = 1 if self.status == 1 else status
        print("restore.py:", *what, file=sys.stderr)

    def open_keys(self, key):
        """Open the repository keys by whichever of keys/ the key given opens (§3)."""
        text = key.read_bytes()
        names = sorted((path.name for path in self.bucket.glob("keys/*.age")), key=lambda name: name != "recovery.age")
        names = [name for name in names if name.count(".") == 1 and name != "root.age"]
        if key.name.endswith(".identity.age"):  # age asks for the passphrase
            plain = tempfile.TemporaryFile(dir=self.scratch)
            subprocess.run(["age", "-d", key], stdout=plain, check=True)
            plain.seek(0)
            text, names = plain.read(), [key.name.replace(".identity", "")]
        for name in names[:-1]:
            out = subprocess.run(["age", "-d", "-i", "-", self.bucket / "keys" / name], input=text, capture_output=True)
            if out.returncode == 0:
                names = [name]
                break
        self.keys = text
        return self.unseal("keys/" + names[-1])

    def unseal(self, name, unpack=False):
        """Open an age file, verified by the SHA-256 in its name, into a temporary file (§3)."""
        path, digest = self.bucket / name, re.search(r"([0-9a-f]{64})\.age$", name)
        with path.open("rb") as sealed:
            check(not digest or hashlib.file_digest(sealed, "sha256").hexdigest() == digest[1], name, "is damaged")
        plain = tempfile.TemporaryFile(dir=self.scratch)
        out = subprocess.PIPE if unpack else plain
        with subprocess.Popen(["age", "-d", "-i", "-", path], stdin=subprocess.PIPE, stdout=out) as age:
            age.stdin.write(self.keys)
            age.stdin.close()
            zstd = subprocess.run(["zstd", "-dcq"], stdin=age.stdout, stdout=plain) if unpack else age
        check(age.returncode == 0 and zstd.returncode == 0, name, "does not open")
        plain.seek(0)
        return plain

    @lru_cache(maxsize=64)
    def opened(self, name):
        """The plaintext of an object, the frames of a pack unpacked in a row, every blob verified (§4)."""
        put = self.objects[name]
        plain = self.unseal(name, unpack="frames" in put)
        for id, n in blobs_in(put):
            digest = hashlib.blake2b(plain.read(n), digest_size=16, key=self.hash_key).digest()
            check(base64.urlsafe_b64encode(digest).decode() == id + "==", name, "does not hold blob", id)
        rest = plain.read()
        if "frames" in put:
            check(json.loads(rest) == {key: put[key] for key in ("kind", "frames")}, name, "has another index")
        else:
            check(plain.tell() % (16 << 10) == 0 and not any(rest), name, "is padded wrongly")
        return plain

    def blob(self, id, n, start=0):
        """n bytes of a blob."""
        name, at, known = self.places.get(id, (None, 0, -1))
        check(known >= start + n, "no object that is there holds blob", id)
        return os.pread(self.opened(name).fileno(), n, at + start)

    def contents(self, inode):
        """The bytes of a file, piece by piece (§7); of zeros that lie nowhere, how many."""
        rest = []  # of each part: what is yet to be read of its slices, the next one last
        for _, length, slices in inode.get("parts", []):
            slices = [(slices, length)] if isinstance(slices, str) else slices
            rest.append([(id, n, at[0] if at else 0) for id, n, *at in reversed(slices)])
        runs = inode.get("runs", [0, inode["size"]] if rest else [])
        runs += json.loads(self.blob(*inode["more"])) if "more" in inode else []
        for p, n in zip(runs[::2], runs[1::2], strict=True):
            while n > 0:
                id, left, at = rest[p].pop()
                take = min(n, left)
                if take < left:
                    rest[p].append((id, left - take, at + take))
                n -= take
                yield self.blob(id, take, at) if id else take

    def apply(self, row):
        """Take in a row of a commit or checkpoint (§5). Condemned objects serve as long as they are there."""
        place = (row["in"], given(row, "name")) if "in" in row else None
        if "put" in row:
            check(re.fullmatch(r"(audio|meta)/(..)/\2[0-9a-f]{62}\.age", row["put"]), "no object's name:", row["put"])
            self.objects[row["put"]], at = row, 0
            for id, n in blobs_in(row) if (self.bucket / row["put"]).exists() else ():
                self.places[id] = row["put"], at, n
                at += n
        elif "type" in row or "inode" in row and not place:
            old = self.inodes.pop(row["inode"], {}).get("place")
            if self.names.get(old) == row["inode"]:  # a folder, and it may have moved
                del self.names[old]
            if "gone" not in row:
                self.inodes[row["inode"]] = row | {"place": place}
                self.names |= {place: row["inode"]} if place else {}
        elif "inode" in row:
            self.names[place] = row["inode"]
        elif place and self.inodes.get(self.names.get(place), {}).get("type") != "dir":
            self.names.pop(place, None)

    def commits(self, device, seq, prev):
        """The commits of a device after one, as (place in the order, file of the lines after the header)."""
        names = sorted(path.name for path in self.bucket.glob(f"log/{device}/{'[0-9]' * 16}-*.age"))
        names, time = [name for name in names if int(name[:16]) > seq], ""
        statement = f"devices/{device}-retired.age"
        if (self.bucket / statement).exists():  # what came later is not the device's own (§3)
            last = json.load(self.unseal(statement))
            check(last["device"] == device, device, "has the statement of another device")
            late = [name for name in names if int(name[:16]) >= max(last["seq"], 1) and name[17:81] != last["sha256"]]
            names = [name for name in names if name not in late]
            if late:
                self.report("device", device, "was retired:", len(late), "commits after that are refused", status=self.status)
        for name in names:
            number, sha = int(name[:16]), name[17:81]
            try:
                lines = self.unseal(f"log/{device}/{name}", unpack=True)
            except ERRORS:
                if self.lost.get((device, number), "no") in ("", sha):
                    continue
                raise
            header = json.loads(lines.readline())
            check(number > seq, "there are two commits", number, "of", device)
            if number > seq + 1:
                check(all((device, n) in self.lost for n in range(seq + 1, number)), "commit", seq + 1, "of", device, "is missing")
                self.report("commits", seq + 1, "to", number - 1, "of", device, "are lost, and what only they said", status=self.status)
                prev = self.lost[device, number - 1] or header.get("prev")
            seq = number
            said = [header.get(field) for field in ("commit", "device", "seq", "prev")]
            check(said == [1, device, seq, prev] and header["time"] >= time, name, "does not follow the one before")
            yield (header["time"], device, seq), lines
            prev, time = sha, header["time"]

    @cached_property
    def lost(self):
        """The commits of which others say that they are lost: (device, number) -> SHA-256, or "" (§5)."""
        lost = {}
        for path in self.bucket.glob("log/*/*.age"):
            try:
                header = json.loads(self.unseal(path.relative_to(self.bucket).as_posix(), unpack=True).readline())
            except ERRORS:
                continue
            for device, number, sha in re.findall(r"log/(.{16})/(.{16})-?(.*?)(?:\.age)?$", "\n".join(header.get("lost", [])), re.M):
                lost[device, int(number)] = lost.get((device, int(number))) or sha
        return lost

    def load(self, checkpoint=None):
        """Rebuild the tree from a checkpoint and the commits after it, or from all commits (§6)."""
        self.objects, self.places, heads = {}, {}, {}  # name -> row; blob -> (object, offset, length); device -> commit
        self.inodes, self.names, self.made = {}, {}, {}  # number -> row; (folder, name) -> number; number -> path
        if checkpoint:
            rows = [json.loads(line) for line in self.unseal(checkpoint, unpack=True)]
            for row in rows:
                self.apply(row)
            [state] = [row for row in rows if "heads" in row]
            heads = state["heads"]
            for line in b"".join(self.blob(*blob) for blob in state["rows"]).splitlines():
                self.apply(json.loads(line))
        chains = []
        for device in sorted(folder.name for folder in self.bucket.glob("log/" + "[0-9a-f]" * 16)):
            if not (self.bucket / f"devices/{device}.age").exists():
                self.report("device", device, "has no certificate: its commits are ignored")
                continue
            certificate = json.load(self.unseal(f"devices/{device}.age"))
            check(certificate["device"] == device, device, "has the certificate of another device")
            chains.append(self.commits(device, *heads.get(device, (0, None))))
        for (_, device, seq), lines in heapq.merge(*chains, key=lambda commit: commit[0]):
            for line in lines:
                row = json.loads(line)
                self.apply(row)
            check("sig" in row, "commit", seq, "of", device, "has no end")
        check(ROOT in self.inodes, "there is no commit, and so nothing to restore")

    def load_newest(self):
        """Rebuild the tree from the newest checkpoint that is whole, else from the first commits."""
        hints = [hint.name.split("-")[1:] for hint in sorted(self.bucket.glob("checkpoints/*"), reverse=True)]
        commits = ["log/{}/{}-{}.age".format(*hint) for hint in hints]
        for checkpoint in [name for name in commits if (self.bucket / name).exists()]:
            try:
                return self.load(checkpoint)
            except ERRORS as error:
                self.report("not beginning from the checkpoint", checkpoint, "because:", error)
        self.load()

    def tree(self):
        """All that is in the root, folders before what is in them, as (path, inode)."""
        inside, folders = defaultdict(list), [(b"", ROOT)]
        for (folder, name), number in sorted(self.names.items()):
            inside[folder].append((name, number))
        for path, folder in folders:
            for name, number in inside[folder]:
                if not 0 < len(name) < 256 or name in (b".", b"..") or set(name) & set(b"/\0"):
                    self.report("refused the name", name)
                elif number in self.inodes:
                    yield path + name, self.inodes[number]
                    if self.inodes[number]["type"] == "dir":
                        folders.append((path + name + b"/", number))

    def make(self, path, inode):
        """Make an inode, or another name of it, for its owner alone and without its attributes."""
        if owed(inode):
            return self.report(shown(path), "is not in the bucket yet", status=3)
        if inode["inode"] in self.made:
            return os.link(self.made[inode["inode"]], path, follow_symlinks=False)
        if inode["type"] == "dir":
            os.mkdir(path)
        elif inode["type"] == "symlink":
            os.symlink(given(inode, "target"), path)
        elif inode["type"] in SPECIAL:
            os.mknod(path, SPECIAL[inode["type"]] | 0o600, inode.get("rdev", 0))
        else:
            with open(path, "xb") as file:
                try:
                    for piece in self.contents(inode):
                        file.seek(piece, 1) if isinstance(piece, int) else file.write(piece)
                    file.truncate()
                    check(file.tell() == inode["size"], "it has", file.tell(), "bytes instead of", inode["size"])
                except ERRORS:
                    os.unlink(path)
                    raise
        self.made[inode["inode"]] = path

    def dress(self, path, inode):
        """Give what was made its attributes, and its owner if root does it."""
        if self.made.get(inode["inode"]) != path:
            return
        coded = {base64.b64decode(name): value for name, value in inode.get("xattrs64", {}).items()}
        for name, value in (inode.get("xattrs", {}) | coded).items():
            os.setxattr(path, name, base64.b64decode(value), follow_symlinks=False)
        if os.geteuid() == 0:
            os.chown(path, inode["uid"], inode["gid"], follow_symlinks=False)
        if inode["type"] != "symlink":
            os.chmod(path, inode["mode"] & 0o7777)
        os.utime(path, ns=(inode["mtime"][0] * 10**9 + inode["mtime"][1],) * 2, follow_symlinks=False)

    def restore(self, entries):
        """Make the entries of the tree in the current folder."""
        # Symbolic links come last, so that no path that is written to leads through one.
        entries.sort(key=lambda entry: entry[1]["type"] == "symlink")
        steps = [(self.make, *entry) for entry in entries] + [(self.dress, *entry) for entry in reversed(entries)]
        self.made[ROOT] = b"."
        for step, path, inode in steps + [(self.dress, b".", self.inodes[ROOT])]:
            try:
                step(path, inode)
            except ERRORS as error:
                self.report(shown(path), "is not restored as it was:", error)


def main(bucket, key, dest=None):
    os.umask(0o077)
    if dest:
        os.makedirs(dest, exist_ok=True)
        check(not os.listdir(dest), dest, "is not empty")
    repo = Repository(bucket, key, dest and os.path.abspath(dest))
    repo.load_newest()
    os.chdir(dest or ".")
    if dest:
        repo.restore(list(repo.tree()))
    else:
        for path, inode in repo.tree():
            print("owed" if owed(inode) else inode["type"], inode.get("size", "-"), shown(path), sep="\t")
    return repo.status


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--list"]
    if len(arguments) != (2 if "--list" in sys.argv else 3):
        sys.exit(__doc__)
    try:
        sys.exit(main(*arguments))
    except ERRORS as error:
        sys.exit(f"restore.py: {error}")
