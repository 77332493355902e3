"""Reads an archive in a directory, and changes nothing: docs/format/archive.md, by section."""

import os
import uuid

from archive_documents import document
from archive_keys import keyed_digest, read_key
from archive_object import ArchivedObject, objects_in
from checksums import Refused, require
from frames import HEADER, read_batches, read_frame

FRAME_MAX = (1 << 31) - 1


class Archive:
    def __init__(self, path, key_files=()):
        self.path = path
        self.keys = dict(read_key(file) for file in key_files)
        self.names = {
            os.path.relpath(os.path.join(folder, name), path)
            for folder, _, names in os.walk(path) for name in names}
        require("log.json" in self.names, f"{path} is not an archive: it has no log.json")
        log = self.document("log", "log.json")
        self.log = {**log, "log_id": uuid.UUID(log["log_id"]).bytes, "archive_id": bytes.fromhex(log["archive_id"])}
        self.claims = self._claims()
        self.floor = self.document("floor", "floor.json")
        self.line, self.ancestry = self._line()
        self.heads = [self.document("head", f"heads/{name(entry)}.json") for entry in self.ancestry]
        self.objects = {}
        self.encryption = {entry["number"]: self.document("encryption", f"epochs/{entry['number']:010}/encryption.json")
                           for entry in self.ancestry}
        for entry in self.ancestry:
            found = self.encryption[entry["number"]]
            same = found is None or (found["epoch_number"], found["epoch_id"]) == (entry["number"], entry["id"])
            require(same, "an encryption.json of another epoch")

    def read(self, key):
        with open(os.path.join(self.path, key), "rb") as file:
            return file.read()

    def document(self, kind, key):
        return document(kind, self.read(key), key) if key in self.names else None

    def object(self, key):
        """The checked object under this name; None where nothing is there."""
        if key not in self.names:
            return None
        if key not in self.objects:
            self.objects[key] = ArchivedObject(self.read(key), key, self.log, self.keys)
        return self.objects[key]

    # §5

    def _claims(self):
        claims = []
        while claim := self.document("claim", f"epochs/{len(claims) + 1:010}/claim.json"):
            require(claim["epoch_number"] == len(claims) + 1, "a claim names another epoch")
            claims.append(claim)
        return claims

    def _line(self):
        """(entries with a start here, newest last; all ancestors): of the highest claimed epoch that has begun."""
        for claim in reversed(self.claims):
            start = self.document("start", f"epochs/{claim['epoch_number']:010}/start.json")
            if start:
                itself = start["epochs"][-1]
                same = itself["number"] == claim["epoch_number"] and itself["id"] == claim["epoch_id"]
                require(same, "start.json ends with another epoch")
                return [entry for entry in start["epochs"] if entry["start_lsn"] is not None], start["epochs"]
        raise Refused("no claimed epoch has begun")

    def check_chain(self):
        """Each object names the digest of the one before it, of its kind and level in its epoch, where that is there."""
        before = None
        for key in objects_in(self.names):
            found = self.object(key)
            same = before is not None and os.path.dirname(key) == os.path.dirname(before.key)
            if same and before.start == found.start:
                # Under both names: one was on its way when encryption was turned on.
                require(before.raw == found.raw, f"{key}: differs from {before.key}", found.start)
                continue
            if same:
                require(before.end <= found.start, f"{key}: overlaps {before.key}", found.start)
            # Tails are deleted last first, so a tail's predecessor may be gone only with those before it.
            if same and (found.kind == 1 or before.end == found.start):
                require(self._names(found, before), f"{key}: does not follow {before.key}", found.start)
            if not same and found.start == found.epoch_start:
                require(not any(found.previous), f"{key}: the first object names one before it", found.start)
            before = found

    def _names(self, found, before):
        """As the digest stands in the one before, or as it would have been under this one's key (§4.1)."""
        if found.previous in (before.digest, before.plain_digest):
            return True
        return found.sealed and found.previous == keyed_digest(self.keys[found.key_id], self.log["log_id"], before.plain_digest)

    # §6

    def either(self, name, start, epoch):
        """The object under the names that it may have (§6)."""
        encryption = self.encryption[epoch["number"]]
        if encryption is None:
            return self.object(name)
        plain = None if start >= encryption["from_lsn"] else self.object(name)
        return plain or self.object(name + ".enc")

    def find(self, x, crossed):
        """What holds the byte at x: ("object", object, epoch), ("gap", gap, epoch) or ("end", reason, None)."""
        covering = [entry for entry in self.line if entry["start_lsn"] <= x]
        require(covering, "before the first epoch of this line", x)
        epoch, size = covering[-1], self.log["segment_size"]
        e = name(epoch)
        pruned = [self.floor["object_start"]] if self.floor and self.floor["object_start"] <= x else []
        r = max([epoch["start_lsn"]] + pruned + crossed.get(e, []))
        start = max(x // size * size, r)
        found = self.either(f"segments/{e}/{start:020}.zst", start, epoch)
        for level in (3, 2, 1, 0):
            found = found or self.either(f"tail/{e}/{level}/{x:020}.zst", x, epoch)
        if found:
            return "object", found, epoch
        gap = self.document("gap", f"gaps/{e}/{x:020}.json")
        if gap:
            require(gap["start_lsn"] == x, "a gap under another name", x)
            return "gap", gap, epoch
        require(self.floor is None or x >= self.floor["lsn"], "pruned: below the floor", x)
        head = self.document("head", f"heads/{e}.json")
        if head:
            require(head["archived_lsn"] <= x, f"missing: the head says {head['archived_lsn']} is archived", x)
            return "end", "the head agrees", None
        later = [key for key in objects_in(self.names) if f"/{e}/" in key and int(os.path.basename(key)[:20]) > x]
        require(not later, f"missing: {later[:1]} lies past it", x)
        return "end", "nothing lies past it", None

    def stretches(self, across_gaps):
        """Yields ([(start, bytes), …] without a gap inside, LSN of the first frame), and at last (end, reason)."""
        x = self.floor["object_start"] if self.floor else self.line[0]["start_lsn"]
        pieces, crossed, first = [], {}, None
        while True:
            kind, found, epoch = self.find(x, crossed)
            if kind == "end":
                yield pieces, first
                yield x, found
                return
            if kind == "gap":
                require(across_gaps, f"a gap up to {found['end_lsn']}: {found['reason']}", x)
                yield pieces, first
                pieces, first, x = [], None, found["end_lsn"]
                crossed.setdefault(name(epoch), []).append(x)
                continue
            newer = [entry["start_lsn"] for entry in self.line if entry["start_lsn"] > x]
            end = min([found.end] + newer)
            pieces.append((x, found.raw[x - found.start:end - found.start]))
            if first is None and found.count and found.first < end:
                first = found.first
            x = end

    def records(self, across_gaps):
        """Yields ("record", lsn, payload), and at last ("end", LSN after the last whole record or batch, reason)."""
        whole = floor = self.floor["lsn"] if self.floor else self.line[0]["start_lsn"]
        epochs = [(entry["number"], int(entry["id"], 16), entry["fork_lsn"]) for entry in self.ancestry]
        for pieces, first in self.stretches(across_gaps):
            if not isinstance(pieces, list):
                require(whole <= pieces, "frames past the end", whole)
                yield "end", whole, first
                return
            if first is None:
                continue
            raw, base = b"".join(piece for _, piece in pieces), pieces[0][0]

            def read(lsn, count):
                return raw[lsn - base:lsn - base + count]

            begin = whole = floor if base <= floor < base + len(raw) else first
            for batch, whole in read_batches(read, begin, self.log["log_id"], epochs, FRAME_MAX):
                for lsn, payload in batch:
                    yield "record", lsn, payload
            self._check_rest(read, whole, base + len(raw), epochs)

    def _check_rest(self, read, lsn, end, epochs):
        """What is left after the last whole batch is the beginning of one, not damage."""
        while frame := read_frame(read, lsn, self.log["log_id"], epochs, FRAME_MAX):
            lsn += HEADER + len(frame[0])
        header = read(lsn, HEADER)
        cut = len(header) < HEADER or lsn + HEADER + (int.from_bytes(header[4:], "little") & FRAME_MAX) > end
        require(cut, "a frame does not verify", lsn)


def name(epoch):
    return f"{epoch['number']:010}-{epoch['id']}"


def listing(path, across_gaps, key_files=()):
    """Everything in the archive, as values for JSON, one after another."""
    archive = Archive(path, key_files)
    yield {"what": "log", **archive.log, "log_id": str(uuid.UUID(bytes=archive.log["log_id"])),
           "archive_id": archive.log["archive_id"].hex()}
    for claim in archive.claims:
        yield {"what": "claim", **claim}
    for entry in archive.ancestry:
        yield {"what": "epoch", **entry}
    for head in archive.heads:
        if head:
            yield {"what": "head", **head}
    for encryption in archive.encryption.values():
        if encryption:
            yield {"what": "encryption", **encryption}
    if archive.floor:
        yield {"what": "floor", **archive.floor}
    archive.check_chain()
    for key in objects_in(archive.names):
        yield archive.object(key).listing()
    for kind, lsn, value in archive.records(across_gaps):
        yield {"what": kind, "lsn": lsn, **({"data": value.hex()} if kind == "record" else {"because": value})}
