import Foundation
import TestSupport
import Testing
import WAL

/// Single calls of the kernel that fail in a running process, which goes through most of what can be done to a log.
///
/// In `make test` some places of each kind of call; `WALSHIP_FAULTS=1` has each call of each kind fail in its turn.
@Suite(.serialized) struct FailingCallTests {
    static let tracer = ChildProcess.find("strace")
    static let faults = [
        "fdatasync:error=EIO", "fdatasync:error=ENOSPC", "fsync:error=EIO", "pwrite64:error=EIO", "pwrite64:error=ENOSPC", "pread64:error=EIO",
        "fallocate:error=ENOSPC", "ftruncate:error=EIO", "/^rename:error=EIO", "/^unlink:error=EIO", "/^mkdir:error=ENOSPC",
        "openat:error=EMFILE", "openat:error=ENOSPC", "openat:error=EIO", "mmap:error=ENOMEM", "fcntl:error=ENOLCK", "/^newfstatat|^fstat:error=EIO",
    ]
    static let isLong = ProcessInfo.processInfo.environment["WALSHIP_FAULTS"] != nil
    static let places = isLong ? Array(1...400) : [1, 2, 4, 9, 20, 45]
    static let segmentSize = 16384

    /// It says a typed error or goes on, acknowledges nothing after a failed flush until it is opened again, and whoever opens the log next finds
    /// everything that was acknowledged.
    @Test(.enabled(if: tracer != nil, "needs strace"), arguments: faults)
    func acknowledgedRecordsSurviveAnyCallThatFails(_ fault: String) async throws {
        for nth in Self.places {
            let name = "\(fault), call \(nth)"
            let isMet = try await withTemporaryDirectory { directory async throws in
                let driver = try Driver(in: directory)
                // Only now: the program's own start is not what is looked at.
                let tracer = try await Self.attach(fault, nth, driver, directory)
                let acknowledged = try await Self.work(driver, "\(directory)/log", name)
                try await driver.finish()
                _ = try await tracer.waitForExit()
                let log = try SegmentedLog.open(directory: "\(directory)/log", segmentSize: Self.segmentSize)
                #expect(log.endLSN.rawValue >= acknowledged, "\(name)")
                #expect(throws: Never.self, "\(name)") { for element in log.iter(upTo: .written) { _ = try element.get() } }
                try log.append([1])
                try await log.sync()
                try log.close()
                return try String(contentsOfFile: "\(directory)/trace", encoding: .utf8).contains("(INJECTED)")
            }
            #expect(isMet || nth > 1, "\(name): no such call was made")
            // No thread made so many.
            if !isMet { break }
        }
    }

    private static func attach(_ fault: String, _ nth: Int, _ driver: Driver, _ directory: String) async throws -> ChildProcess {
        let call = fault.split(separator: ":")[0]
        _ = try await driver.ask("state")
        let place = "\(directory)/strace"
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        let tracer = try ChildProcess(
            "strace",
            ["-f", "-p", "\(driver.process.pid)", "-o", "\(directory)/trace", "-e", "trace=\(call)", "-e", "inject=\(fault):when=\(nth)"], in: place)
        try await waitUntil("strace; \(tracer.tail)") { tracer.standardError.contains("attached") || !tracer.isRunning }
        return tracer
    }

    private static let kinds = ["ok", "io", "noSpace", "stopped", "locked", "encoding", "positionLost", "corruption"]

    /// Returns up to where records were acknowledged and are not truncated.
    private static func work(_ driver: Driver, _ path: String, _ name: String) async throws -> UInt64 {
        var acknowledged: UInt64 = 0
        func ask(_ command: String) async throws -> String {
            // Throws where the process is gone or does not answer.
            let answer = try await driver.ask(command)
            #expect(kinds.contains { answer.hasPrefix($0) }, "\(name), \(command): \(answer)")
            return answer
        }
        func open() async throws {
            for _ in 0..<4 {
                let answer = try await ask("open \(path) \(segmentSize)")
                guard !answer.hasPrefix("ok") else {
                    #expect(UInt64(answer.dropFirst(3)) ?? 0 >= acknowledged, "\(name): opened at \(answer), \(acknowledged) was acknowledged")
                    return
                }
                #expect(answer.hasPrefix("io") || answer.hasPrefix("noSpace"), "\(name): \(answer)")
            }
            Issue.record("\(name): it does not open")
        }
        try await open()
        for round in 0..<6 {
            var isStopped = false
            for command in ["append 3 \(1000 * round)", "batch 4 \(700 * round)", "sync", "pin 300", "append 2 9000", "sync", "truncate 600", "unpin", "append 1 80", "cut", "truncate 400", "append 9 3000", "sync"] {
                let answer = try await ask(command)
                if answer.hasPrefix("stopped") { isStopped = true }
                if command == "sync", answer.hasPrefix("ok") {
                    let durable = try #require(UInt64(answer.dropFirst(3)))
                    #expect(!isStopped || durable == acknowledged, "\(name): \(durable) acknowledged after the log had stopped")
                    // Nothing that is cut was synced: it never goes back.
                    #expect(durable >= acknowledged, "\(name): durable \(durable), \(acknowledged) was acknowledged")
                    acknowledged = durable
                }
            }
            if isStopped || round % 3 == 2 {
                _ = try await ask("close")
                try await open()
            }
        }
        return acknowledged
    }
}
