import Foundation
import TestSupport
import Testing
import WAL

/// Real processes, killed with SIGKILL at random: what a writer printed as acknowledged is in the log and in the archive afterwards.
@Suite(.serialized) struct RandomKillTests {
    static let rounds = 20

    @Test func twentyKillsOfWriterAndDaemonLoseNothingAcknowledged() async throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        try await withTemporaryDirectory { directory in
            let log = directory + "/log"
            let server = try Server(directory)
            let url = try await server.url() + "/killed"
            var acknowledged: [UInt64: String] = [:]
            for round in 0..<RandomKillTests.rounds {
                let daemon = try walshipd(["run", "--log", log, "--archive", url], in: directory, "daemon-\(round)", settings)
                let writer = try walshipd(
                    ["append", "--log", log, "--sync", "batch", "--ack", "--segment-size", "64KiB"], in: directory,
                    "writer-\(round)", input: .pipe)
                let lines = (0..<4000).map { "round \(round) line \($0) \(String(repeating: "x", count: Int.random(in: 0...200, using: &random)))" }
                // The writer may die while it is fed.
                let feeding = Task.detached { writer.write(Array((lines.joined(separator: "\n") + "\n").utf8)) }
                try await Task.sleep(for: .milliseconds(Int.random(in: 60...400, using: &random)))
                if round % 2 == 0 {
                    daemon.kill()
                    writer.kill()
                } else {
                    writer.kill()
                    daemon.kill()
                }
                _ = await feeding.value
                try note(writer.standardOutput, lines, into: &acknowledged, seed: seed, round: round)
            }
            #expect(!acknowledged.isEmpty, "no writer lived long enough (seed \(seed))")

            // The log is recovered by the next writer, and all of it is shipped.
            let last = try walshipd(["append", "--log", log, "--sync", "each", "--ack"], in: directory, "last", input: .pipe)
            #expect(last.write(Array("the last line\n".utf8)))
            last.closeInput()
            #expect(try await last.waitForExit() == .exited(0), "\(last.tail) (seed \(seed))")
            try note(last.standardOutput, ["the last line"], into: &acknowledged, seed: seed, round: -1)
            let once = try walshipd(["run", "--once", "--log", log, "--archive", url], in: directory, "once", settings)
            #expect(try await once.waitForExit(within: .seconds(60)) == .exited(0), "\(once.tail) (seed \(seed))")

            try await check(url, directory, acknowledged, seed: seed)
            let local = try LogReader.open(directory: log)
            #expect(try local.headLSN > .zero, "nothing was truncated (seed \(seed))")
            local.close()
        }
    }

    private var settings: [String: String] { ["WALSHIPD_SHIP_TAIL_INTERVAL": "50ms", "WALSHIPD_SHIP_CLAIM_SETTLE": "100ms"] }

    /// Whole lines of acknowledgement only: a line that was cut by the kill tells nothing.
    private func note(_ output: String, _ lines: [String], into acknowledged: inout [UInt64: String], seed: UInt64, round: Int) throws {
        let whole = output.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
        for (index, text) in whole.enumerated() {
            let lsn = try #require(UInt64(text), "\"\(text)\" is no LSN (seed \(seed), round \(round))")
            #expect(acknowledged[lsn] == nil, "LSN \(lsn) was given twice (seed \(seed), round \(round))")
            acknowledged[lsn] = lines[index]
        }
    }

    private func check(_ url: String, _ directory: String, _ acknowledged: [UInt64: String], seed: UInt64) async throws {
        let restore = try walshipd(["restore", "--archive", url, "--to", directory + "/restored"], in: directory, "restore")
        #expect(try await restore.waitForExit(within: .seconds(60)) == .exited(0), "\(restore.tail) (seed \(seed))")
        let restored = try LogReader.open(directory: directory + "/restored")
        defer { restored.close() }
        var missing = acknowledged
        for element in restored.iter() {
            let record = try element.get()
            if let line = missing.removeValue(forKey: record.lsn.rawValue) {
                #expect(record.data == Array(line.utf8), "LSN \(record.lsn) differs (seed \(seed))")
            }
        }
        #expect(missing.isEmpty, "\(missing.count) acknowledged records are gone, the first at \(missing.keys.min() ?? 0) (seed \(seed))")
    }

    private func walshipd(
        _ arguments: [String], in directory: String, _ name: String, _ environment: [String: String] = [:],
        input: ChildProcess.Input = .null
    ) throws -> ChildProcess {
        let place = directory + "/" + name
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        return try ChildProcess(Program.walshipd, arguments, in: place, environment: environment, input: input)
    }

    /// `walshipd serve` on a free port.
    private struct Server {
        let process: ChildProcess

        init(_ directory: String) throws {
            let place = directory + "/server"
            try FileManager.default.createDirectory(atPath: place + "/root", withIntermediateDirectories: true)
            process = try ChildProcess(
                Program.walshipd, ["serve", "--root", place + "/root", "--listen", "127.0.0.1:0"], in: place)
        }

        func url() async throws -> String {
            try await waitUntil("the server prints where it listens; \(process.tail)") { process.standardOutput.contains("\n") }
            return try #require(process.standardOutput.split(separator: "\n").first?.split(separator: " ").last.map(String.init))
        }
    }
}
