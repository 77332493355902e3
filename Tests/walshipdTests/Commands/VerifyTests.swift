import Foundation
import TestSupport
import Testing
import WAL

@testable import walshipd

@Suite struct VerifyTests {
    /// A log of ten segments of 4 KiB, records of 100 bytes with frames of 108, closed.
    private func makeLog(_ scratch: String) async throws -> String {
        let log = "\(scratch)/log"
        let lines = (0..<379).map { number in String(repeating: Character(Unicode.Scalar(UInt8(97 + number % 26))), count: 100) + "\n" }.joined()
        let appended = try await CommandProcess.run(["append", "--log", log, "--segment-size", "4KiB"], input: lines, in: scratch)
        #expect(appended.code == 0, "\(appended.error)")
        return log
    }

    private func segment(_ index: Int) -> String { String(repeating: "0", count: 19) + "\(index).wal" }

    private func change(_ path: String, at offset: Int, to byte: UInt8? = nil) throws {
        let file = try FileHandle(forUpdating: URL(filePath: path))
        defer { try? file.close() }
        try file.seek(toOffset: UInt64(offset))
        let old = try #require(file.read(upToCount: 1)?.first)
        try file.seek(toOffset: UInt64(offset))
        try file.write(contentsOf: [byte ?? ~old])
    }

    private func contents(_ directory: String) throws -> [String: Data] {
        var files: [String: Data] = [:]
        for name in try FileManager.default.subpathsOfDirectory(atPath: directory) {
            files[name] = FileManager.default.contents(atPath: "\(directory)/\(name)") ?? Data()
        }
        return files
    }

    private func verify(_ log: String, in scratch: String) async throws -> CommandProcess.Ended {
        let before = try contents(log)
        let ended = try await CommandProcess.run(["verify", "--log", log], in: scratch)
        #expect(try contents(log) == before, "verify changes nothing")
        return ended
    }

    @Test func anIntactLogIsCounted() async throws {
        try await withTemporaryDirectory { scratch async throws in
            let log = try await makeLog(scratch)
            let ended = try await verify(log, in: scratch)
            #expect(ended.code == 0 && ended.error.isEmpty)
            #expect(ended.output == "ok: 379 records, 37900 bytes, 10 segments, head 0, durable 40932, 1 epoch\n")
            let empty = try await CommandProcess.run(["append", "--log", "\(scratch)/empty"], in: scratch)
            #expect(empty.code == 0)
            #expect(try await verify("\(scratch)/empty", in: scratch).output == "ok: 0 records, 0 bytes, 0 segments, head 0, durable 0, 1 epoch\n")
        }
    }

