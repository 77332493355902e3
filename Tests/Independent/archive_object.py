"""One archived object: docs/format/archive.md §4."""

import re
import struct
import subprocess

from archive_keys import keyed_digest, open_content
from checksums import ALL_ONES, LSN_MAX, crc32c, require, xxh3_128

RAW_MAX = 1 << 30
SIZE_MAX = RAW_MAX + (16 << 20)
COUNT_MAX = 65_536
ZSTD_MAGIC = 0xFD2FB528


def u32(data, offset):
    return struct.unpack_from("<I", data, offset)[0]


def u64(data, offset):
    return struct.unpack_from("<Q", data, offset)[0]


def check_zstd_frame(frame, raw_count):
    """Checksum flag, content size, no dictionary, and that the frame ends where the object does (RFC 8878, 3.1.1)."""
    require(len(frame) >= 6 and u32(frame, 0) == ZSTD_MAGIC, "no zstd frame")
    descriptor = frame[4]
    size_flag, single, checksum, dictionary = descriptor >> 6, descriptor >> 5 & 1, descriptor >> 2 & 1, descriptor & 3
    require(checksum and dictionary == 0, "the zstd frame has no checksum, or a dictionary")
    at = 5 if single else 6
    width = [1 if single else 0, 2, 4, 8][size_flag]
    require(width, "the zstd frame does not say its content's size")
    count = int.from_bytes(frame[at:at + width], "little") + (256 if width == 2 else 0)
    require(count == raw_count, f"the zstd frame holds {count} bytes instead of {raw_count}")
    at += width
    last = 0
    while not last:
        require(at + 3 <= len(frame), "the zstd frame is cut")
        block = int.from_bytes(frame[at:at + 3], "little")
        last, kind, size = block & 1, block >> 1 & 3, block >> 3
        at += 3 + (1 if kind == 1 else size)
    require(at + 4 == len(frame), "the zstd frame does not end where the object ends")


