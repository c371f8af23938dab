"""Read and edit tags with mutagen, one process for many files.

    tags.py scan  < {"root": ..., "files": [...], "seconds": N}
    tags.py retag < {"root": ..., "files": [...], "from": ..., "to": ..., "limit": N, "copy": bool}
    tags.py each  < {"root": ..., "to": {file: artist}}

scan prints {file: {title, artist, album, art}}, art being the SHA-256 of the
first picture; after that many seconds, if they are given, it leaves the rest. retag sets artist and album artist and prints the list of files
it edited; with "copy" it edits a copy and renames that over the file. each gives every
file an artist of its own. A file that fails ends the program.
"""
import base64
import hashlib
import json
import os
import shutil
import sys
import time

import mutagen
from mutagen import apev2, asf, flac, id3, mp4

FAMILIES = (id3.ID3, mp4.MP4Tags, asf.ASFTags, apev2.APEv2)  # and Vorbis comment
FIELDS = {
    "title": ("TIT2", "\xa9nam", "Title", "Title", "title"),
    "artist": ("TPE1", "\xa9ART", "Author", "Artist", "artist"),
    "albumartist": ("TPE2", "aART", "WM/AlbumArtist", "Album Artist", "albumartist"),
    "album": ("TALB", "\xa9alb", "WM/AlbumTitle", "Album", "album"),
}


def key(m, field):
    for i, family in enumerate(FAMILIES):
        if isinstance(m.tags, family):
            return FIELDS[field][i]
    return FIELDS[field][-1]


def get(m, field):
    v = m.tags.get(key(m, field)) if m.tags is not None else None
    return str(v[0]) if v else ""


def put(m, field, value):
    k = key(m, field)
    if isinstance(m.tags, id3.ID3):
        m.tags.setall(k, [getattr(id3, k)(encoding=1, text=[value])])
    else:
        m.tags[k] = [value]


def art(m):
    if m.tags is None:
        return ""
    if isinstance(m.tags, id3.ID3):
        pictures = [p.data for p in m.tags.getall("APIC")]
    elif isinstance(m.tags, mp4.MP4Tags):
        pictures = m.tags.get("covr", [])
    elif isinstance(m, flac.FLAC):
        pictures = [p.data for p in m.pictures]
    elif isinstance(m.tags, (asf.ASFTags, apev2.APEv2)):
        pictures = []  # no library here has any
    else:
        pictures = [flac.Picture(base64.b64decode(t)).data for t in m.tags.get("metadata_block_picture", [])]
    return hashlib.sha256(pictures[0]).hexdigest() if pictures else ""


def load(path):
    m = mutagen.File(path)
    if m is None:
        raise ValueError("mutagen does not know the format of " + path)
    return m


def scan(job):
    out = {}
    end = time.monotonic() + job.get("seconds", float("inf"))
    for f in job["files"]:
        if time.monotonic() > end:
            break
        m = load(os.path.join(job["root"], f))
        out[f] = {"title": get(m, "title"), "artist": get(m, "artist"), "album": get(m, "album"), "art": art(m)}
    return out


def edit(path, to):
    m = load(path)
    if m.tags is None:
        m.add_tags()
    put(m, "artist", to)
    put(m, "albumartist", to)
    if isinstance(m.tags, id3.ID3):
        m.tags.update_to_v23()
        m.save(v2_version=3)
    else:
        m.save()


def retag(job):
    edited = []
    for f in job["files"]:
        if len(edited) == job["limit"]:
            break
        path = os.path.join(job["root"], f)
        if job["from"] and get(load(path), "artist") != job["from"]:
            continue
        if job["copy"]:
            base, ext = os.path.splitext(f)
            tmp = os.path.join(job["root"], base + ".tmp" + ext)
            shutil.copy2(path, tmp)
            edit(tmp, job["to"])
            os.replace(tmp, path)
        else:
            edit(path, job["to"])
        edited.append(f)
    return edited


def each(job):
    for f, artist in job["to"].items():
        edit(os.path.join(job["root"], f), artist)


json.dump({"scan": scan, "retag": retag, "each": each}[sys.argv[1]](json.load(sys.stdin)), sys.stdout)
