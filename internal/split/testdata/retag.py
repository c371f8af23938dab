"""Edits one file with mutagen, the way a library manager would.

usage: retag.py FILE OPERATION [PICTURE]
"""
import base64
import struct
import sys

import mutagen
from mutagen import apev2, asf, flac, id3, mp4


def picture(data):
    p = flac.Picture()
    p.type, p.mime, p.desc, p.data = 3, "image/jpeg", "cover", data
    return p


def edit_id3(tags, op, data):
    if op == "title":
        tags.setall("TIT2", [id3.TIT2(encoding=3, text="A new title")])
    elif op == "long":
        tags.setall("COMM", [id3.COMM(encoding=3, lang="eng", text="long " * 4000)])
    elif op == "picture":
        tags.setall("APIC", [id3.APIC(encoding=1, mime="image/jpeg", type=3, desc="cöver", data=data)])
    elif op == "nopicture":
        tags.delall("APIC")


def edit_mp4(tags, op, data):
    if op == "title":
        tags["\xa9nam"] = "A new title"
    elif op == "long":
        tags["\xa9cmt"] = "long " * 4000
    elif op == "picture":
        tags["covr"] = [mp4.MP4Cover(data)]
    elif op == "nopicture":
        tags.pop("covr", None)


def edit_vorbis(f, op, data):
    if op == "title":
        f["title"] = "A new title"
    elif op == "long":
        f["comment"] = "long " * 4000
    elif op == "picture" and isinstance(f, flac.FLAC):
        f.add_picture(picture(data))
    elif op == "picture":
        f["metadata_block_picture"] = base64.b64encode(picture(data).write()).decode()
    elif op == "nopicture" and isinstance(f, flac.FLAC):
        f.clear_pictures()
    elif op == "nopicture":
        f.pop("metadata_block_picture", None)


def edit_asf(tags, op, data):
    if op == "title":
        tags["Title"] = "A new title"
    elif op == "long":
        tags["Description"] = "long " * 4000
    elif op == "picture":
        text = "image/jpeg\0cover\0".encode("utf-16-le")
        tags["WM/Picture"] = asf.ASFByteArrayAttribute(struct.pack("<bI", 3, len(data)) + text + data)
    elif op == "nopicture":
        tags["WM/Picture"] = []


def edit_apev2(tags, op, data):
    if op == "title":
        tags["Title"] = "A new title"
    elif op == "long":
        tags["Comment"] = "long " * 4000
    elif op == "picture":
        tags["Cover Art (Front)"] = apev2.APEValue(b"cover.jpg\0" + data, apev2.BINARY)
    elif op == "nopicture":
        tags.pop("Cover Art (Front)", None)


def edit_ape(path, op, data):
    try:
        tags = apev2.APEv2(path)
    except apev2.APENoHeaderError:
        tags = apev2.APEv2()
    if op == "apetitle":
        tags["Title"] = "A new title"
    elif op == "apepicture":
        tags["Cover Art (Front)"] = apev2.APEValue(b"cover.jpg\0" + data, apev2.BINARY)
    tags.save(path)
    if op == "apedelete":
        apev2.delete(path)


def edit_adts(path, op, data):
    try:
        tags = id3.ID3(path)
    except id3.ID3NoHeaderError:
        tags = id3.ID3()
    edit_id3(tags, op, data)
    tags.save(path)
    if op == "delete":
        id3.delete(path)


def main(path, op, data=None):
    if op == "id3v23":
        id3.ID3(path).save(path, v2_version=3, v1=2)
        return
    if op == "nopadding":
        mutagen.File(path).save(padding=lambda info: 0)
        return
    if op.startswith("ape"):
        edit_ape(path, op, data)
        return
    if path.endswith(".aac"):
        edit_adts(path, op, data)
        return
    f = mutagen.File(path)
    if op == "delete":
        f.delete()
        return
    if f.tags is None:
        f.add_tags()
    if isinstance(f.tags, id3.ID3):
        edit_id3(f.tags, op, data)
    elif isinstance(f, mp4.MP4):
        edit_mp4(f.tags, op, data)
    elif isinstance(f, asf.ASF):
        edit_asf(f.tags, op, data)
    elif isinstance(f.tags, apev2.APEv2):
        edit_apev2(f.tags, op, data)
    else:
        edit_vorbis(f, op, data)
    f.save()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], open(sys.argv[3], "rb").read() if len(sys.argv) > 3 else None)