    @Test func scriptsAreGivenOneObject() async throws {
        try await withTemporaryDirectory { scratch async throws in
            func verify(_ log: String) async throws -> (code: Int32?, object: [String: Any]) {
                let ended = try await CommandProcess.run(["verify", "--log", log, "--json"], in: scratch)
                #expect(ended.lines.count == 1)
                return (ended.code, try #require(try JSONSerialization.jsonObject(with: Data(ended.bytes)) as? [String: Any]))
            }
            let log = try await makeLog(scratch)
            let whole = try await verify(log)
            #expect(whole.code == 0 && whole.object["ok"] as? Bool == true && whole.object["durable_lsn"] as? String == "40932")
            #expect(whole.object["records"] as? Int == 379 && (whole.object["findings"] as? [Any])?.isEmpty == true)
            try change("\(log)/\(segment(1))", at: 500)
            for (place, code) in [("\(scratch)/none", Int32(5)), (scratch, 1)] {
                let ended = try await verify(place)
                #expect(ended.code == code && ended.object["ok"] as? Bool == false && ended.object["error"] is String, "\(ended)")
                #expect(ended.object.keys.sorted() == whole.object.keys.sorted() && ended.object["records"] is NSNull)
            }
            let damaged = try await verify(log)
            let finding = try #require((damaged.object["findings"] as? [[String: Any]])?.first)
            #expect(damaged.code == 3 && damaged.object["ok"] as? Bool == false && damaged.object["damaged"] as? Int == 1)
            #expect(finding["kind"] as? String == "damage" && finding["lsn"] as? String == "4536" && finding["path"] as? String == "\(log)/\(segment(1))", "\(finding)")
        }
    }

    @Test func everyDamagedRecordIsNamedAndCatPrintsWhatComesBeforeTheFirst() async throws {
        try await withTemporaryDirectory { scratch async throws in
            let log = try await makeLog(scratch)
            // Record 10 (LSN 1080), in its payload; record 100 (LSN 10800), in its checksum.
            try change("\(log)/\(segment(0))", at: 1080 + 50)
            try change("\(log)/\(segment(2))", at: 10800 - 8192 + 1)
            let ended = try await verify(log, in: scratch)
            #expect(ended.code == 3)
            #expect(ended.lines.count == 2)
            #expect(ended.lines.first?.hasPrefix("damage at LSN 1080 in \(log)/\(segment(0)): ") == true, "\(ended)")
            #expect(ended.lines.last?.hasPrefix("damage at LSN 10800 in \(log)/\(segment(2)): ") == true, "\(ended)")
            #expect(ended.error.contains("2 damaged places") && ended.error.contains("377 records"), "\(ended.error)")

            let cat = try await CommandProcess.run(["cat", "--log", log], in: scratch)
            #expect(cat.code == 3 && cat.lines.count == 10 && cat.error.contains("LSN 1080"), "\(cat.error)")
            let at = try await CommandProcess.run(["cat", "--log", log, "--from", "1080"], in: scratch)
            #expect(at.code == 3 && at.bytes.isEmpty && at.error.contains("LSN 1080"), "\(at.error)")
            // The search for the record that LSN 1090 lies in meets the damage, too.
            let inside = try await CommandProcess.run(["cat", "--log", log, "--from", "1090"], in: scratch)
            #expect(inside.code == 3 && inside.bytes.isEmpty, "\(inside.error)")
            let after = try await CommandProcess.run(["cat", "--log", log, "--from", "1188", "--to", "10800"], in: scratch)
            #expect(after.code == 0 && after.lines.count == 89, "\(after.error)")
        }
    }

    /// Each flipped byte of the log's own bytes is found, wherever it lies in a frame.
    @Test func noFlippedByteOfALogEscapes() async throws {
        try await withTemporaryDirectory { scratch async throws in
            let log = try await makeLog(scratch)
            for offset in stride(from: 0, to: 4096, by: 83) {
                let path = "\(log)/\(segment(1))"
                try change(path, at: offset)
                let ended = try await CommandProcess.run(["verify", "--log", log], in: scratch)
                #expect(ended.code == 3 && ended.lines.count == 1, "offset \(offset): \(ended)")
                try change(path, at: offset)
            }
            #expect(try await verify(log, in: scratch).code == 0)
        }
    }

    @Test func damagedFilesAreNamed() async throws {
        try await withTemporaryDirectory { scratch async throws in
            let whole = try await makeLog(scratch)
            let log = "\(scratch)/damaged"
            let damages: [(what: String, file: String, expected: String, act: (String) throws -> Void)] = [
                ("missing", segment(3), "the segment is missing", { try FileManager.default.removeItem(atPath: $0) }),
                ("short", segment(3), "has 8000 bytes where 8192 belong", { try FileHandle(forUpdating: URL(filePath: $0)).truncate(atOffset: 8000) }),
                ("foot header", segment(3), "segment foot", { try self.change($0, at: 4096 + 30) }),
                ("foot of another segment", segment(3), "belongs to segment 4", { path in
                    let foot = try #require(FileManager.default.contents(atPath: path.replacing(self.segment(3), with: self.segment(4)))?.suffix(4096))
                    let file = try FileHandle(forUpdating: URL(filePath: path))
                    try file.seek(toOffset: 4096)
                    try file.write(contentsOf: foot)
                    try file.close()
                }),
            ]
            for damage in damages {
                try? FileManager.default.removeItem(atPath: log)
                try FileManager.default.moveItem(atPath: whole, toPath: log)
                let saved = FileManager.default.contents(atPath: "\(log)/\(damage.file)")
                try damage.act("\(log)/\(damage.file)")
                let ended = try await verify(log, in: scratch)
                #expect(ended.code == 3, "\(damage.what): \(ended)")
                #expect(ended.lines.first?.hasPrefix("damage at LSN 12288 in \(log)/\(damage.file): ") == true, "\(damage.what): \(ended)")
                #expect(ended.lines.first?.contains(damage.expected) == true, "\(damage.what): \(ended)")
                // What lies before and behind it has been read: all but the records that touch that segment, 113 to 151.
                let cat = try await CommandProcess.run(["cat", "--log", log], in: scratch)
                #expect(cat.code == 3 && cat.lines.count == 113, "\(damage.what): \(cat.error)")
                #expect(ended.error.contains("340 records"), "\(damage.what): \(ended)")
                try saved?.write(to: URL(filePath: "\(log)/\(damage.file)"))
                try FileManager.default.moveItem(atPath: log, toPath: whole)
            }
            #expect(try await verify(whole, in: scratch).code == 0)
        }
    }

    @Test func theControlFileAndTheSlotsAreChecked() async throws {
        try await withTemporaryDirectory { scratch async throws in
            let log = try await makeLog(scratch)
            try change("\(log)/control", at: 4096 + 100)
            let facts = try await verify(log, in: scratch)
            #expect(facts.code == 3 && facts.lines.count == 1 && facts.output.contains("one copy of the facts is damaged"), "\(facts)")
            #expect(facts.error.contains("379 records"))
            try change("\(log)/control", at: 8192 + 100)
            let both = try await verify(log, in: scratch)
            #expect(both.code == 3 && both.error.contains("both copies of the facts"), "\(both)")
            try change("\(log)/control", at: 4096 + 100)
            // The next writer repairs the other copy.
            #expect(try await CommandProcess.run(["append", "--log", log], in: scratch).code == 0)
            #expect(try await verify(log, in: scratch).code == 0)

            let opened = try SegmentedLog.open(directory: log)
            try opened.pin("app", at: .zero)
            try opened.close()
            #expect(try await verify(log, in: scratch).code == 0)
            try change("\(log)/slots/app", at: 100)
            let half = try await verify(log, in: scratch)
            #expect(half.code == 0 && half.error.contains("one of its two halves is damaged"), "\(half)")
            try change("\(log)/slots/app", at: 4096 + 100)
            let slot = try await verify(log, in: scratch)
            #expect(slot.code == 3 && slot.output.contains("damage in \(log)/slots/app: the slot cannot be read"), "\(slot)")
            let status = try await CommandProcess.run(["status", "--log", log, "--json"], in: scratch)
            #expect(status.output.contains("\"held_by\":\"app\",\"held_lsn\":null") && status.output.contains("\"unreadable_slots\":[\"app\"]"))
        }
    }

    @Test func aCopiedDirectoryIsNamedAndLeftAlone() async throws {
        try await withTemporaryDirectory { scratch async throws in
            let log = try await makeLog(scratch)
            let copy = "\(scratch)/copy"
            try FileManager.default.copyItem(atPath: log, toPath: copy)
            let ended = try await verify(copy, in: scratch)
            #expect(ended.code == 0 && ended.output.hasPrefix("ok: 379 records") && ended.output.hasSuffix(", a copied directory\n"), "\(ended)")
            #expect(try await CommandProcess.run(["cat", "--log", copy], in: scratch).lines.count == 379)
            let append = try await CommandProcess.run(["append", "--log", copy], input: "x\n", in: scratch)
            #expect(append.code == 1 && append.error.contains("it is a replica; run promote"), "\(append)")
            #expect(try await CommandProcess.run(["status", "--log", copy, "--json"], in: scratch).output.contains("\"replica\":true"))
        }
    }

    @Test func aLiveWriterIsNoDamage() async throws {
        try await withTemporaryDirectory { scratch async throws in
            let log = "\(scratch)/log"
            let input = "\(scratch)/input"
            try Data((0..<500_000).map { "\($0)\n" }.joined().utf8).write(to: URL(filePath: input))
            let writer = try CommandProcess(
                ["append", "--log", log, "--segment-size", "4KiB", "--sync", "each", "--ack"], input: .file(input), in: scratch)
            defer { writer.process.kill() }
            try await waitUntil("records are acknowledged", within: .seconds(20)) { !writer.bytes.isEmpty }
            for _ in 0..<5 {
                let ended = try await CommandProcess.run(["verify", "--log", log], in: scratch)
                #expect(ended.code == 0 && ended.output.hasPrefix("ok: "), "\(ended)")
                let cat = try await CommandProcess.run(["cat", "--log", log, "--format", "json"], in: scratch)
                #expect(cat.code == 0, "\(cat.error)")
            }
        }
    }
}
