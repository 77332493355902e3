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

    /// Killed when its first segments are there, some time later, and when the control file is, however fast the machine is: a restore that was finished does not count.
    @Test func killedAnywhereAndRunAgainItGivesTheSameLog() async throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        try await withArchive(segmentSize: 64 << 10, records: 4000, bytes: 1000) { directory, url, _ in
            let arguments = ["restore", "--archive", url, "--to", "\(directory)/restored", "--downloads", "1"]
            var killed = 0
            for segment in [0, 4, 12, 24, 36, 48, 56] {
                let name = String(repeating: "0", count: segment < 10 ? 19 : 18) + "\(segment).wal"
                let place = "\(directory)/restore-\(segment)"
                try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: false)
                let program = try ChildProcess(Program.walshipd, arguments, in: place)
                try await waitUntil("segment \(segment) is begun (seed \(seed))") {
                    FileManager.default.fileExists(atPath: "\(directory)/restored/\(name)") || FileManager.default.fileExists(atPath: "\(directory)/restored/control")
                }
                try await Task.sleep(for: .microseconds(Int.random(in: 0...2000, using: &random)))
                program.kill()
                if case .exited(0) = try await program.waitForExit() { break }
                killed += 1
            }
            #expect(killed > 0, "seed \(seed)")
            if !FileManager.default.fileExists(atPath: "\(directory)/restored/control") || FileManager.default.fileExists(atPath: "\(directory)/restored/restoring") {
                let last = try await Program.run(Program.walshipd, arguments, in: directory)
                #expect(last.code == 0, "\(last) (seed \(seed), killed \(killed) times)")
            }
            #expect(try await isSame(directory), "seed \(seed), killed \(killed) times")
            let verified = try await run(directory, "verify", "--log", "\(directory)/restored")
            #expect(verified.code == 0, "\(verified) (seed \(seed))")
        }
    }

    /// An interrupted restore of everything, gone on with to less than it had.
    @Test func goneOnWithToLessItSaysSo() async throws {
        try await withArchive { directory, url, builder in
            let key = builder.layout.segment(builder.epoch, start: LSN(12288))
            let path = "\(directory)/archive/\(key)"
            try FileManager.default.moveItem(atPath: path, toPath: "\(directory)/aside")
            try Data([1]).write(to: URL(filePath: path))
            let first = try await run(directory, "restore", "--archive", url, "--to", "\(directory)/restored")
            #expect(first.code == 3 && first.error.contains("is kept in") && first.error.contains("at LSN 12288"), "\(first)")
            let less = try await run(directory, "restore", "--archive", url, "--to", "\(directory)/restored", "--before", "4096")
            #expect(less.code == 0 && less.error.contains("were there from an attempt before"), "\(less)")
            let both = try await run(directory, "restore", "--archive", url, "--plan", "--before", "4096", "--at", "3")
            #expect(both.code == 2, "\(both)")
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

    /// With a file system of one's own, by right or in a namespace of users.
    private static let mounting: [String]? = [["-m"], ["-rm"]].first { flags in
        guard ["unshare", "mount"].allSatisfy({ ChildProcess.find($0) != nil }) else { return false }
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["unshare"] + flags + ["sh", "-c", "mount -t tmpfs none /mnt"]
        process.standardError = FileHandle.nullDevice
        return (try? process.run()).map { process.waitUntilExit() } != nil && process.terminationStatus == 0
    }

    /// On a real file system that is too small; `RestoreAgainTests` shows the same everywhere, on a simulated one.
    @Test(.enabled(if: mounting != nil, "needs a mount namespace (unshare, mount)"))
    func aFullDiskIsSaidAndGoneOnFromWhenThereIsSpace() async throws {
        try await withArchive(segmentSize: 64 << 10, records: 2000, bytes: 1000) { directory, url, _ in
            let script = """
                mkdir small && mount -t tmpfs -o size=1m none small || exit 99
                '\(Program.walshipd)' restore --archive '\(url)' --to small/restored; echo full $?
                mount -o remount,size=8m small || exit 98
                '\(Program.walshipd)' restore --archive '\(url)' --to small/restored; echo again $?
                '\(Program.walshipd)' verify --log small/restored > verified; echo verified $?
                """
            let process = try ChildProcess(
                "unshare", try #require(Self.mounting) + ["sh", "-c", script], in: directory, environment: ["SWIFT_BACKTRACE": "enable=no"], workingDirectory: directory)
            let exit = try await process.waitForExit(within: .seconds(60))
            func text(_ path: String) -> String { String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self) }
            let (output, error) = (text(process.standardOutputPath), text(process.standardErrorPath))
            #expect(exit == .exited(0) && output == "full 1\nagain 0\nverified 0\n", "\(exit): \(output)\(error)")
            #expect(error.contains("run the same restore again") && error.contains("were there from an attempt before"), "\(error)")
        }
    }
}
