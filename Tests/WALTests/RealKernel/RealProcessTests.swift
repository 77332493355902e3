import Foundation
import TestSupport
import Testing
import WAL

/// Real processes: limited, rivals, killed.
@Suite(.serialized) struct RealProcessTests {
    @Test func twoThousandSegmentsNeedNoMoreThan64Descriptors() async throws {
        try await withTemporaryDirectory { directory async throws in
            // What other tests have open beside this one is inherited, and is not the log's.
            let ours = "for f in /proc/self/fd/*; do f=${f##*/}; [ \"$f\" -le 2 ] || eval \"exec $f>&-\"; done; ulimit -n 64"
            let driver = try Driver(in: directory, setup: ours)
            _ = try await driver.expect("open \(directory)/log 4096")
            _ = try await driver.expect("append 2000 4088")
            let end = try await driver.expect("sync")[0]
            #expect(end == 2000 * 4096)
            #expect(try await driver.expect("count")[0] == 2000)
            _ = try await driver.expect("append 20 4088")
            _ = try await driver.expect("close")
            #expect(try await driver.expect("open \(directory)/log 4096")[0] == 2020 * 4096)
            #expect(try await driver.expect("count")[0] == 2020)
            let head = try await driver.expect("truncate 900")[0]
            #expect(head > 1800 * 4096)
            _ = try await driver.expect("append 100 4088")
            _ = try await driver.expect("sync")
            _ = try await driver.expect("close")
            try await driver.finish()
        }
    }

    /// Two processes want one log that is not there yet: one gets it, and the other hears who has it.
    @Test func oneOfTwoProcessesGetsTheLogAndTheOtherIsToldWhoHasIt() async throws {
        try await withTemporaryDirectory { directory async throws in
            for round in 0..<10 {
                let rivals = try (0..<2).map { _ in try Driver(in: directory) }
                for rival in rivals { rival.process.write(Array("open \(directory)/log-\(round / 2) 4096\n".utf8)) }
                for rival in rivals {
                    try await waitUntil("an answer; \(rival.process.tail)") { !rival.lines.isEmpty || !rival.process.isRunning }
                }
                let answers = rivals.map { $0.lines.first ?? "" }
                let winner = try #require(answers.firstIndex { $0.hasPrefix("ok") }, "\(answers)")
                #expect(answers[1 - winner].hasPrefix("locked"), "\(answers)")
                #expect(answers[1 - winner].contains("pid \(rivals[winner].process.pid) LogDriver"), "\(answers)")
                _ = try await rivals[winner].expect("append 10 100")
                _ = try await rivals[winner].expect("sync")
                #expect(try await rivals[winner].expect("count")[0] == UInt64(round % 2 + 1) * 10)
                for rival in rivals { try await rival.finish() }
            }
        }
    }

    /// Threads append and sync, the process is killed at some moment: whatever it had printed as acknowledged is there.
    @Test func acknowledgedRecordsOfManyThreadsSurviveKill9() async throws {
        let seed = UInt64(ProcessInfo.processInfo.environment["WALSHIP_TEST_SEED"] ?? "") ?? UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        try await withTemporaryDirectory { directory async throws in
            var acknowledged: [UInt64: String] = [:]
            for round in 0..<10 {
                let driver = try Driver(in: directory)
                _ = try await driver.expect("open \(directory)/log 16384")
                driver.process.write(Array("burst 4 \([10, 300, 3000][round % 3])\n".utf8))
                let enough = Int.random(in: 1...300, using: &random)
                try await waitUntil("acknowledgements; \(driver.process.tail)") { driver.lines.count > enough || !driver.process.isRunning }
                driver.process.kill()
                for line in driver.lines where line.hasPrefix("ack ") {
                    let words = line.split(separator: " ")
                    acknowledged[try #require(UInt64(words[2]))] = "\(words[1]) "
                }
                let log = try SegmentedLog.open(directory: "\(directory)/log", segmentSize: 16384)
                var missing = acknowledged
                for element in log.iter(upTo: .written) {
                    let record = try element.get()
                    guard let text = missing.removeValue(forKey: record.lsn.rawValue) else { continue }
                    #expect(record.data.starts(with: Array(text.utf8)), "LSN \(record.lsn) (WALSHIP_TEST_SEED=\(seed))")
                }
                #expect(missing.isEmpty, "round \(round): \(missing.count) are gone (WALSHIP_TEST_SEED=\(seed))")
                try log.close()
            }
            #expect(acknowledged.count > 10)
        }
    }
}
