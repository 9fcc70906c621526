"""Small files that claim to be large."""

import struct


def index_bomb(count):
    """An .m4a of some hundred bytes whose table claims `count` samples."""

    def box(kind, content):
        return struct.pack(">I", 8 + len(content)) + kind + content

    tkhd = box(b"tkhd", b"\0\0\0\7" + bytes(8) + struct.pack(">II", 1, 0) + bytes(60) + bytes(8))
    mdhd = box(b"mdhd", bytes(12) + struct.pack(">II", 44100, count) + bytes(4))
    hdlr = box(b"hdlr", bytes(8) + b"soun" + bytes(13))
    mp4a = box(b"mp4a", bytes(6) + struct.pack(">H", 1) + bytes(8) + struct.pack(">HHI", 1, 16, 0) + struct.pack(">I", 44100 << 16))
    stsd = box(b"stsd", bytes(4) + struct.pack(">I", 1) + mp4a)
    stts = box(b"stts", bytes(4) + struct.pack(">III", 1, count, 1))
    stsc = box(b"stsc", bytes(4) + struct.pack(">IIII", 1, 1, count, 1))
    stsz = box(b"stsz", bytes(4) + struct.pack(">II", 4, count))
    stco = box(b"stco", bytes(4) + struct.pack(">II", 1, 400))
    stbl = box(b"stbl", stsd + stts + stsc + stsz + stco)
    minf = box(b"minf", box(b"smhd", bytes(8)) + stbl)
    moov = box(b"moov", box(b"mvhd", bytes(100)) + box(b"trak", tkhd + box(b"mdia", mdhd + hdlr + minf)))
    return box(b"ftyp", b"M4A \0\0\0\0M4A mp42") + moov + box(b"mdat", bytes(100))
