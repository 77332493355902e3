import Foundation
import TestSupport
import Testing
import WAL

@testable import walshipd

/// Commands that are given records, and do not behave.
@Suite struct ConsumerProcessTests {
    private static let patience = Duration.milliseconds(300)

    private func consumer(_ command: String) throws -> ConsumerProcess { try ConsumerProcess(command, position: nil, patience: Self.patience) }

    /// Whether a process is there that was started with this word on its command line.
    private func isThere(_ word: String) -> Bool {
        for name in (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? [] where Int32(name) != nil {
            guard let line = FileManager.default.contents(atPath: "/proc/\(name)/cmdline") else { continue }
            if String(decoding: line, as: UTF8.self).contains(word) { return true }
        }
        return false
    }

    @Test(arguments: [
        // It does not care for the end of its input, and ends when it is told to.
        "exec sleep 1000.WORD",
        // Nor for being told to.
        "trap '' TERM; while true; do sleep 0.WORD; done",
        // The shell ends when it is told to, what it has started does not.
        "(trap '' TERM; while true; do sleep 0.WORD; done) | cat",
    ])
    func whoDoesNotEndIsEnded(command: String) async throws {
        let pool = BlockingPool()
        let word = "\(UInt32.random(in: 1_000_000...9_999_999))"
        let process = try consumer(command.replacingOccurrences(of: "WORD", with: word))
        #expect(try await wait { isThere(word) })
        try await process.abandon(pool)
        #expect(try await wait { !isThere(word) })
        try await pool.shutDown()
    }

    /// The pipe is full, and stays so: the shell is gone, and another holds its input open.
    @Test(arguments: ["trap '' TERM; sleep 1000", "sleep 1000 <&0 & exit 3"])
    func whoDoesNotReadIsEndedAndTheWriteWithIt(command: String) async throws {
        let pool = BlockingPool()
        let process = try consumer(command)
        let input = process.input
        let writing = Task { try await pool.run { () throws in try input.write([UInt8](repeating: 1, count: 1 << 20)) } }
        process.endInTime()
        let error = await #expect(throws: WALError.self) { try await writing.value }
        #expect(error?.isBrokenPipe == true)
        try await process.abandon(pool)
        try await pool.shutDown()
    }

    @Test func whoIsGivenTimeTakesIt() async throws {
        let pool = BlockingPool()
        try await withScratch { scratch async throws in
            // Twice as long as it would be left in peace once it was told to end.
            let process = try consumer("cat > '\(scratch)/got'; sleep 0.7; echo done > '\(scratch)/done'")
            try process.input.write(Array("some\n".utf8))
            try await process.finish(pool)
            #expect(try String(contentsOfFile: "\(scratch)/got", encoding: .utf8) == "some\n")
            #expect(FileManager.default.fileExists(atPath: "\(scratch)/done"))
        }
        try await pool.shutDown()
    }
}
