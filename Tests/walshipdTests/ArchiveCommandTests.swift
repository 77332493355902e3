import Archive
import Foundation
import TestSupport
import Testing
import WAL

/// `verify`, `repair` and `prune` of an archive, as an operator runs them.
@Suite struct ArchiveCommandTests {
    private func withArchive(_ body: (String, String, ArchiveBuilder) async throws -> Void) async throws {
        try await withArchivedLog(records: 800, body)
    }

    private func run(_ directory: String, _ arguments: String...) async throws -> Program.Ended {
        try await Program.run(Program.walshipd, arguments, in: directory)
    }

    private func flip(_ path: String) throws {
        var bytes = try #require(FileManager.default.contents(atPath: path))
        bytes[bytes.count / 2] ^= 4
        try bytes.write(to: URL(filePath: path))
    }

    @Test func verifyReadsAnArchiveAndNamesWhatIsDamaged() async throws {
        try await withArchive { directory, url, builder in
            let whole = try await run(directory, "verify", "--archive", url)
            #expect(whole.code == 0 && whole.output.hasPrefix("ok: 4 documents, 3 segments, ") && whole.output.contains(" records, "), "\(whole)")
            let key = builder.layout.segment(builder.epoch, start: LSN(4096))
            try flip("\(directory)/archive/\(key)")
            let bad = try await run(directory, "verify", "--archive", url)
            #expect(bad.code == 3 && bad.output.hasPrefix("damage at LSN 4096 in \(key): ") && bad.error.contains("1 damaged in \(url)"), "\(bad)")
            let json = try await run(directory, "verify", "--archive", url, "--json")
            let object = try #require(try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any])
            #expect(json.code == 3 && object["ok"] as? Bool == false && object["damaged"] as? Int == 1)
            #expect((object["findings"] as? [[String: Any]])?.first?["key"] as? String == key.path)
            #expect(try await run(directory, "verify", "--archive", "\(url)x").code == 5)
            // JSON, with the same members, however it ends.
            let members = Set(object.keys)
            for (arguments, code) in [(["--archive", url, "--cursor", "\(directory)/archive"], Int32(2)), (["--archive", "\(url)x"], 5), (["--archive", "ftp://x/y"], 2)] {
                let ended = try await Program.run(Program.walshipd, ["verify", "--json"] + arguments, in: directory)
                let report = try #require(try JSONSerialization.jsonObject(with: Data(ended.output.utf8)) as? [String: Any], "\(ended)")
                #expect(ended.code == code && Set(report.keys) == members && report["ok"] as? Bool == false && report["error"] is String, "\(ended)")
            }
            #expect(object["error"] is NSNull)
            #expect(try await run(directory, "verify").code == 2)
            #expect(try await run(directory, "verify", "--archive", url, "--log", "\(directory)/log").code == 2)
        }
    }

    @Test func aCursorIsKeptAndABrokenOneRefused() async throws {
        try await withArchive { directory, url, builder in
            let cursor = "\(directory)/cursor.json"
            #expect(try await run(directory, "verify", "--archive", url, "--cursor", cursor).code == 0)
            let second = try await run(directory, "verify", "--archive", url, "--cursor", cursor)
            #expect(second.code == 0 && second.output.contains("more that were read before"), "\(second)")
            let kept = try Data(contentsOf: URL(filePath: cursor))
            try flip("\(directory)/archive/\(builder.layout.floor)x".replacing("floor.jsonx", with: "log.json"))
            let bad = try await run(directory, "verify", "--archive", url, "--cursor", cursor)
            #expect(bad.code == 3 && bad.output.contains("log.json: "), "\(bad)")
            #expect(try Data(contentsOf: URL(filePath: cursor)) == kept)
            try flip(cursor)
            let broken = try await run(directory, "verify", "--archive", url, "--cursor", cursor)
            #expect(broken.code == 2 && broken.error.contains("remove it to have everything read"), "\(broken)")
        }
    }

    @Test func repairMendsALogFromItsArchive() async throws {
        try await withArchive { directory, url, _ in
            let path = "\(directory)/log/00000000000000000001.wal"
            let whole = try Data(contentsOf: URL(filePath: path))
            let none = try await run(directory, "repair", "--log", "\(directory)/log", "--archive", url)
            #expect(none.code == 0 && none.error.contains("nothing to repair"), "\(none)")
            var bytes = whole
            bytes[2000] ^= 1
            try bytes.write(to: URL(filePath: path))
            let dry = try await run(directory, "repair", "--log", "\(directory)/log", "--archive", url)
            #expect(dry.code == 3 && dry.output.contains("would mend segment 1, LSN 4096 to 8192: from orders/segments/"), "\(dry)")
            #expect(try Data(contentsOf: URL(filePath: path)) == bytes)
            let done = try await run(directory, "repair", "--log", "\(directory)/log", "--archive", url, "--yes")
            #expect(done.code == 0 && done.output.contains("replaced \(path): LSN 4096 to 8192 from \(url), 1 byte changed\n"), "\(done)")
            #expect(try Data(contentsOf: URL(filePath: path)).prefix(4096) == whole.prefix(4096))
            #expect(try await run(directory, "verify", "--log", "\(directory)/log").code == 0)
        }
    }

