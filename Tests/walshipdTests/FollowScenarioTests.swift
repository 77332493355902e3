import Archive
import Foundation
import TestSupport
import Testing
import WAL

@testable import walshipd

/// Following, replaying and rejoining with the program.
@Suite struct FollowScenarioTests {
    private static let quick = ["--ship-claim-settle", "10ms", "--ship-tail-interval", "20ms"]
    typealias Entry = (lsn: LSN, data: [UInt8])

    @discardableResult
    private func append(_ directory: String, _ count: Int, _ byte: UInt8) throws -> LSN {
        let log = try SegmentedLog.open(directory: directory, segmentSize: FileManager.default.fileExists(atPath: directory) ? nil : 4096)
        for number in 0..<count { _ = try log.append([UInt8](repeating: byte, count: 100 + number % 90)) }
        let sync: () throws -> LSN = { try log.sync() }
        let end = try sync()
        try log.close()
        return end
    }

    private func records(_ directory: String, from lsn: LSN = .zero) throws -> [Entry] {
        let reader = try LogReader.open(directory: directory)
        defer { reader.close() }
        return try reader.iter().map { try $0.get() }.filter { $0.lsn >= lsn }.map { ($0.lsn, $0.data) }
    }

    private func isSame(_ left: [Entry], _ right: [Entry]) -> Bool {
        left.count == right.count && zip(left, right).allSatisfy { $0.lsn == $1.lsn && $0.data == $1.data }
    }

    private func durable(_ directory: String) -> LSN? {
        guard let reader = try? LogReader.open(directory: directory) else { return nil }
        defer { reader.close() }
        return try? reader.durableLSN
    }

    private func run(_ scratch: String, _ arguments: String...) async throws -> Program.Ended {
        try await Program.run(Program.walshipd, arguments, in: scratch)
    }

    private func ship(_ scratch: String, _ log: String, _ archive: String) async throws {
        let ended = try await Program.run(Program.walshipd, ["run", "--once", "--log", log, "--archive", archive, "--ship-retain", "1GiB"] + Self.quick, in: scratch)
        #expect(ended.code == 0, "\(ended)")
    }

    private func follow(_ scratch: String, _ archive: String, _ arguments: String...) throws -> Program {
        try Program(Program.walshipd, ["follow", "--archive", archive, "--interval", "20ms"] + arguments, in: scratch)
    }

    private func end(_ program: Program) async throws {
        program.signal(SIGTERM)
        let ended = try await program.ended()
        #expect(ended.code == 0, "\(ended)")
    }

    /// A primary with its daemon, two followers, and the promotion of one while the primary's machine hangs. It wakes, is told, and rejoins.
    @Test func aPrimaryThatWasReplacedRejoinsAndBothHistoriesAreAccountedForToTheByte() async throws {
        try await withScratch { scratch async throws in
            let archive = "file://\(scratch)/archive/orders"
            let (log, second, third) = ("\(scratch)/log", "\(scratch)/second", "\(scratch)/third")
            let archived = try append(log, 60, 1)
            let daemon = try Program(
                Program.walshipd, ["run", "--log", log, "--archive", archive, "--ship-retain", "1GiB"] + Self.quick, in: scratch)
            try #require(await wait { FileManager.default.fileExists(atPath: "\(scratch)/archive/orders/heads") })
            let followers = try [follow(scratch, archive, "--to", second), follow(scratch, archive, "--to", third)]
            #expect(try await wait(seconds: 60) { durable(second) == archived && durable(third) == archived })
            daemon.signal(SIGSTOP)
            // The primary's program does not know, and writes on.
            let lost = try append(log, 40, 2)
            let old = try records(log)
            try await end(followers[0])
            let promoted = try await run(scratch, "promote", "--log", second, "--archive", archive)
            #expect(promoted.code == 0, "\(promoted)")
            let end = try append(second, 60, 3)
            try await ship(scratch, second, archive)
            // The other follower goes on with the new primary.
            #expect(try await wait(seconds: 60) { durable(third) == end })
            #expect(isSame(try records(third), try records(second)))

            daemon.signal(SIGCONT)
            let fenced = try await daemon.ended()
            #expect(fenced.code == 4, "\(fenced)")
            let refused = try await run(scratch, "follow", "--archive", archive, "--to", log)
            #expect(refused.code == 4 && refused.error.contains("--rewind") && refused.error.contains("\(archived)"), "\(refused)")
            #expect(isSame(try records(log), old))
            let rejoined = try follow(scratch, archive, "--to", log, "--rewind")
            #expect(try await wait(seconds: 60) { durable(log) == end })
            // The line that went on, in the log; what was written past the fork, beside it.
            #expect(isSame(try records(log), try records(second)))
            let kept = "\(log)/diverged-1-\(archived)"
            #expect(isSame(try records(kept), old.filter { $0.lsn >= archived }) && durable(kept) == lost)
            let shown = try await run(scratch, "cat", "--log", kept, "--format", "hex")
            #expect(shown.code == 0 && shown.output.split(separator: "\n").count == 40)
            let verified = try await run(scratch, "verify", "--log", kept)
            #expect(verified.code == 0 && verified.output.contains("ok"), "\(verified)")
            // More comes, and status says how it stands, also after it ended.
            let later = try append(second, 30, 4)
            try await ship(scratch, second, archive)
            #expect(try await wait(seconds: 60) { durable(log) == later })
            try await self.end(rejoined)
            try await self.end(followers[1])
            let status = try await run(scratch, "status", "--log", log, "--json")
            #expect(status.code == 0 && status.output.contains("\"state\":\"ended\"") && status.output.contains("\"applied_lsn\":\"\(later)\""), "\(status)")
            #expect(try await run(scratch, "status", "--log", log).output.contains("follows"))
        }
    }

