// Package split cuts a music file where its tags end and its sound begins, so
// that a retag uploads some hundred bytes and not the album.
//
// A file is a sequence of runs, each a stretch of bytes that belongs to one
// part. A part is the concatenation of its runs in file order. Nothing is
// re-encoded: whoever lays the runs out again in order has the file again, byte
// for byte, and needs to know nothing of music.
//
// # Parts
//
//	kind   holds                                        why apart
//	Tags   tags, headers, padding, unknown boxes        labour: changes often, small
//	Art    one embedded picture, from its first byte    large for a tag; an album shares it
//	Index  MP4 sample tables, Ogg page lacing,          a retag may shift it, rarely does
//	       Vorbis and Theora setup, Matroska tracks
//	       and headers of packets and clusters
//	Seals  Ogg sequence numbers and checksums,          all change when a header grows;
//	       MP4 chunk offsets, Matroska cues             nothing else need change with them
//	Probe  both ends of the sound                       what scanners read to learn the length
//	Audio  the rest of the sound                        never changes
//	Data   an unrecognised file, or what is left of     opaque
//	       one
//
// A file has at most one part of each kind, but one Art part for each picture.
// Pictures below 1 KiB stay in the tags. A picture's part begins at the raw
// image, behind its type and description, so that the same picture in an MP3,
// an M4A and a FLAC is the same part; in Ogg it is the base64 text.
//
// The probe is the first 8 KiB and the last 4 KiB of the sound. In Ogg it is
// the last 64 KiB: scanners look for the last page in the last 64 KiB of the
// file, which never hold more sound than that. Both ends are counted in bytes
// of sound, not of file, so that a retag does not move the cut. When there is
// no more sound than that, all of it is probe.
//
// # Invariants
//
//   - The runs sum to the size of the file; neighbours belong to different
//     parts; every part has a run. [Layout.Check] says so, and Split applies it.
//   - The cut is a function of the bytes alone.
//   - The parsers affect savings, never bytes. What is malformed is Data, and
//     the only error is one of the reader.
//   - Sizes in headers are believed only as far as the file reaches, nothing is
//     allocated by them, and every loop has a bound.
//   - Headers are read, sound is not: a FLAC of any length costs some kilobytes,
//     an Ogg file its page headers. Clusters of Matroska that do not tell their
//     size, as in a live stream, are the exception: their blocks are walked.
//
// # Rules
//
// Tags around any file: ID3v2 in front, repeated (ID3v2.4 §3, §3.4); behind,
// in any order and number, ID3v1, its TAG+ extension, APEv1 and APEv2, Lyrics3
// v1 and v2, and appended ID3v2.4.
//
//	MPEG audio   from a chain of four consistent frame headers (ISO/IEC 11172-3
//	             §2.4.1.3, 13818-3 §2.4.2.3); leading Xing, Info and VBRI frames are tags
//	ADTS AAC     the chain (ISO/IEC 13818-7 §6.2), with no junk before it
//	FLAC         after the last metadata block (RFC 9639 §8, §9)
//	MP4, MOV     every mdat's payload (ISO/IEC 14496-12 §4.2, §8.1.1)
//	Ogg          page bodies after the header packets (RFC 3533 §6)
//	WAV, RIFX    the data chunk (Multimedia Programming Interface 1.0, §2, §3)
//	RF64, BW64   the same, its size from ds64 (EBU Tech 3306, ITU-R BS.2088)
//	AIFF, AIFC   the sound data chunk behind its offset (AIFF 1.3, Sound Data Chunk)
//	CAF          the data chunk behind its count of edits (Core Audio Format 1.0)
//	DSF          the data chunk; ID3v2 where the header points (DSF 1.01)
//	DSDIFF       the sound chunk, plain or DST (DSDIFF 1.5, §3.3, §3.4)
//	ASF, WMA     the packets of the data object (ASF 1.20, §5)
//	Matroska,    the bodies of the clusters (RFC 9559 §5.1.3)
//	WebM
//	Musepack     the audio packets of stream version 8; of 7 all behind 28 bytes
//	WavPack, Monkey's Audio, TTA, OptimFROG, TAK
//	             the whole stream between the tags
//
// Everything else is Data between its tags.
//
// Their tags may hold pictures as plain bytes: APIC and PIC in ID3v2, covr in MP4,
// PICTURE in FLAC, Cover Art in APEv2, WM/Picture in ASF, attached files of type
// image in Matroska.
package split
