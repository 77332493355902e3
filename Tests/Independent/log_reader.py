"""Reads a log, and changes nothing: docs/format/log.md, by section."""

import fcntl
import os
import re
import struct
import uuid

from checksums import ALL_ONES, LSN_MAX, Refused, require, stored_crc
from frames import read_batches

PAGE = 4096
F_OFD_GETLK = 36


def u32(data, offset):
    return struct.unpack_from("<I", data, offset)[0]


def u64(data, offset):
    return struct.unpack_from("<Q", data, offset)[0]


def page_verifies(page):
    return len(page) == PAGE and u32(page, 4092) == stored_crc(page[:4092])


def read_file(path):
    with open(path, "rb") as file:
        return file.read()


class Paths:
    """§4 and §11: where the parts of a log lie, in a directory or beside one growing file."""

    def __init__(self, path):
        self.in_one_file = not os.path.isdir(path)
        join = (lambda name: f"{path}.{name}") if self.in_one_file else (lambda name: os.path.join(path, name))
        self.log, self.control, self.lock, self.slots = path, join("control"), join("lock"), join("slots")
        self.restoring = join("restoring")
        self.segment = lambda k: join(f"{k:020}.wal")
        self.times = lambda k: join(f"{k:020}.times")
        self.epochs = lambda generation: join(f"epochs-{generation:020}")


# §5 and §6

def identity(page):
    require(page[:8] == b"WALSHIPC" and page_verifies(page), "page 0 of control is damaged")
    version, features = u32(page, 8), u32(page, 12)
    require(version == 1 and features == 0, f"of a newer version: version {version}, features {features}")
    size = u64(page, 32)
    require(size == 0 or (size % PAGE == 0 and PAGE <= size <= 1 << 30), f"segment size {size}")
    return {"log_id": page[16:32], "segment_size": size, "created": u64(page, 40)}


def epoch_entries(data, offset, count):
    return [struct.unpack_from("<QQQ", data, offset + 24 * i) for i in range(count)]


def check_epochs(epochs, head):
    for (number, _, start), (next_number, _, next_start) in zip(epochs, epochs[1:]):
        require(next_number == number + 1 and start <= next_start, "epochs out of order")
    require(all(1 <= number <= 9_999_999_999 and start <= LSN_MAX for number, _, start in epochs), "epoch out of range")
    require(head is None or epochs[0][2] <= head, "the epochs do not reach down to the head")


def facts_page(page, index, log_id):
    """The facts on this page, None if it is not intact; an unknown flag refuses the log."""
    if not (page[:8] == b"WALSHIPF" and page_verifies(page) and page[16:32] == log_id):
        return None
    require(u32(page, 60) & ~1 == 0, f"of a newer version: facts flags {u32(page, 60)}")
    facts = {
        "generation": u64(page, 8), "head": u64(page, 32), "floor": u64(page, 40),
        "discard_from": None if u64(page, 48) == ALL_ONES else u64(page, 48), "record_max": u32(page, 56),
        "replica": bool(u32(page, 60) & 1), "inode": u64(page, 64), "epochs_file": u64(page, 72),
    }
    count = u32(page, 80)
    if not 1 <= count <= 128:
        return None
    facts["epochs"] = epoch_entries(page, 96, count)
    try:
        check_epochs(facts["epochs"], None)
    except Refused:
        return None
    intact = (
        1 <= facts["generation"] <= LSN_MAX and facts["generation"] % 2 == index - 1
        and facts["head"] <= facts["floor"] <= LSN_MAX and 1 <= facts["record_max"] < 1 << 31
        and (facts["discard_from"] is None or facts["head"] <= facts["discard_from"] <= LSN_MAX)
        and facts["epochs_file"] <= LSN_MAX)
    return facts if intact else None


def ruling_facts(control, log_id, paths):
    copies = [facts_page(control[PAGE * i:PAGE * (i + 1)], i, log_id) for i in (1, 2)]
    intact = [copy for copy in copies if copy]
    require(intact, "neither copy of the facts is intact")
    facts = max(intact, key=lambda copy: copy["generation"])
    if facts["epochs_file"]:
        facts["epochs"] = epochs_file(read_file(paths.epochs(facts["epochs_file"])), facts, log_id) + facts["epochs"]
    check_epochs(facts["epochs"], facts["head"])
    return facts


