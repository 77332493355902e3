import Archive
import Foundation
import TestSupport
import Testing
import WAL

@testable import walshipd

/// What commands say to somebody who got something wrong, or waits: what it is, and what to do.
@Suite struct CommandWordsTests {
    private func withArchive(_ body: (String, String, ArchiveBuilder) async throws -> Void) async throws {
        try await withArchivedLog(records: 800, body)
    }

    private func run(_ directory: String, _ arguments: String...) async throws -> Program.Ended {
        try await Program.run(Program.walshipd, arguments, in: directory)
    }

    private func flip(_ path: String, at offset: Int) throws {
        var bytes = try #require(FileManager.default.contents(atPath: path))
        bytes[offset] ^= 4
        try bytes.write(to: URL(filePath: path))
    }

    /// The archive of `withArchive` behind a server that answers its first requests with 503.
    private func withOutage(_ requests: Int, _ body: (_ directory: String, _ url: String) async throws -> Void) async throws {
        try await withArchive { directory, _, _ in
            let server = try await ServeProcess(root: "\(directory)/archive", in: directory)
            let port = try #require(server.url.split(separator: ":").last.flatMap { UInt16($0) })
            let proxy = try FaultServer(before: port) { $0.number < requests ? .respond(503) : .forward(Forwarding()) }
            try await body(directory, "\(proxy.url)/orders")
            _ = try await server.stop()
        }
    }

    @Test func anOutageIsToldOnceAndWaitedOut() async throws {
        try await withOutage(3) { directory, url in
            let ended = try await run(directory, "restore", "--archive", url, "--to", "\(directory)/restored")
            #expect(ended.code == 0 && ended.error.contains("restored 800 records, "), "\(ended)")
            let told = ended.error.split(separator: "\n").filter { $0.contains("storage failed; trying again archive=\(url) ") }
            #expect(told.count == 1 && told[0].contains("503"), "\(ended)")
        }
    }

    @Test func whereNothingCanBeRestoredIntoIsNamed() async throws {
        try await withArchive { directory, url, _ in
            let log = try await run(directory, "restore", "--archive", url, "--to", "\(directory)/log")
            #expect(log.code == 1 && log.error.contains("nothing was restored into \(directory)/log: ") && !log.error.contains("is not a log"), "\(log)")
            let file = try await run(directory, "restore", "--archive", url, "--to", "\(directory)/archive/orders/log.json")
            #expect(file.code == 1 && file.error.contains("name a directory that is missing or empty"), "\(file)")
            for (command, slash) in [("restore", ""), ("follow", ""), ("restore", "/")] {
                let orphan = try await run(directory, command, "--archive", url, "--to", "\(directory)/no/such\(slash)")
                #expect(orphan.code == 5 && orphan.error.contains("\(directory)/no/such\(slash) cannot be made, because there is no directory above it; make that first"), "\(orphan)")
            }
            let below = try await run(directory, "restore", "--archive", url, "--to", "\(directory)/restored", "--from", "100", "--before", "50")
            #expect(below.code == 2 && below.error.contains("--from 100 lies above the end that is asked for, 50"), "\(below)")
            let one = try await run(directory, "restore", "--archive", url, "--to", "\(directory)/restored", "--at", "0")
            #expect(one.code == 0 && one.error.contains("restored 1 record, 16 bytes, LSN 0 to 16, from 1 object "), "\(one)")
            #expect(one.error.hasSuffix("unless --at 16 is given\n"), "\(one)")
        }
    }

    @Test func aReplicaIsMendedAndACopyIsNot() async throws {
        try await withArchive { directory, url, _ in
            let replica = "\(directory)/replica"
            #expect(try await run(directory, "restore", "--archive", url, "--to", replica).code == 0)
            try flip("\(replica)/00000000000000000001.wal", at: 2000)
            let copy = "\(directory)/copy"
            try FileManager.default.copyItem(atPath: replica, toPath: copy)
            let verified = try await run(directory, "verify", "--log", copy)
            #expect(verified.code == 3 && verified.error.contains("Restore the archive") && !verified.error.contains("walshipd repair"), "\(verified)")
            let refused = try await run(directory, "repair", "--log", copy, "--archive", url, "--yes")
            #expect(refused.code == 1 && refused.error.contains("copies are not mended") && !refused.error.contains("promote"), "\(refused)")
            let mended = try await run(directory, "repair", "--log", replica, "--archive", url, "--yes")
            #expect(mended.code == 0, "\(mended)")
            let nowhere = try await run(directory, "repair", "--log", "\(directory)/nowhere", "--archive", url)
            #expect(nowhere.code == 5 && nowhere.error.contains("there is no log in"), "\(nowhere)")
        }
    }

