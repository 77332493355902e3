import Foundation
import TestSupport
import Testing

@testable import walshipd

@Suite struct AppendKillTests {
    /// One log, whose writer is killed twenty times at a random moment after its first acknowledgement: every record whose LSN was read from it is there.
    @Test func nothingAcknowledgedIsLostWhenTheWriterIsKilled() async throws {
        let seed = UInt64(ProcessInfo.processInfo.environment["WALSHIP_TEST_SEED"] ?? "") ?? UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        try await withTemporaryDirectory { scratch async throws in
            let log = "\(scratch)/log"
            var acknowledged: Set<String> = []
            for round in 0..<20 {
                // Between a line and a few hundred bytes, so that frames cross segments everywhere.
                let lines = (0..<2000).map { "\(round)-\($0)-" + String(repeating: "x", count: Int.random(in: 0..<200, using: &random)) }
                let input = "\(scratch)/input"
                try Data(lines.joined(separator: "\n").utf8).write(to: URL(filePath: input))
                let sync = Bool.random(using: &random) ? "each" : "batch"
                let append = try CommandProcess(
                    ["append", "--log", log, "--segment-size", "64KiB", "--sync", sync, "--ack"], input: .file(input), in: scratch)
                let target = Int.random(in: 1...(sync == "each" ? 400 : 1), using: &random)
                try await waitUntil("\(target) acknowledgements; seed \(seed)", within: .seconds(60)) {
                    append.lines.count >= target || !append.process.isRunning
                }
                if sync == "batch" { try await Task.sleep(for: .microseconds(Int.random(in: 0..<5000, using: &random))) }
                append.process.kill()
                for (line, lsn) in zip(lines, append.lines) { acknowledged.insert("{\"lsn\":\"\(lsn)\",\"data\":\"\(line)\"}") }

                let cat = try await CommandProcess.run(["cat", "--log", log, "--format", "json"], in: scratch)
                #expect(cat.code == 0, "round \(round), seed \(seed): \(cat.error)")
                let lost = acknowledged.subtracting(cat.lines)
                #expect(lost.isEmpty, "round \(round), WALSHIP_TEST_SEED=\(seed): \(lost.count) of \(acknowledged.count) lost, \(lost.sorted().prefix(3))")
            }
            #expect(acknowledged.count >= 20, "seed \(seed)")
            let verified = try await CommandProcess.run(["verify", "--log", log], in: scratch)
            #expect(verified.code == 0 && verified.output.hasPrefix("ok: "), "seed \(seed): \(verified)")
        }
    }
}