def epochs_file(data, facts, log_id):
    require(len(data) >= 44 and data[:8] == b"WALSHIPE" and u64(data, 8) == facts["epochs_file"]
            and data[16:32] == log_id, "the epochs file is not the one that the facts name")
    count = u32(data, 32)
    require(1 <= count <= 1_000_000 and len(data) == 44 + 24 * count, "the epochs file has another length")
    require(u32(data, 40 + 24 * count) == stored_crc(data[:-4]), "the epochs file is damaged")
    return epoch_entries(data, 40, count)


def live_page(page, facts, inode):
    words = [u64(page, offset) for offset in range(8, 96, 8)]
    boot = uuid.UUID(read_file("/proc/sys/kernel/random/boot_id").decode().strip()).bytes
    live = {
        "durable": words[0], "written": words[1], "head": words[2],
        "incarnation": f"{words[3]:016x}{words[4]:016x}", "boot_id": f"{words[5]:016x}{words[6]:016x}",
        "stopped": bool(words[7] & 1), "blocked": bool(words[7] & 2), "blocked_by": words[8], "writer": words[9], "waiting": words[10],
    }
    live["believed"] = (
        page[:8] == b"WALSHIPL" and max(words[:3]) <= LSN_MAX and max(words[8:10]) < 1 << 31
        and live["boot_id"] == boot.hex() and inode == facts["inode"])
    return live


def writer_holds(path):
    """§10: somebody holds byte 0 of `lock` exclusively. Asks with a shared lock, which readers' locks do not disturb."""
    with open(path, "rb") as file:
        asked = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, 0, 1, 0)
        return struct.unpack("hhqqi4x", fcntl.fcntl(file, F_OFD_GETLK, asked))[0] != fcntl.F_UNLCK


# §7

def foot(data, log_id, k, size):
    """The foot's parts; None if the header does not verify."""
    if len(data) != PAGE or data[:8] != b"WALSHIPS" or u32(data, 40) != stored_crc(data[:40]):
        return None
    if (data[8:24], u64(data, 24), u64(data, 32)) != (log_id, k, size):
        return None
    bound = log_id + struct.pack("<Q", k)
    first = None
    if u32(data, 520) == stored_crc(bound + data[512:520]):
        first = u64(data, 512)
        inside = first <= LSN_MAX if size == 0 else k * size <= first < (k + 1) * size
        first = "none begins here" if first == ALL_ONES else first if inside else None
    cells = []
    for parity in (0, 1):
        at = 1024 + 512 * parity
        epoch, durable, sequence = struct.unpack_from("<QQQ", data, at)
        if (u32(data, at + 24) == stored_crc(bound + data[at:at + 24]) and durable <= LSN_MAX
                and 1 <= sequence <= LSN_MAX and sequence % 2 == parity):
            cells.append({"epoch_id": epoch, "durable": durable, "sequence": sequence})
    return {"segment": k, "first_frame": first, "cell": max(cells, key=lambda cell: cell["sequence"], default=None)}


# §8

def slot_half(half, parity, log_id):
    if len(half) != PAGE or half[:8] != b"WALSHIPP" or not page_verifies(half):
        return None
    version, kind = u32(half, 8), u32(half, 12)
    if version != 1 or kind not in (1, 2):
        return {"unknown": f"version {version}, kind {kind}"}
    slot = {
        "kind": "pin" if kind == 1 else "destination", "generation": u64(half, 16), "position": u64(half, 40),
        "epoch_id": u64(half, 48), "segment_digest": half[56:72].hex(), "segment": [u64(half, 72), u64(half, 80)],
        "archive_id": half[88:104].hex(), "archived": u64(half, 104), "capabilities": u32(half, 116),
        "levels": [], "tail_digests": [half[at:at + 16].hex() for at in range(312, 376, 16)], "started_end": u64(half, 264),
        "last_gap": [u64(half, 272), u64(half, 280)], "released": u64(half, 376), "tails_left": [u64(half, 384), u64(half, 392)], "gaps": [], "shipping_epoch": u64(half, 288), "shipping_start": u64(half, 296),
        "acknowledged": u64(half, 304),
    }
    for at in range(120, 248, 32):
        slot["levels"].append({"in_flight": [u64(half, at), u64(half, at + 8)], "group_start": u64(half, at + 16),
                               "group_count": u32(half, at + 24)})
    sound = True
    for at in (512, 768):
        start, end, when, flags, count = struct.unpack_from("<QQQII", half, at)
        if start == end:
            continue
        sound = sound and count <= 224
        try:
            reason = half[at + 32:at + 32 + min(count, 224)].decode()
        except UnicodeDecodeError:
            sound, reason = False, ""
        sound = sound and len(slot["gaps"]) == (at - 512) // 256
        sound = sound and all(start >= gap["range"][1] for gap in slot["gaps"])
        slot["gaps"].append({"range": [start, end], "time": when, "told": bool(flags & 1), "reason": reason})
    ranges = [slot["segment"], slot["last_gap"], slot["tails_left"]] + [gap["range"] for gap in slot["gaps"]] + [level["in_flight"] for level in slot["levels"]]
    lsns = [slot["position"], slot["archived"], slot["started_end"], slot["shipping_start"], slot["released"]]
    lsns += [level["group_start"] for level in slot["levels"]] + [end for _, end in ranges]
    intact = (
        sound and half[24:40] == log_id and 1 <= slot["generation"] <= LSN_MAX and slot["generation"] % 2 == parity
        and u32(half, 112) == 4 and max(lsns) <= LSN_MAX and all(start <= end for start, end in ranges)
        and slot["shipping_epoch"] <= 9_999_999_999)
    if intact and kind == 1:
        intact = not any(half[56:112]) and not any(half[116:1024])
    return slot if intact else None