    @Test func whereNothingCanBeMendedNobodyIsToldToSayYes() async throws {
        try await withArchive { directory, url, builder in
            let object = "\(directory)/archive/\(builder.layout.segment(builder.epoch, start: LSN(4096)))"
            try flip(object, at: 900)
            let same = try await run(directory, "repair", "--archive", url, "--from", url)
            #expect(same.code == 3 && same.error.contains("nothing of it can be brought back from \(url)") && !same.error.contains("--yes"), "\(same)")
            try FileManager.default.removeItem(atPath: object)
            try flip("\(directory)/log/00000000000000000001.wal", at: 2000)
            let log = try await run(directory, "repair", "--log", "\(directory)/log", "--archive", url)
            #expect(log.code == 3 && log.error.contains("nothing of it can be mended from \(url)") && !log.error.contains("--yes"), "\(log)")
        }
    }

    @Test func aCursorThatCannotBeKeptIsRefusedBeforeAnythingIsRead() async throws {
        try await withArchive { directory, url, _ in
            for cursor in ["\(directory)/no/cursor", "\(directory)/archive"] {
                let ended = try await run(directory, "verify", "--archive", url, "--cursor", cursor)
                #expect(ended.code == 2 && ended.output.isEmpty && ended.error.contains("the cursor file \(cursor) "), "\(ended)")
            }
        }
    }

    @Test func aFileThatCannotBeReadIsSaidInTheWordsOfTheSystem() async throws {
        try await withTemporaryDirectory { directory in
            let missing = try await run(directory, "run", "--config", "\(directory)/none.yaml", "--check")
            #expect(missing.code == 2 && missing.error.hasSuffix("none.yaml: the file cannot be read: No such file or directory (errno 2)\n"), "\(missing)")
            let file = "\(directory)/file"
            try Data().write(to: URL(filePath: file))
            let root = try await run(directory, "serve", "--root", file, "--listen", "127.0.0.1:0")
            #expect(root.code == 1 && root.error.contains("cannot keep objects in \(file): it is no directory; "), "\(root)")
        }
    }

    @Test func aPositionThatIsNoRecordIsNotFoundAndNoDamage() async throws {
        try await withArchive { directory, url, builder in
            let log = "\(directory)/log"
            for command in ["cat", "replay"] {
                let inside = try await run(directory, command, "--log", log, "--from", "20")
                #expect(inside.code == 5 && inside.output.isEmpty && inside.error.contains("use --from 16\n"), "\(inside)")
                let there = try await run(directory, command, "--archive", url, "--from", "20")
                #expect(there.code == 5 && there.error.contains("no record begins at LSN 20; "), "\(there)")
            }
            // What a consumer was given is at most the end: past it, it has seen another log.
            let end = try builder.reader.durableLSN
            let atEnd = try await run(directory, "replay", "--log", log, "--from", "\(end)")
            #expect(atEnd.code == 0 && atEnd.error == "replayed; go on with --from \(end)\n", "\(atEnd)")
            let past = try await run(directory, "replay", "--log", log, "--from", "\(end.advanced(by: 1))", "--exec", "touch \(directory)/begun")
            #expect(past.code == 5 && past.error.contains("ends at LSN \(end), "), "\(past)")
            #expect(!FileManager.default.fileExists(atPath: "\(directory)/begun"))
            let forked = try await run(directory, "replay", "--log", log, "--from", "\(end.advanced(by: 1))@0000000000000001", "--exec", "touch \(directory)/begun")
            #expect(forked.code == 4 && forked.error.contains("of an epoch that the log does not come from"), "\(forked)")
            #expect(!FileManager.default.fileExists(atPath: "\(directory)/begun"))
            let none = try await run(directory, "replay", "--archive", url, "--to", "0")
            #expect(none.code == 0 && none.error.hasSuffix("no record ends at or below --to 0\n"), "\(none)")
            // An archive may still lie behind.
            let archived = try await run(directory, "replay", "--archive", url, "--from", "\(end.advanced(by: 1))")
            #expect(archived.code == 0 && archived.error.contains("go on with --from \(end.advanced(by: 1))\n"), "\(archived)")
            try flip("\(log)/00000000000000000000.wal", at: 30)
            #expect(try await run(directory, "replay", "--log", log, "--from", "20").code == 3, "damage in the way counts")
        }
    }
}
