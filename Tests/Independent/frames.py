"""Frames: docs/format/log.md §3."""

import struct

from checksums import Refused, stored_crc

HEADER = 8
BATCH_BIT = 1 << 31


def epoch_id_at(lsn, epochs):
    """The id that frames at `lsn` carry: of the last of `epochs`, (number, id, start), that starts at or below it."""
    found = None
    for _, epoch_id, start in epochs:
        if start <= lsn:
            found = epoch_id
    if found is None:
        raise Refused("no epoch covers this LSN", lsn)
    return found


def read_frame(read, lsn, log_id, epochs, record_max):
    """(payload, more of its batch follows) of the frame at `lsn`; None if it does not verify.

    `read(lsn, count)` gives the log's bytes, fewer where there are no more.
    """
    header = read(lsn, HEADER)
    if len(header) < HEADER:
        return None
    crc, field = struct.unpack("<II", header)
    count = field & ~BATCH_BIT
    if crc == 0 or count > record_max:
        return None
    payload = read(lsn + HEADER, count)
    if len(payload) < count:
        return None
    bound = log_id + struct.pack("<QI", epoch_id_at(lsn, epochs), field) + payload + struct.pack("<Q", lsn)
    return (payload, bool(field & BATCH_BIT)) if stored_crc(bound) == crc else None


def read_batches(read, lsn, log_id, epochs, record_max):
    """Yields [(lsn, payload), …] batch by batch; returns the LSN of the frame that stopped it.

    A record that is in no batch is a batch of one.
    """
    pending = []
    while True:
        frame = read_frame(read, lsn, log_id, epochs, record_max)
        if frame is None:
            return lsn
        payload, more = frame
        pending.append((lsn, payload))
        lsn += HEADER + len(payload)
        if not more:
            yield pending, lsn
            pending = []