def slot_state(data, log_id):
    halves = [slot_half(data[PAGE * i:PAGE * (i + 1)], i, log_id) for i in (0, 1)]
    intact = [half for half in halves if half]
    if not intact or any("unknown" in half for half in intact):
        return {"holds": "everything"}
    state = max(intact, key=lambda half: half["generation"])
    def hold(half):
        return half["position"] if half["kind"] == "pin" else min(half["position"], half["released"])
    return {**state, "holds": min(hold(half) for half in intact)}


# §9

def varint(data, at):
    value = shift = 0
    for index in range(at, min(at + 10, len(data))):
        byte = data[index]
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            shortest = byte != 0 or index == at
            return (value, index + 1) if shortest and value <= ALL_ONES else None
    return None


def times(data, log_id, k):
    """(nanoseconds, durable LSN) entries; none where the header is not this log's and k's."""
    if len(data) < 32 or data[:8] != b"WALSHIPT" or u64(data, 8) != k or data[16:32] != log_id:
        return []
    entries, at, t, d = [], 32, 0, 0
    while True:
        first = varint(data, at)
        second = first and varint(data, first[1])
        if not second or second[1] + 4 > len(data):
            return entries
        zigzag, delta = first[0], second[0]
        t = (t + ((zigzag >> 1) ^ -(zigzag & 1))) & ALL_ONES
        d += delta
        if d > LSN_MAX or u32(data, second[1]) != stored_crc(log_id + struct.pack("<QQQ", k, t, d)):
            return entries
        entries.append([t, d])
        at = second[1] + 4


# §12

def restore_mark(data):
    """What is being restored, of a directory that is no log yet."""
    require(len(data) == 1024 and data[:8] == b"WALSHIPR" and u32(data, 56) == stored_crc(data[:56]), "the file restoring is damaged")
    require(u32(data, 8) == 1, f"of a newer version: a restore of version {u32(data, 8)}")
    size, head, target = u64(data, 32), u64(data, 40), u64(data, 48)
    require(u32(data, 12) <= 2 and max(head, target) <= LSN_MAX and size % PAGE == 0 and PAGE <= size <= 1 << 30, "the file restoring is out of range")
    synced = u64(data, 512)
    if synced > LSN_MAX or u32(data, 520) != stored_crc(data[16:32] + data[512:520]):
        synced = 0
    return {"log_id": str(uuid.UUID(bytes=data[16:32])), "segment_size": size, "head": head, "target": u32(data, 12), "lsn": target, "synced": synced}


# §13