class ArchivedObject:
    """Decoded and checked, steps 1 to 8 of §4.3; step 9, the frames, needs the objects around it."""

    def __init__(self, data, key, log, keys=None):
        require(20 <= len(data) <= SIZE_MAX and u32(data, 0) == 0x184D2A57, f"{key}: no object")
        size = u32(data, 4)
        meta = data[8:8 + size]
        require(240 <= size <= 240 + 40 * COUNT_MAX and len(meta) == size, f"{key}: metadata size {size}")
        require(meta[:8] == b"WALSHIPO", f"{key}: not ours")
        require(u32(meta, 8) == 1, f"{key}: unsupported version {u32(meta, 8)}")
        zeroed = data[:128] + bytes(4) + data[132:]
        require(u32(meta, 120) == crc32c(zeroed), f"{key}: the object's CRC-32C")
        require(u32(meta, 124) == crc32c(meta[:120] + bytes(8) + meta[128:]), f"{key}: the metadata's CRC-32C")
        require(u32(meta, 12) <= 1, f"{key}: unsupported flags {u32(meta, 12)}")
        self.sealed, self.key_id, self.salt = u32(meta, 12) == 1, meta[160:176], meta[176:208]
        self.key, self.kind, self.level = key, u32(meta, 16), u32(meta, 20)
        self.number, self.epoch_id, self.start, self.end = struct.unpack_from("<QQQQ", meta, 56)
        self.first, self.last, self.count, self.size = struct.unpack_from("<QQQQ", meta, 88)
        self.digest, self.previous, self.epoch_start = meta[128:144], meta[144:160], u64(meta, 208)
        ancestors, times = u32(meta, 224), u32(meta, 228)
        require(max(ancestors, times) <= COUNT_MAX and size == 240 + 24 * ancestors + 16 * times, f"{key}: counts")
        self.ancestry = [struct.unpack_from("<QQQ", meta, 240 + 24 * i) for i in range(ancestors)]
        self.times = [struct.unpack_from("<QQ", meta, 240 + 24 * ancestors + 16 * i) for i in range(times)]
        require(self.sealed or not any(meta[160:208]), f"{key}: key id or salt of an object that is not encrypted")
        require(not any(meta[216:224]) and not any(meta[232:240]), f"{key}: reserved bytes")
        require(self.size == len(data), f"{key}: size")
        require(meta[24:40] == log["log_id"] and meta[40:56] == log["archive_id"], f"{key}: of another log or archive")
        self._check_name()
        self._check_rules(log["segment_size"])
        frame, master = data[8 + size:], None
        if self.sealed:
            master = (keys or {}).get(self.key_id)
            require(master, f"{key}: encrypted with key {self.key_id.hex()}, which is not among the keys given")
            frame = open_content(data[:8 + size], frame, master, self.salt, key)
        self.raw = self._decompress(frame)
        digest = xxh3_128(self.raw)
        require((keyed_digest(master, meta[24:40], digest) if master else digest) == self.digest, f"{key}: raw digest")
        self.plain_digest = digest

    def _check_name(self):
        place = "segments" if self.kind == 1 else "tail"
        level = f"{self.level}/" if self.kind == 2 else ""
        name = f"{place}/{self.number:010}-{self.epoch_id:016x}/{level}{self.start:020}.zst{'.enc' if self.sealed else ''}"
        require(self.kind in (1, 2) and self.key == name, f"{self.key}: the metadata says {name}")

    def _check_rules(self, size):
        ok = self.start < self.end <= LSN_MAX and self.end - self.start <= RAW_MAX and self.epoch_start <= self.start
        require(ok and 1 <= self.number <= 9_999_999_999, f"{self.key}: range")
        if self.count == 0:
            require(self.first == self.last == ALL_ONES, f"{self.key}: frames that begin inside")
        else:
            ok = self.start <= self.first <= self.last < self.end and (self.first == self.last) == (self.count == 1)
            require(ok and self.last - self.first >= 8 * (self.count - 1), f"{self.key}: frames that begin inside")
        require(self.ancestry and self.ancestry[-1][:2] == (self.number, self.epoch_id), f"{self.key}: ancestry")
        require(self.ancestry[0][2] <= self.start, f"{self.key}: ancestry does not reach the start")
        for before, after in zip(self.ancestry, self.ancestry[1:]):
            require(before[0] < after[0] and before[2] <= after[2], f"{self.key}: ancestry out of order")
        lsns = [lsn for _, lsn in self.times]
        require(all(a < b for a, b in zip([self.start] + lsns, lsns + [self.end + 1])), f"{self.key}: time index")
        k = self.start // size
        if self.kind == 1:
            require(self.level == 0 and self.end == (k + 1) * size, f"{self.key}: a segment's end")
        else:
            require(self.level <= 3 and self.end <= (k + 1) * size, f"{self.key}: a tail's level or end")

    def _decompress(self, frame):
        check_zstd_frame(frame, self.end - self.start)
        zstd = subprocess.run(["zstd", "-d", "-c"], input=frame, capture_output=True)
        require(zstd.returncode == 0 and len(zstd.stdout) == self.end - self.start, f"{self.key}: zstd refuses it")
        return zstd.stdout

    def listing(self):
        return {
            "what": "object", "key": self.key, "start": self.start, "end": self.end, "first": self.first,
            "last": self.last, "count": self.count, "digest": self.digest.hex(), "previous": self.previous.hex(),
            "epoch_start": self.epoch_start, "times": self.times, "key_id": self.key_id.hex() if self.sealed else None,
            "ancestry": [[number, f"{epoch_id:016x}", fork] for number, epoch_id, fork in self.ancestry],
        }


def objects_in(names):
    """The keys that can be objects'; their order is that of the ranges within kind, epoch and level."""
    form = r"(segments/\d{10}-[0-9a-f]{16}|tail/\d{10}-[0-9a-f]{16}/[0-3])/\d{20}\.zst(\.enc)?"
    return sorted(name for name in names if re.fullmatch(form, name))
