"""Rename the artist with the most tracks, as a tag editor does: retag.py DIR

Prints what was renamed, and then the number of tracks on a line of its own.
"""
import collections
import os
import sys

import mutagen
from mutagen import id3, mp4


def key(tags):
    return "TPE1" if isinstance(tags, id3.ID3) else "\xa9ART" if isinstance(tags, mp4.MP4Tags) else "artist"


def tracks(root):
    for folder, _, files in os.walk(root):
        for name in sorted(files):
            try:
                m = mutagen.File(os.path.join(folder, name))
                yield m, str(m.tags[key(m.tags)][0] if key(m.tags) != "TPE1" else m.tags["TPE1"])
            except (AttributeError, KeyError, TypeError, mutagen.MutagenError):
                continue  # not music, or without an artist


def renamed(artist):
    """Sibelius, Jean (1865-1957) becomes Jean Sibelius; others get an ending."""
    last, comma, first = artist.partition(", ")
    return f"{first.split(' (')[0]} {last}" if comma else artist + " (renamed)"


everything = list(tracks(sys.argv[1]))
counts = collections.Counter(artist for _, artist in everything)
if not counts:
    sys.exit("error: no tracks with an artist in " + sys.argv[1])
old = counts.most_common(1)[0][0]
for m, artist in everything:
    if artist == old:
        k = key(m.tags)
        m.tags[k] = id3.TPE1(encoding=3, text=[renamed(old)]) if k == "TPE1" else [renamed(old)]
        m.save()
print(f"{old}  ->  {renamed(old)}")
print(counts[old])
