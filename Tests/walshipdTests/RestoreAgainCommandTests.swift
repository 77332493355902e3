import Archive
import Foundation
import TestSupport
import Testing
import WAL

/// `walshipd restore`, killed, short of space, and with more than one archive.
@Suite(.serialized) struct RestoreAgainCommandTests {
    private func withArchive(
        segmentSize: Int = 4096, records: Int = 500, bytes: Int = 20, _ body: (String, String, ArchiveBuilder) async throws -> Void
    ) async throws {
        try await withScratch { directory in
            let log = try SegmentedLog.open(directory: "\(directory)/log", segmentSize: segmentSize)
            for index in 0..<records { try log.append(Array("record \(index) \(String(repeating: "x", count: bytes))".utf8)) }
            try log.close()
            let builder = try await ArchiveBuilder(store: DirectoryStore(root: "\(directory)/archive"), directory: "\(directory)/log")
            try await builder.ship(tailBytes: UInt64(segmentSize) / 4)
            try await body(directory, "file://\(directory)/archive/orders", builder)
        }
    }

    private func run(_ directory: String, _ arguments: String...) async throws -> Program.Ended {
        try await Program.run(Program.walshipd, arguments, in: directory)
    }

    private func isSame(_ directory: String) async throws -> Bool {
        let (original, restored) = (
            try await run(directory, "cat", "--log", "\(directory)/log"), try await run(directory, "cat", "--log", "\(directory)/restored"))
        return original.code == 0 && restored.code == 0 && original.output == restored.output && !original.output.isEmpty
    }

    @Test func killedAtRandomTimesAndRunAgainItGivesTheSameLog() async throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        try await withArchive(segmentSize: 64 << 10, records: 4000, bytes: 1000) { directory, url, _ in
            let arguments = ["restore", "--archive", url, "--to", "\(directory)/restored", "--downloads", "2"]
            var killed = 0
            for round in 0..<12 {
                let place = "\(directory)/restore-\(round)"
                try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: false)
                let program = try ChildProcess(Program.walshipd, arguments, in: place)
                try await Task.sleep(for: .milliseconds(Int.random(in: 20...250, using: &random)))
                program.kill()
                if case .exited(0) = try await program.waitForExit() { break }
                killed += 1
            }
            if !FileManager.default.fileExists(atPath: "\(directory)/restored/control") || FileManager.default.fileExists(atPath: "\(directory)/restored/restoring") {
                let last = try await Program.run(Program.walshipd, arguments, in: directory)
                #expect(last.code == 0, "\(last) (seed \(seed), killed \(killed) times)")
            }
            #expect(try await isSame(directory), "seed \(seed), killed \(killed) times")
            let verified = try await run(directory, "verify", "--log", "\(directory)/restored")
            #expect(verified.code == 0, "\(verified) (seed \(seed))")
        }
    }

    @Test func anObjectThatIsMissingInOneArchiveIsTakenFromTheOtherAndNamed() async throws {
        try await withArchive { directory, url, builder in
            let other = try await ArchiveBuilder(store: DirectoryStore(root: "\(directory)/other"), directory: "\(directory)/log", id: 5)
            try await other.ship(tailBytes: 700)
            let key = builder.layout.segment(builder.epoch, start: LSN(4096))
            try FileManager.default.removeItem(atPath: "\(directory)/archive/\(key)")
            let alone = try await run(directory, "restore", "--archive", url, "--to", "\(directory)/restored")
            #expect(alone.code == 3 && alone.error.contains("at LSN 4096"), "\(alone)")
            let second = "file://\(directory)/other/orders"
            let plan = try await run(directory, "restore", "--archive", url, "--archive", second, "--plan", "--json")
            #expect(plan.code == 0 && plan.output.contains("\"archive\":2,"), "\(plan)")
            let both = try await run(directory, "restore", "--archive", url, "--archive", second, "--to", "\(directory)/restored")
            #expect(both.code == 0 && both.error.contains("\(key)"), "\(both)")
            #expect(try await isSame(directory))
            // One that is not there at all is said, and left out.
            let missing = try await run(
                directory, "restore", "--archive", "file://\(directory)/nowhere/orders", "--archive", second, "--to", "\(directory)/again")
            #expect(missing.code == 0 && missing.error.contains("is left out"), "\(missing)")
        }
    }

    @Test func timesAreAskedForInWordsThatPeopleWrite() async throws {
        try await withArchive { directory, url, builder in
            let early = try await run(directory, "restore", "--archive", url, "--plan", "--at-time", "2001-01-01T00:00:00Z")
            #expect(early.code == 5 && early.error.contains("the first time it knows"), "\(early)")
            let late = try await run(directory, "restore", "--archive", url, "--plan", "--at-time", "2400-01-01T00:00:00+01:00")
            #expect(late.code == 5 && late.error.contains("does not reach to 2399-12-31T23:00:00Z"), "\(late)")
            let wrong = try await run(directory, "restore", "--archive", url, "--plan", "--at-time", "yesterday")
            #expect(wrong.code == 2 && wrong.error.contains("expected a time with its offset, like"), "\(wrong)")
            let both = try await run(directory, "restore", "--archive", url, "--plan", "--at-time", "2026-01-01T00:00:00Z", "--at", "5")
            #expect(both.code == 2, "\(both)")
        }
    }

    /// A file system of its own that is too small.
    @Test func aFullDiskIsSaidAndGoneOnFromWhenThereIsSpace() async throws {
        try await withArchive(segmentSize: 64 << 10, records: 2000, bytes: 1000) { directory, url, _ in
            let place = "\(directory)/small"
            try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: false)
            let mounted = try await Program.run("/usr/bin/env", ["mount", "-t", "tmpfs", "-o", "size=1m", "none", place], in: directory)
            guard mounted.code == 0 else { return }
            do {
                let full = try await run(directory, "restore", "--archive", url, "--to", "\(place)/restored")
                #expect(full.code == 1 && full.error.contains("run the same restore again"), "\(full)")
                let larger = try await Program.run("/usr/bin/env", ["mount", "-o", "remount,size=8m", place], in: directory)
                #expect(larger.code == 0)
                let again = try await run(directory, "restore", "--archive", url, "--to", "\(place)/restored")
                #expect(again.code == 0 && again.error.contains("were there from an attempt before"), "\(again)")
                let verified = try await run(directory, "verify", "--log", "\(place)/restored")
                #expect(verified.code == 0, "\(verified)")
            } catch {
                _ = try await Program.run("/usr/bin/env", ["umount", place], in: directory)
                throw error
            }
            _ = try await Program.run("/usr/bin/env", ["umount", place], in: directory)
        }
    }
}