class Log:
    """Opened at `path`; `elsewhere` reads it as a machine does that has only the files: without the live page."""

    def __init__(self, path, elsewhere=False):
        self.paths = Paths(path)
        require(os.path.exists(self.paths.control), f"{path} is not a log: it has no control file")
        control = read_file(self.paths.control)
        pages = 5 if self.paths.in_one_file else 4
        require(len(control) >= pages * PAGE, "control is too short")
        self.identity = identity(control[:PAGE])
        self.log_id, self.size = self.identity["log_id"], self.identity["segment_size"]
        require((self.size == 0) == self.paths.in_one_file, f"segment size {self.size} in the wrong place")
        self.facts = ruling_facts(control, self.log_id, self.paths)
        inode = os.stat(self.paths.control).st_ino
        self.copied = inode != self.facts["inode"]
        self.live = live_page(control[3 * PAGE:4 * PAGE], self.facts, inode)
        self.live["believed"] = self.live["believed"] and not elsewhere
        self.slots = self._slots()
        self.feet = self._feet(control)
        self.times = self._times()

    def _slots(self):
        names = sorted(os.listdir(self.paths.slots)) if os.path.isdir(self.paths.slots) else []
        names = [name for name in names if re.fullmatch(r"[a-z0-9._-]{1,64}", name) and not name.endswith(".tmp")]
        return {name: slot_state(read_file(os.path.join(self.paths.slots, name)), self.log_id) for name in names}

    def _numbered(self, suffix):
        if self.paths.in_one_file:
            return []
        return sorted(int(name[:20]) for name in os.listdir(self.paths.log) if re.fullmatch(rf"\d{{20}}\.{suffix}", name))

    def _feet(self, control):
        if self.paths.in_one_file:
            return [foot(control[4 * PAGE:5 * PAGE], self.log_id, 0, 0)]
        found = []
        for k in self._numbered("wal"):
            with open(self.paths.segment(k), "rb") as file:
                file.seek(self.size)
                found.append(foot(file.read(PAGE), self.log_id, k, self.size))
        return found

    def _times(self):
        return {k: times(read_file(self.paths.times(k)), self.log_id, k) for k in self._numbered("times")}

    def bound(self):
        """Below it everything is durable (§13, step 2)."""
        current = self.facts["epochs"][-1][1]
        bounds = [self.facts["floor"]]
        if self.live["believed"]:
            bounds.append(self.live["durable"])
        for found in self.feet:
            if found and found["cell"] and found["cell"]["epoch_id"] == current:
                bounds.append(found["cell"]["durable"])
        for slot in self.slots.values():
            if slot.get("epoch_id") == current:
                bounds += [slot["position"], slot["archived"], slot["started_end"]]
                bounds += [level["in_flight"][1] for level in slot["levels"]]
        return max(bounds)

    def read(self, lsn, count):
        """The log's bytes from `lsn` on; fewer where the file ends or a segment is missing or another's."""
        if self.paths.in_one_file:
            return self._read_file(self.paths.log, lsn, count)
        verified = {found["segment"] for found in self.feet if found}
        parts = []
        while count > 0:
            k, offset = divmod(lsn, self.size)
            if k not in verified:
                break
            part = self._read_file(self.paths.segment(k), offset, min(count, self.size - offset))
            parts.append(part)
            lsn, count = lsn + len(part), count - len(part)
            if not part:
                break
        return b"".join(parts)

    @staticmethod
    def _read_file(path, offset, count):
        with open(path, "rb") as file:
            file.seek(offset)
            return file.read(count)

    def records(self):
        """(records below the durable LSN, the durable LSN)."""
        bound, discard = self.bound(), self.facts["discard_from"]
        if discard is not None:
            bound = min(bound, discard)
        records, end = [], self.facts["head"]
        batches = read_batches(self.read, end, self.log_id, self.facts["epochs"], self.facts["record_max"])
        while end < bound:
            batch = next(batches, None)
            if batch is None:
                require(False, f"no intact frame below the durable LSN {bound}, after the batch that ends here", end)
            require(discard is None or batch[1] <= discard, "a batch ends above discardFrom", end)
            records += batch[0]
            end = batch[1]
        return records, end


def listing(path, elsewhere):
    """Everything in the log, as values for JSON, one after another."""
    paths = Paths(path)
    if not paths.in_one_file and not os.path.exists(paths.control) and os.path.exists(paths.restoring):
        yield {"what": "restoring", **restore_mark(read_file(paths.restoring))}
        raise Refused(f"{path} is being restored, and no log yet")
    log = Log(path, elsewhere)
    yield {"what": "identity", **log.identity, "log_id": str(uuid.UUID(bytes=log.log_id))}
    facts = {key: value for key, value in log.facts.items() if key != "epochs"}
    yield {"what": "facts", **facts, "copied": log.copied}
    for number, epoch_id, start in log.facts["epochs"]:
        yield {"what": "epoch", "number": number, "id": f"{epoch_id:016x}", "start": start}
    yield {"what": "live", **log.live, "locked": os.path.exists(log.paths.lock) and writer_holds(log.paths.lock)}
    for found in log.feet:
        if found:
            yield {"what": "foot", **found}
    for name, slot in log.slots.items():
        yield {"what": "slot", "name": name, **slot}
    for k, entries in log.times.items():
        yield {"what": "times", "segment": k, "entries": entries}
    records, durable = log.records()
    for lsn, payload in records:
        yield {"what": "record", "lsn": lsn, "data": payload.hex()}
    yield {"what": "end", "lsn": durable}
