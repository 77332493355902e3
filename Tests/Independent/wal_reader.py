#!/usr/bin/env python3
"""An independent reader of walship's formats, written from docs/format/log.md and docs/format/archive.md alone.

    wal_reader.py log PATH [--elsewhere]              a log's directory, or the one file of a small log
    wal_reader.py archive DIRECTORY [--across-gaps] [--key-file FILE]…
                                                      <base>/<log name> of an archive in a directory

Prints one JSON object a line and changes nothing. `--elsewhere` reads as another machine would: without the live page.
Exit code 0: everything verifies; 3: it does not, and the last line on standard error says what and at which LSN.
Needs Python 3.9, the program zstd, libxxhash, and for encrypted archives libcrypto 3. It is a check of the documents, not fast.
"""

import argparse
import json
import sys

import archive_reader
import log_reader
from checksums import Refused


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["log", "archive"])
    parser.add_argument("path")
    parser.add_argument("--elsewhere", action="store_true")
    parser.add_argument("--across-gaps", action="store_true")
    parser.add_argument("--key-file", action="append", default=[])
    arguments = parser.parse_args()
    if arguments.what == "log":
        lines = log_reader.listing(arguments.path, arguments.elsewhere)
    else:
        lines = archive_reader.listing(arguments.path, arguments.across_gaps, arguments.key_file)
    try:
        for line in lines:
            print(json.dumps(line, sort_keys=True))
    except Refused as refused:
        print(json.dumps({"refused": refused.reason, "lsn": refused.lsn}), file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
