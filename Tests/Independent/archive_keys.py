"""Encrypted objects: docs/format/archive.md §4.4, with libcrypto's AES and the standard library's HMAC."""

import ctypes
import functools
import hashlib
import hmac
import re

from checksums import require

PIECE, TAG = 65_536, 16
SET_TAG = 0x11


def hkdf(master, salt, info, count):
    """HKDF-SHA256, RFC 5869; at most 32 bytes are needed here."""
    extracted = hmac.new(salt or bytes(32), master, hashlib.sha256).digest()
    return hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()[:count]


def read_key(path):
    """(key id, key) of a file with 64 hex digits on one line."""
    with open(path, encoding="ascii") as file:
        text = file.read()
    require(re.fullmatch(r"[0-9a-fA-F]{64}\r?\n?", text), f"{path}: no key")
    key = bytes.fromhex(text.strip())
    return hkdf(key, b"", b"walship key id", 16), key


def keyed_digest(master, log_id, digest):
    key = hkdf(master, b"", b"walship digest key" + log_id, 32)
    return hmac.new(key, digest, hashlib.sha256).digest()[:16]


def open_content(frame, sealed, master, salt, name):
    """The zstd frame in the pieces `sealed`, behind the metadata frame `frame`."""
    place = frame[8 + 24:8 + 40] + frame[8 + 64:8 + 88]
    key = hkdf(master, salt, b"walship object key" + place, 32)
    associated = hashlib.sha256(frame[:128] + bytes(8) + frame[136:]).digest()
    content = b""
    for start in range(0, len(sealed), PIECE + TAG):
        piece = sealed[start:start + PIECE + TAG]
        last = start + len(piece) == len(sealed)
        require(len(piece) > TAG, f"{name}: a piece without content")
        nonce = (start // (PIECE + TAG)).to_bytes(11, "big") + (b"\x01" if last else b"\x00")
        opened = decrypt(key, nonce, piece[:-TAG], piece[-TAG:], associated)
        require(opened is not None, f"{name}: the piece at {start} does not open")
        content += opened
    return content


@functools.cache
def libcrypto():
    library = ctypes.CDLL("libcrypto.so.3")
    library.EVP_CIPHER_CTX_new.restype = ctypes.c_void_p
    library.EVP_aes_256_gcm.restype = ctypes.c_void_p
    pointer, count, buffer = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
    library.EVP_DecryptInit_ex.argtypes = [pointer, pointer, pointer, buffer, buffer]
    library.EVP_DecryptUpdate.argtypes = [pointer, pointer, ctypes.POINTER(count), buffer, count]
    library.EVP_DecryptFinal_ex.argtypes = [pointer, pointer, ctypes.POINTER(count)]
    library.EVP_CIPHER_CTX_ctrl.argtypes = [pointer, count, count, buffer]
    library.EVP_CIPHER_CTX_free.argtypes = [pointer]
    return library


def decrypt(key, nonce, sealed, tag, associated):
    """AES-256-GCM; None where the tag says no."""
    library = libcrypto()
    context = library.EVP_CIPHER_CTX_new()
    output, done = ctypes.create_string_buffer(len(sealed)), ctypes.c_int()
    try:
        steps = [
            library.EVP_DecryptInit_ex(context, library.EVP_aes_256_gcm(), None, key, nonce),
            library.EVP_DecryptUpdate(context, None, ctypes.byref(done), associated, len(associated)),
            library.EVP_DecryptUpdate(context, output, ctypes.byref(done), sealed, len(sealed)),
            library.EVP_CIPHER_CTX_ctrl(context, SET_TAG, TAG, tag),
        ]
        require(steps == [1, 1, 1, 1], f"libcrypto: {steps}")
        return output.raw if library.EVP_DecryptFinal_ex(context, output, ctypes.byref(done)) == 1 else None
    finally:
        library.EVP_CIPHER_CTX_free(context)
