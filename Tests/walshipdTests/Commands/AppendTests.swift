import Foundation
import TestSupport
import Testing

@testable import walshipd

@Suite struct AppendTests {
    private func json(_ log: String, in scratch: String) async throws -> [(lsn: String, data: String)] {
        let ended = try await CommandProcess.run(["cat", "--log", log, "--format", "json"], in: scratch)
        #expect(ended.code == 0, "\(ended.error)")
        return try ended.lines.map { line in
            let object = try #require(JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: String])
            return (try #require(object["lsn"]), try #require(object["data"]))
        }
    }

    @Test(arguments: ["each", "batch", "end"])
    func everyLineIsARecordAndItsLSNIsAcknowledged(_ sync: String) async throws {
        try await withTemporaryDirectory { scratch async throws in
            let ended = try await CommandProcess.run(
                ["append", "--log", "\(scratch)/log", "--sync", sync, "--ack"], input: "a\n\nbb\nlast", in: scratch)
            #expect(ended.code == 0 && ended.output == "0\n9\n17\n27\n" && ended.error.isEmpty, "\(ended)")
            let records = try await json("\(scratch)/log", in: scratch)
            #expect(records.map(\.lsn) == ["0", "9", "17", "27"])
            #expect(records.map(\.data) == ["a", "", "bb", "last"])
            let again = try await CommandProcess.run(["append", "--log", "\(scratch)/log"], input: "more\n", in: scratch)
            #expect(again.code == 0 && again.bytes.isEmpty && again.error.isEmpty, "\(again)")
            #expect(try await json("\(scratch)/log", in: scratch).last?.data == "more")
        }
    }

    @Test func batchesAreAcknowledgedWhileTheInputIsOpenAndTheEndOnlyAtTheEnd() async throws {
        try await withTemporaryDirectory { scratch async throws in
            let batch = try CommandProcess(["append", "--log", "\(scratch)/batch", "--ack"], input: .pipe, in: scratch)
            batch.process.write(Array("one\ntwo\nhalf".utf8))
            try await waitUntil("two lines are acknowledged", within: .seconds(20)) { batch.lines == ["0", "11"] }
            batch.process.write(Array(" a line\n".utf8))
            try await waitUntil("the third line is acknowledged", within: .seconds(20)) { batch.lines.count == 3 }
            batch.process.closeInput()
            #expect(try await batch.ended().code == 0)
            #expect(try await json("\(scratch)/batch", in: scratch).map(\.data) == ["one", "two", "half a line"])

            let end = try CommandProcess(["append", "--log", "\(scratch)/end", "--sync", "end", "--ack"], input: .pipe, in: scratch)
            end.process.write(Array("one\ntwo\n".utf8))
            try await waitUntil("the records are in the log's file", within: .seconds(20)) {
                let segment = FileManager.default.contents(atPath: "\(scratch)/end/00000000000000000000.wal")
                return segment?.range(of: Data("two".utf8)) != nil
            }
            #expect(end.bytes.isEmpty, "nothing was synced, and nothing may be acknowledged")
            end.process.closeInput()
            #expect(try await end.ended().output == "0\n11\n")
        }
    }

    @Test(arguments: [SIGTERM, SIGINT])
    func aSignalEndsItCleanly(_ signal: Int32) async throws {
        try await withTemporaryDirectory { scratch async throws in
            let append = try CommandProcess(["append", "--log", "\(scratch)/log", "--ack"], input: .pipe, in: scratch)
            append.process.write(Array("one\ntwo\nunfinished".utf8))
            try await waitUntil("two lines are acknowledged", within: .seconds(20)) { append.lines.count == 2 }
            append.process.signal(signal)
            let ended = try await append.ended()
            #expect(ended.code == 0)
            #expect(ended.error.contains("line 3 of standard input was not whole and was left out (10 bytes)"), "\(ended.error)")
            #expect(try await json("\(scratch)/log", in: scratch).map(\.data) == ["one", "two"])
        }
    }

    @Test func aSecondWriterIsToldWhoTheFirstIs() async throws {
        try await withTemporaryDirectory { scratch async throws in
            let first = try CommandProcess(["append", "--log", "\(scratch)/log", "--ack"], input: .pipe, in: scratch)
            first.process.write(Array("one\n".utf8))
            try await waitUntil("the first has the log", within: .seconds(20)) { !first.lines.isEmpty }
            let second = try await CommandProcess.run(["append", "--log", "\(scratch)/log"], input: "two\n", in: scratch)
            #expect(second.code == 1)
            #expect(second.error.contains("pid \(first.process.pid) "), "\(second.error)")
            // Readers are not in its way.
            #expect(try await json("\(scratch)/log", in: scratch).map(\.data) == ["one"])
            first.process.closeInput()
            #expect(try await first.ended().code == 0)
        }
    }

    @Test func aReaderOfAcknowledgementsThatGoesEndsItQuietly() async throws {
        try await withTemporaryDirectory { scratch async throws in
            let script = "{ seq 1000000 | \"$0\" append --log \"$1\" --ack; echo $? >&2; } | head -n 1"
            let ended = try await CommandProcess(["-c", script, Program.walshipd, "\(scratch)/log"], executable: "sh", in: scratch).ended()
            #expect(ended.output == "0\n" && ended.error == "1\n", "\(ended)")
            #expect(try await json("\(scratch)/log", in: scratch).first?.data == "1")
        }
    }

    @Test func aRecordThatIsTooLongIsNamedAndWhatCameBeforeIsKept() async throws {
        try await withTemporaryDirectory { scratch async throws in
            let long = [UInt8](repeating: UInt8(ascii: "x"), count: (64 << 20) + 1)
            let lines = try await CommandProcess.run(
                ["append", "--log", "\(scratch)/log", "--ack"], input: Array("one\n".utf8) + long, in: scratch)
            #expect(lines.code == 1 && lines.output == "0\n")
            #expect(lines.error.contains("line 2 of standard input has"), "\(lines.error)")
            let framed = try await CommandProcess.run(
                ["append", "--log", "\(scratch)/log", "--format", "framed", "--ack"], input: [3, 0, 0, 0, 116, 119, 111, 255, 255, 255, 255], in: scratch)
            #expect(framed.code == 1 && framed.output == "11\n")
            #expect(framed.error.contains("frame 2 of standard input has 4294967295 bytes"), "\(framed.error)")
            #expect(try await json("\(scratch)/log", in: scratch).map(\.data) == ["one", "two"])
            // The longest is taken.
            let longest = try await CommandProcess.run(["append", "--log", "\(scratch)/log"], input: Array(long.dropLast()), in: scratch)
            #expect(longest.code == 0, "\(longest.error)")
        }
    }

    @Test func aCutFrameIsAnErrorAfterEverythingBeforeIt() async throws {
        try await withTemporaryDirectory { scratch async throws in
            let ended = try await CommandProcess.run(
                ["append", "--log", "\(scratch)/log", "--format", "framed", "--ack"], input: [1, 0, 0, 0, 120, 9, 0, 0, 0, 121], in: scratch)
            #expect(ended.code == 1 && ended.output == "0\n")
            #expect(ended.error.contains("frame 2 of standard input is cut short: it claims 9 bytes and 1 are there"), "\(ended.error)")
            #expect(try await json("\(scratch)/log", in: scratch).map(\.data) == ["x"])
        }
    }

    @Test func whatIsNoLogIsLeftAsItWas() async throws {
        try await withTemporaryDirectory { scratch async throws in
            let directory = "\(scratch)/photos"
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
            try Data("x".utf8).write(to: URL(filePath: "\(directory)/cat.jpg"))
            try Data("y".utf8).write(to: URL(filePath: "\(scratch)/file"))
            for command in ["append", "cat", "verify", "status"] {
                let inDirectory = try await CommandProcess.run([command, "--log", directory], input: "z\n", in: scratch)
                #expect(inDirectory.code == 1 && inDirectory.error.contains("cat.jpg"), "\(command): \(inDirectory)")
                let inFile = try await CommandProcess.run([command, "--log", "\(scratch)/file"], input: "z\n", in: scratch)
                #expect(inFile.code == 1, "\(command): \(inFile)")
                let empty = try await CommandProcess.run([command, "--log", ""], input: "z\n", in: scratch)
                #expect(empty.code == 2 && empty.error.contains("--log is empty"), "\(command): \(empty)")
                guard command != "append" else { continue }
                let missing = try await CommandProcess.run([command, "--log", "\(scratch)/nothing"], in: scratch)
                #expect(missing.code == 5 && missing.error.contains("there is no log in"), "\(command): \(missing)")
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == ["cat.jpg"])
            #expect(FileManager.default.contents(atPath: "\(scratch)/file") == Data("y".utf8))
            #expect(!FileManager.default.fileExists(atPath: "\(scratch)/nothing"))
            let noParent = try await CommandProcess.run(["append", "--log", "\(scratch)/no/log"], input: "z\n", in: scratch)
            #expect(noParent.code == 5 && noParent.error.contains("there is no directory above it; make that first"), "\(noParent)")
        }
    }

    @Test func aNewLogHasTheSegmentSizeAndAnOldOneKeepsIt() async throws {
        try await withTemporaryDirectory { scratch async throws in
            let log = "\(scratch)/log"
            for (size, code) in [("4097", 2), ("2GiB", 2), ("0", 2), ("4KiB", 0), ("4096", 0), ("8KiB", 2)] as [(String, Int32)] {
                let ended = try await CommandProcess.run(["append", "--log", log, "--segment-size", size], input: "z\n", in: scratch)
                #expect(ended.code == code, "\(size): \(ended)")
            }
            let status = try await CommandProcess.run(["status", "--log", log, "--json"], in: scratch)
            #expect(status.output.contains("\"segment_size\":4096"))
        }
    }

    @Test func closedDescriptorsDoNotReachTheLog() async throws {
        try await withTemporaryDirectory { scratch async throws in
            let script = """
                echo one | "$0" append --log "$1" --ack >&-; echo $?
                "$0" append --log "$1" <&-; echo $?
                echo two | "$0" append --log "$1" --ack 2>&-; echo $?
                "$0" verify --log "$1"
                """
            let ended = try await CommandProcess(["-c", script, Program.walshipd, "\(scratch)/log"], executable: "sh", in: scratch).ended()
            #expect(ended.lines.prefix(4) == ["1", "1", "11", "0"], "\(ended)")
            #expect(ended.lines.last?.hasPrefix("ok: 2 records") == true, "\(ended)")
        }
    }

    @Test(.enabled(if: Mounts.arePossible, "\(Mounts.reason)"))
    func aFullDiskEndsItAndTheLogGoesOnWhenThereIsSpace() async throws {
        try await withTemporaryDirectory { scratch async throws in
            for sync in ["each", "batch"] {
                let script = """
                    mkdir -p "$1/disk" && mount -t tmpfs -o size=1m tmpfs "$1/disk" || exit 99
                    seq 100000 200000 | "$0" append --log "$1/disk/log" --segment-size 64KiB --sync \(sync) --ack > "$1/acks"; echo "first $?"
                    "$0" cat --log "$1/disk/log" --format json > "$1/records"; "$0" verify --log "$1/disk/log" > /dev/null; echo "verify $?"
                    mount -o remount,size=8m "$1/disk"
                    echo more | "$0" append --log "$1/disk/log"; echo "second $?"
                    "$0" cat --log "$1/disk/log" | tail -n 1
                    """
                let ended = try await CommandProcess(["-m", "sh", "-c", script, Program.walshipd, scratch], executable: "unshare", in: scratch).ended()
                #expect(ended.lines == ["first 1", "verify 0", "second 0", "more"], "\(ended)")
                #expect(ended.error.contains("was not appended: no space left"), "\(ended.error)")
                let acks = try String(contentsOfFile: "\(scratch)/acks", encoding: .utf8).split(separator: "\n")
                let records = try String(contentsOfFile: "\(scratch)/records", encoding: .utf8).split(separator: "\n")
                #expect(acks.count > 1000, "some were acknowledged before the disk was full")
                #expect(records.count == acks.count)
                for (number, (ack, record)) in zip(acks, records).enumerated() where record != "{\"lsn\":\"\(ack)\",\"data\":\"\(100_000 + number)\"}" {
                    Issue.record("\(ack) was acknowledged, and \(record) is there")
                }
            }
        }
    }
}
