"""The JSON documents of an archive: docs/format/archive.md §3."""

import json
import re
import unicodedata

from checksums import ALL_ONES, LSN_MAX, Refused, crc32c, require


def number(value):
    return type(value) is int and value >= 0


def epoch_number(value):
    return number(value) and 1 <= value <= 9_999_999_999


def decimal(value):
    return isinstance(value, str) and re.fullmatch("0|[1-9][0-9]*", value) is not None and int(value) <= ALL_ONES


def lsn(value):
    return decimal(value) and int(value) <= LSN_MAX


def hexadecimal(digits):
    return lambda value: isinstance(value, str) and re.fullmatch(f"[0-9a-f]{{{digits}}}", value) is not None


def uuid_text(value):
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value) is not None


def text(value):
    return (isinstance(value, str) and len(value.encode()) <= 1000
            and not any(unicodedata.category(character) == "Cc" for character in value))


def segment_size(value):
    return number(value) and value % 4096 == 0 and 4096 <= value <= 1 << 30


RULES = {
    "log": {"log_id": uuid_text, "archive_id": hexadecimal(32), "segment_size": segment_size},
    "claim": {"epoch_number": epoch_number, "epoch_id": hexadecimal(16), "host": text, "time": decimal},
    "start": {"parent": lambda value: value is None or isinstance(value, dict),
              "epochs": lambda value: isinstance(value, list) and len(value) > 0},
    "head": {"epoch_number": epoch_number, "epoch_id": hexadecimal(16), "archived_lsn": lsn, "checkpoint_lsn": lsn,
             "durable_lsn": lsn, "time": decimal},
    "floor": {"lsn": lsn, "epoch_number": epoch_number, "epoch_id": hexadecimal(16), "object_start": lsn,
              "time": decimal},
    "encryption": {"epoch_number": epoch_number, "epoch_id": hexadecimal(16), "from_lsn": lsn, "key_id": hexadecimal(32),
                   "time": decimal},
    "gap": {"start_lsn": lsn, "end_lsn": lsn, "reason": text, "time": decimal},
}
ENTRY = {"number": epoch_number, "id": hexadecimal(16), "fork_lsn": lsn,
         "start_lsn": lambda value: value is None or lsn(value)}
PARENT = {"number": epoch_number, "id": hexadecimal(16)}


def fields(value, rules, key):
    require(isinstance(value, dict), f"{key}: no object")
    for name, rule in rules.items():
        require(name in value and rule(value[name]), f"{key}: {name} is missing or breaks its rule")
    return {name: int(value[name]) if rule is lsn or rule is decimal else value[name] for name, rule in rules.items()}


def check_checksum(data, key):
    places = [match.end() for match in re.finditer(rb'"crc32c":"', data)]
    require(len(places) == 1, f"{key}: not one crc32c")
    begin, end = places[0], places[0] + 8
    digits = re.fullmatch(rb'([0-9a-f]{8})"', data[begin:end + 1])
    require(digits is not None, f"{key}: crc32c is not eight lower-case hex digits")
    require(int(digits[1], 16) == crc32c(data[:begin] + b"00000000" + data[end:]), f"{key}: crc32c")


def document(kind, data, key):
    """The known fields of the document, checked, LSNs and times as numbers."""
    require(len(data) <= (16 << 20 if kind == "start" else 64 << 10), f"{key}: too large")
    try:
        value = json.loads(data.decode())
    except ValueError as error:
        raise Refused(f"{key}: {error}") from None
    require(isinstance(value, dict) and number(value.get("format")), f"{key}: no format")
    require(value["format"] == 1, f"{key}: of a newer version")
    check_checksum(data, key)
    found = fields(value, RULES[kind], key)
    if kind == "start":
        check_start(found, key)
    if kind == "head":
        require(found["checkpoint_lsn"] <= found["archived_lsn"] <= found["durable_lsn"], f"{key}: LSNs out of order")
    if kind == "floor":
        require(found["object_start"] <= found["lsn"], f"{key}: object_start above lsn")
    if kind == "gap":
        require(found["start_lsn"] < found["end_lsn"], f"{key}: range")
    return found


def check_start(found, key):
    entries = []
    for value in found["epochs"]:
        entry = fields(value, ENTRY, key)
        entry["start_lsn"] = None if entry["start_lsn"] is None else int(entry["start_lsn"])
        entries.append(entry)
    for before, after in zip(entries, entries[1:]):
        ascends = before["number"] < after["number"] and before["fork_lsn"] <= after["fork_lsn"]
        require(ascends, f"{key}: epochs out of order")
    require(entries[-1]["start_lsn"] is not None, f"{key}: the epoch itself has no start")
    parent = found["parent"] and fields(found["parent"], PARENT, key)
    if len(entries) > 1:
        require(parent == {name: entries[-2][name] for name in PARENT}, f"{key}: the parent is another")
    found["epochs"], found["parent"] = entries, parent
