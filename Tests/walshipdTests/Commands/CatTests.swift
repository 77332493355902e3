import Foundation
import TestSupport
import Testing
import WAL

@testable import walshipd

@Suite struct CatTests {
    private func framed(_ records: [[UInt8]]) -> [UInt8] {
        records.flatMap { record in (0..<4).map { UInt8(truncatingIfNeeded: record.count >> (8 * $0)) } + record }
    }

    /// Records of every kind: empty, text, quotes and control characters, each byte, broken UTF-8, and long ones around the sizes of buffers.
    private var samples: [[UInt8]] {
        var random = SeededGenerator(seed: 7)
        var records: [[UInt8]] = [[], Array("plain".utf8), Array("\"quoted\" \\ \u{8}\u{c}\u{1f}\u{7f} é 日本 🐟 \u{2028}\r\n\t".utf8), Array(0...255)]
        records += (0...255).map { [UInt8($0)] }
        records += [[0xC3], [0xED, 0xA0, 0x80], [0xC0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xE2, 0x82]]
        for count in [49_151, 49_152, 49_153, 262_143, 262_144, 1_500_000] {
            records.append((0..<count).map { _ in UInt8.random(in: 0...255, using: &random) })
            // Text whose characters of three bytes lie across every piece.
            records.append(Array(String(repeating: "日", count: count / 3).utf8))
        }
        return records
    }

    @Test func framedRecordsComeBackByteForByteInEveryFormat() async throws {
        try await withTemporaryDirectory { scratch async throws in
            let log = "\(scratch)/log"
            let records = samples
            let input = framed(records)
            let appended = try await CommandProcess.run(["append", "--log", log, "--format", "framed", "--ack", "--segment-size", "64KiB"], input: input, in: scratch)
            #expect(appended.code == 0, "\(appended.error)")
            let cat = try await CommandProcess.run(["cat", "--log", log, "--format", "framed"], in: scratch)
            #expect(cat.code == 0 && cat.bytes == input)

            let hex = try await CommandProcess.run(["cat", "--log", log, "--format", "hex"], in: scratch)
            let digits = Array("0123456789abcdef".utf8)
            var expected: [UInt8] = []
            for record in records {
                for byte in record { expected += [digits[Int(byte >> 4)], digits[Int(byte & 15)]] }
                expected.append(10)
            }
            #expect(hex.code == 0 && hex.bytes == expected)

            let json = try await CommandProcess.run(["cat", "--log", log, "--format", "json"], in: scratch)
            #expect(json.lines.count == records.count)
            for ((record, lsn), line) in zip(zip(records, appended.lines), json.lines) {
                let object = try #require(JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: String], "\(line.prefix(200))")
                #expect(object.count == 2 && object["lsn"] == lsn)
                let isText = String(validating: record, as: UTF8.self) != nil
                let bytes = isText ? object["data"].map { Array($0.utf8) } : object["base64"].flatMap { Data(base64Encoded: $0) }.map { [UInt8]($0) }
                #expect(bytes == record, "\(record.count) bytes at LSN \(lsn)")
            }
        }
    }

    /// A log on a medium that is mounted for reading only, with the lock files of its writer and without: in a mount namespace of the child's own.
    @Test(.enabled(if: Mounts.arePossible, "\(Mounts.reason)")) func aReadOnlyDirectoryIsReadAndVerified() async throws {
        try await withTemporaryDirectory { scratch async throws in
            let log = "\(scratch)/log"
            #expect(try await CommandProcess.run(["append", "--log", log], input: "one\ntwo\n", in: scratch).code == 0)
            for round in 0..<2 {
                let script = """
                    mount --bind "$2" "$2" && mount -o remount,ro,bind "$2" || exit 99
                    touch "$2/x" 2>/dev/null && exit 98
                    "$1" cat --log "$2" && "$1" verify --log "$2"
                    """
                let ended = try await CommandProcess(
                    ["-m", "sh", "-c", script, "sh", Program.walshipd, log], executable: "/usr/bin/unshare", in: scratch
                ).ended()
                #expect(ended.code == 0, "\(ended)")
                #expect(Array(ended.lines.prefix(2)) == ["one", "two"] && ended.lines.last?.hasPrefix("ok: 2 records") == true, "round \(round): \(ended)")
                for name in ["lock", "maintenance"] { try? FileManager.default.removeItem(atPath: "\(log)/\(name)") }
            }
        }
    }

    @Test func linesComeBackAsTheyWere() async throws {
        try await withTemporaryDirectory { scratch async throws in
            let text = (0..<50_000).map { "line \($0) \(String(repeating: "é", count: $0 % 70))\n" }.joined()
            let appended = try await CommandProcess.run(["append", "--log", "\(scratch)/log"], input: text, in: scratch)
            #expect(appended.code == 0)
            #expect(try await CommandProcess.run(["cat", "--log", "\(scratch)/log"], in: scratch).output == text)
        }
    }

    @Test func aRangeHasItsFirstAndNotItsLast() async throws {
        try await withTemporaryDirectory { scratch async throws in
            let log = "\(scratch)/log"
            _ = try await CommandProcess.run(["append", "--log", log], input: "a\nbb\nccc\n", in: scratch)
            // LSNs 0, 9, 19; the end is 30.
            for (arguments, expected) in [
                (["--from", "9"], "bb\nccc\n"), (["--to", "19"], "a\nbb\n"), (["--from", "9", "--to", "19"], "bb\n"),
                (["--from", "9", "--to", "10"], "bb\n"), (["--from", "9", "--to", "9"], ""), (["--from", "30"], ""),
                (["--from", "1000"], ""), (["--to", "1000"], "a\nbb\nccc\n"),
            ] {
                let ended = try await CommandProcess.run(["cat", "--log", log] + arguments, in: scratch)
                #expect(ended.code == 0 && ended.output == expected, "\(arguments): \(ended)")
            }
            let inside = try await CommandProcess.run(["cat", "--log", log, "--from", "12"], in: scratch)
            #expect(inside.code == 5 && inside.bytes.isEmpty && inside.error.contains("use --from 9"), "\(inside)")
            for wrong in [["--from", "9", "--to", "8"], ["--from", "-1"], ["--from", "x"], ["--format", "xml"], ["--to", "99999999999999999999"]] {
                let ended = try await CommandProcess.run(["cat", "--log", log] + wrong, in: scratch)
                #expect(ended.code == 2, "\(wrong): \(ended)")
            }
        }
    }

    @Test func whatWasTruncatedIsNotFound() async throws {
        try await withTemporaryDirectory { scratch async throws in
            let log = "\(scratch)/log"
            let opened = try SegmentedLog.open(directory: log, segmentSize: 4096)
            for number in 0..<1000 { try opened.append(Array("record \(number)".utf8)) }
            _ = try await opened.sync()
            let head = try opened.truncateBefore(LSN(9000))
            try opened.close()
            let lost = try await CommandProcess.run(["cat", "--log", log, "--from", "0"], in: scratch)
            #expect(lost.code == 5 && lost.bytes.isEmpty && lost.error.contains("--from \(head)"), "\(lost)")
            let rest = try await CommandProcess.run(["cat", "--log", log], in: scratch)
            #expect(rest.code == 0 && rest.lines.last == "record 999" && rest.lines.count < 1000)
        }
    }
}
