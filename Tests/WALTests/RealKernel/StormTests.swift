import Foundation
import TestSupport
import Testing
@testable import LogDriver
import WAL

/// A writer that does everything at once is killed at any moment, again and again, with another process beside it that reads and truncates.
///
/// `make kills SECONDS=600` has more of it.
@Suite(.serialized) struct StormTests {
    static let seconds = ProcessInfo.processInfo.environment["WALSHIP_KILL_SECONDS"].flatMap { Double($0) } ?? 10

    @Test func whatWasAcknowledgedInAStormSurvivesKill9() async throws {
        let seed = UInt64(ProcessInfo.processInfo.environment["WALSHIP_TEST_SEED"] ?? "") ?? UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        let start = ContinuousClock.now
        try await withTemporaryDirectory { directory async throws in
            let path = "\(directory)/log"
            var ledger = StormLedger()
            var watcher: Driver?
            var (rounds, checkedTwice, watched) = (0, 0, 0)
            while rounds < 3 || ContinuousClock.now - start < .seconds(Self.seconds) {
                rounds += 1
                let name = "round \(rounds) (WALSHIP_TEST_SEED=\(seed))"
                let writer = try Driver(in: directory)
                let opened = try await writer.ask("open \(path) \(LogLimits.segmentSizeDefault)")
                #expect(opened.hasPrefix("ok"), "\(name): \(opened)")
                writer.send("storm 3 \([20, 300, 3000][rounds % 3]) \(rounds * 1_000_000)")
                if watcher == nil {
                    watcher = try Driver(in: directory)
                    watcher?.send("watch \(path)")
                }
                let enough = Int.random(in: 1...400, using: &random)
                try await waitUntil("lines; \(writer.process.tail)") { writer.lines.count > enough || !writer.process.isRunning }
                writer.process.kill()
                ledger.note(writer.lines)
                let found = try Self.look(path)
                // The other process goes on beside the next writer, or dies, too, and everything is checked, with nobody to truncate meanwhile.
                guard Bool.random(using: &random) || ContinuousClock.now - start >= .seconds(Self.seconds) else { continue }
                let log = try SegmentedLog.open(directory: path)
                #expect(log.endLSN >= found, "\(name)")
                watcher?.process.kill()
                watched += watcher?.lines.count { $0.hasPrefix("read") } ?? 0
                ledger.note(watcher?.lines ?? [])
                watcher = nil
                #expect(ledger.failures.isEmpty, "\(name): \(ledger.failures.prefix(3))")
                let problems = try ledger.problems(with: log.iter(upTo: .written), head: log.headLSN, epochs: log.epochs)
                #expect(problems.isEmpty, "\(name): \(problems.prefix(3))")
                let (head, end) = (log.headLSN, log.endLSN)
                try log.close()
                // The one who knows only the format's document agrees. Slowly: not where a large record is there.
                if end.rawValue - head.rawValue < 8 << 20 {
                    checkedTwice += 1
                    let said = try await Self.independent(path, directory)
                    #expect(said.contains("{\"lsn\": \(end), \"what\": \"end\"}"), "\(name): \(said.suffix(400))")
                }
                if !problems.isEmpty { break }
            }
            print("storm: \(rounds) kills, \(ledger.acknowledgements) acknowledgements, \(ledger.cutCount) cuts, read \(watched) times from beside, \(checkedTwice) times by another reader")
            #expect(ledger.acknowledgements > rounds)
        }
    }

    /// Reads everything as another process does, before anybody recovers it. Returns where it ends.
    private static func look(_ path: String) throws -> LSN {
        let reader = try LogReader.open(directory: path)
        defer { reader.close() }
        while true {
            var (last, end) = (StormRecord?.none, try reader.headLSN)
            do {
                for element in reader.iter() {
                    let record = try element.get()
                    if let problem = StormRecord.problem(record, after: &last) { throw ServerError(problem) }
                    end = record.endLSN
                }
                return end
            } catch WALError.positionLost {
                // The other one has truncated meanwhile.
                continue
            }
        }
    }

    /// What Tests/Independent/wal_reader.py says, but for the records themselves. It ends with an error where it finds damage.
    private static func independent(_ path: String, _ directory: String) async throws -> String {
        let script = URL(filePath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "Independent/wal_reader.py").path
        let place = "\(directory)/independent"
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        let process = try ChildProcess(
            "/bin/bash", ["-c", "set -o pipefail; python3 '\(script)' log '\(path)' | { grep -v '\"what\": \"record\"' || true; }"], in: place,
            environment: ["PYTHONDONTWRITEBYTECODE": "1"])
        let exit = try await process.waitForExit(within: .seconds(120))
        guard exit == .exited(0) else { throw ServerError("\(exit): \(process.tail)") }
        return process.standardOutput
    }
}
