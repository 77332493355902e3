"""What both format documents share: CRC-32C, XXH3-128, and how a reader refuses."""

import ctypes
import functools

LSN_MAX = 1 << 62
ALL_ONES = (1 << 64) - 1


class Refused(Exception):
    """Something is not as the document says. `lsn` says where in the log, where that is known."""

    def __init__(self, reason, lsn=None):
        super().__init__(reason)
        self.reason, self.lsn = reason, lsn


def require(condition, reason, lsn=None):
    if not condition:
        raise Refused(reason, lsn)


def _table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _table()


def crc32c(data, before=0):
    """CRC-32C of `data`, or of what gave `before` followed by `data`."""
    value = before ^ 0xFFFFFFFF
    for byte in data:
        value = (value >> 8) ^ _TABLE[(value ^ byte) & 255]
    return value ^ 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283


def stored_crc(data):
    """The form in which a log stores a crc: a computed 0 is 0xFFFFFFFF."""
    return crc32c(data) or 0xFFFFFFFF


class _Hash128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


@functools.cache
def _xxh3():
    function = ctypes.CDLL("libxxhash.so.0").XXH3_128bits
    function.restype, function.argtypes = _Hash128, [ctypes.c_char_p, ctypes.c_size_t]
    assert xxh3_128(b"", function).hex() == "99aa06d3014798d86001c324468d497f"
    return function


def xxh3_128(data, function=None):
    result = (function or _xxh3())(data, len(data))
    return result.high.to_bytes(8, "big") + result.low.to_bytes(8, "big")