    @Test func aFollowerThatIsKilledAnywhereGoesOnAndReadersSeeWhatIsThere() async throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        try await withScratch { scratch async throws in
            let archive = "file://\(scratch)/archive/orders"
            let (log, replica) = ("\(scratch)/log", "\(scratch)/replica")
            try append(log, 40, 1)
            let daemon = try Program(
                Program.walshipd, ["run", "--log", log, "--archive", archive, "--ship-retain", "1GiB"] + Self.quick, in: scratch)
            try #require(await wait { FileManager.default.fileExists(atPath: "\(scratch)/archive/orders/heads") })
            try #require(await run(scratch, "restore", "--archive", archive, "--to", replica).code == 0)
            for round in 0..<12 {
                let follower = try follow(scratch, archive, "--to", replica)
                try append(log, Int.random(in: 1...60, using: &random), UInt8(round))
                try await Task.sleep(for: .milliseconds(Int.random(in: 5...300, using: &random)))
                follower.signal(SIGKILL)
                _ = try await follower.ended()
                guard durable(replica) != nil else { continue }
                let there = try records(replica)
                #expect(isSame(there, Array(try records(log).prefix(there.count))), "seed \(seed), round \(round)")
            }
            let end = try append(log, 10, 99)
            let follower = try follow(scratch, archive, "--to", replica)
            #expect(try await wait(seconds: 60) { durable(replica) == end }, "seed \(seed)")
            #expect(isSame(try records(replica), try records(log)), "seed \(seed)")
            try await self.end(follower)
            try await self.end(daemon)
        }
    }

    @Test func aGapEndsItWithThreeAndStatusSaysWhere() async throws {
        try await withScratch { scratch async throws in
            let archive = "file://\(scratch)/archive/orders"
            try append("\(scratch)/log", 120, 1)
            try await ship(scratch, "\(scratch)/log", archive)
            #expect(try await run(scratch, "restore", "--archive", archive, "--to", "\(scratch)/replica", "--at", "0").code == 0)
            let segments = "\(scratch)/archive/orders/segments"
            let epoch = try #require(FileManager.default.contentsOfDirectory(atPath: segments).first)
            try FileManager.default.removeItem(atPath: "\(segments)/\(epoch)/00000000000000008192.zst")
            let ended = try await run(scratch, "follow", "--archive", archive, "--to", "\(scratch)/replica", "--interval", "20ms")
            #expect(ended.code == 3 && ended.error.contains("8192"), "\(ended)")
            let status = try await run(scratch, "status", "--log", "\(scratch)/replica", "--json")
            #expect(status.output.contains("\"state\":\"stopped\"") && status.output.contains("8192"), "\(status)")
            #expect(try await run(scratch, "follow", "--archive", archive + "x", "--to", "\(scratch)/none").code == 5)
        }
    }

    // MARK: Commands that are given records

    @Test func aCommandIsGivenEachRecordAndWhereToGoOn() async throws {
        try await withScratch { scratch async throws in
            let archive = "file://\(scratch)/archive/orders"
            let log = "\(scratch)/log"
            let end = try append(log, 50, UInt8(ascii: "a"))
            try await ship(scratch, log, archive)
            let reader = try LogReader.open(directory: log)
            let position = "\(end)@\(try reader.epochs.current.id)"
            reader.close()
            let expected = try records(log).map { String(decoding: $0.data, as: UTF8.self) + "\n" }.joined()
            for source in [["--log", log], ["--archive", archive]] {
                let replayed = try await Program.run(
                    Program.walshipd, ["replay", "--format", "lines", "--exec", "cat > '\(scratch)/out'"] + source, in: scratch)
                #expect(replayed.code == 0 && replayed.error.contains("--from \(position)"), "\(replayed)")
                #expect(try String(contentsOfFile: "\(scratch)/out", encoding: .utf8) == expected)
                let printed = try await Program.run(Program.walshipd, ["replay"] + source, in: scratch)
                let last = try #require(printed.output.split(separator: "\n").last)
                #expect(printed.code == 0 && last.contains("\"next\":\"\(position)\""), "\(last)")
                // Nothing comes after the end; nothing begins inside a record.
                for from in ["\(end)", position] {
                    let none = try await Program.run(Program.walshipd, ["replay", "--from", from] + source, in: scratch)
                    #expect(none.code == 0 && none.output.isEmpty, "\(none)")
                }
                // Of another history, or no position at all.
                for command in ["replay", "follow"] where command == "replay" || source[0] == "--archive" {
                    let elsewhere = try await Program.run(Program.walshipd, [command, "--exec", "cat", "--from", "\(end)@0000000000000001"] + source, in: scratch)
                    #expect(elsewhere.code == 4 && elsewhere.error.contains("position \(end)@"), "\(elsewhere)")
                    #expect(try await Program.run(Program.walshipd, [command, "--exec", "cat", "--from", "\(end)@1"] + source, in: scratch).code == 2)
                }
                let failed = try await Program.run(Program.walshipd, ["replay", "--exec", "exit 7"] + source, in: scratch)
                #expect(failed.code == 1 && failed.error.contains("exit code 7"), "\(failed)")
            }
            // Followed, it is given what comes, too; told to end, its input ends.
            let following = try follow(scratch, archive, "--format", "positioned", "--exec", "cat > '\(scratch)/followed'; echo done > '\(scratch)/ended'")
            let size = { (try? Data(contentsOf: URL(filePath: "\(scratch)/followed")).count) ?? 0 }
            let bytes = try records(log).reduce(0) { $0 + $1.data.count + 28 }
            #expect(try await wait(seconds: 60) { size() == bytes })
            try append(log, 5, UInt8(ascii: "b"))
            try await ship(scratch, log, archive)
            let more = try records(log, from: end).reduce(bytes) { $0 + $1.data.count + 28 }
            #expect(try await wait(seconds: 60) { size() == more })
            try await self.end(following)
            #expect(FileManager.default.fileExists(atPath: "\(scratch)/ended"))
            // One that ends by itself is an error that says so.
            let ended = try await follow(scratch, archive, "--exec", "head -c 100 > /dev/null").ended()
            #expect(ended.code == 1 && ended.error.contains("ended"), "\(ended)")
        }
    }

    @Test func wrongArgumentsAreUsage() async throws {
        try await withScratch { scratch async throws in
            let archive = "file://\(scratch)/archive/orders"
            for arguments in [
                ["follow", "--archive", archive], ["follow", "--archive", archive, "--to", "a", "--exec", "b"],
                ["follow", "--archive", archive, "--exec", "cat", "--rewind"], ["follow", "--archive", archive, "--to", "a", "--format", "json"],
                ["follow", "--archive", archive, "--to", "a", "--interval", "1ms"], ["follow", "--archive", archive, "--exec", "cat", "--retain", "1MiB"],
                ["follow", "--archive", archive, "--to", "a", "--from", "5@0000000000000001"], ["replay"], ["replay", "--log", "a", "--archive", archive],
                ["replay", "--log", "a", "--from", "5", "--to", "4"],
            ] {
                let ended = try await Program.run(Program.walshipd, arguments, in: scratch)
                #expect(ended.code == 2, "\(arguments): \(ended)")
            }
        }
    }
}