    @Test func repairMendsAnArchiveFromALogAndFromACopy() async throws {
        try await withArchive { directory, url, builder in
            try FileManager.default.copyItem(atPath: "\(directory)/archive", toPath: "\(directory)/copy")
            let key = builder.layout.segment(builder.epoch, start: LSN(4096))
            let path = "\(directory)/archive/\(key)"
            for source in [["--from", "file://\(directory)/copy/orders"], ["--from-log", "\(directory)/log"]] {
                try flip(path)
                let arguments = ["repair", "--archive", url] + source
                let dry = try await Program.run(Program.walshipd, arguments, in: directory)
                #expect(dry.code == 3 && dry.output.contains("would put damaged \(key), LSN 4096 to 8192, digest "), "\(dry)")
                let done = try await Program.run(Program.walshipd, arguments + ["--yes"], in: directory)
                #expect(done.code == 0 && done.output.contains("put damaged \(key), LSN 4096 to 8192, digest "), "\(done)")
                #expect(try await run(directory, "verify", "--archive", url).code == 0)
                let again = try await Program.run(Program.walshipd, arguments + ["--yes"], in: directory)
                #expect(again.code == 0 && again.error.contains("nothing to repair"), "\(again)")
            }
            #expect(try await run(directory, "repair", "--archive", url).code == 2)
        }
    }

    @Test func repairSaysWhatItDoesToDocumentsAndFacts() async throws {
        try await withArchive { directory, url, builder in
            try FileManager.default.copyItem(atPath: "\(directory)/archive", toPath: "\(directory)/copy")
            for key in [builder.layout.logDocument, builder.layout.claim(1), builder.layout.start(1)] {
                try flip("\(directory)/archive/\(key)")
                let arguments = ["repair", "--archive", url, "--from", "file://\(directory)/copy/orders"]
                let dry = try await Program.run(Program.walshipd, arguments, in: directory)
                #expect(dry.code == 3 && dry.output.contains("would put damaged \(key), "), "\(dry)")
                let done = try await Program.run(Program.walshipd, arguments + ["--yes"], in: directory)
                #expect(done.code == 0 && done.output.contains("put damaged \(key), ") && done.error.contains("1 brought back"), "\(done)")
                #expect(try await run(directory, "verify", "--archive", url).code == 0, "\(key)")
            }
            // A document that comes back shows what else is missing.
            for key in [builder.layout.logDocument, builder.layout.segment(builder.epoch, start: LSN(4096))] {
                try FileManager.default.removeItem(atPath: "\(directory)/archive/\(key)")
            }
            let both = try await run(directory, "repair", "--archive", url, "--from", "file://\(directory)/copy/orders", "--yes")
            #expect(both.code == 0 && both.error.contains("2 brought back"), "\(both)")
            #expect(try await run(directory, "verify", "--archive", url).code == 0)
            let control = "\(directory)/log/control"
            var bytes = try #require(FileManager.default.contents(atPath: control))
            bytes[4096 + 40] ^= 1
            let handle = try FileHandle(forWritingTo: URL(filePath: control))
            try handle.write(contentsOf: bytes)
            try handle.close()
            let dry = try await run(directory, "repair", "--log", "\(directory)/log", "--archive", url)
            #expect(dry.code == 3 && dry.output == "would write one copy of the facts in \(control), from the other one\n", "\(dry)")
            let done = try await run(directory, "repair", "--log", "\(directory)/log", "--archive", url, "--yes")
            #expect(done.code == 0 && done.output == "wrote one copy of the facts in \(control), from the other one\n", "\(done)")
            #expect(try await run(directory, "verify", "--log", "\(directory)/log").code == 0)
        }
    }

    @Test func pruneSaysWhatItWouldDoAndDoesItWhenTold() async throws {
        try await withArchive { directory, url, builder in
            let dry = try await run(directory, "prune", "--archive", url, "--before", "9000")
            let segment = builder.layout.segment(builder.epoch, start: .zero)
            #expect(dry.code == 0 && dry.output.hasPrefix("floor 8") && dry.output.contains("delete \(segment)\n"), "\(dry)")
            #expect(FileManager.default.fileExists(atPath: "\(directory)/archive/\(segment)"))
            let done = try await run(directory, "prune", "--archive", url, "--before", "9000", "--yes")
            #expect(done.code == 0 && done.output.contains("deleted \(segment)\n") && done.error.contains("2 objects deleted"), "\(done)")
            #expect(!FileManager.default.fileExists(atPath: "\(directory)/archive/\(segment)"))
            #expect(try await run(directory, "verify", "--archive", url).code == 0)
            #expect(try await run(directory, "restore", "--archive", url, "--to", "\(directory)/restored").code == 0)
            let again = try await run(directory, "prune", "--archive", url, "--before", "9000", "--yes")
            #expect(again.code == 0 && again.error.contains("nothing above that may go"), "\(again)")
            let old = try await run(directory, "prune", "--archive", url, "--before", "2001-01-01T00:00:00Z", "--yes")
            #expect(old.code == 0 && old.error.contains("nothing above that may go"), "\(old)")
            #expect(try await run(directory, "prune", "--archive", url, "--keep", "30d").code == 0)
            for arguments in [[], ["--before", "yesterday"], ["--before", "1", "--keep", "1d"], ["--keep", "1"]] {
                #expect(try await Program.run(Program.walshipd, ["prune", "--archive", url] + arguments, in: directory).code == 2, "\(arguments)")
            }
        }
    }
}
