import Foundation
import Glibc
import WAL

/// A writer that is killed: this program, started again as `leave-dirty-tail`.
enum DirtyTail {
    /// Bytes that the writer leaves without a sync, all in one segment of the default size, of which they leave little free: the most that can be in it
    /// to recover, but for a start that is durable.
    static let unsynced: UInt64 = 14 << 20
    private static let synced: UInt64 = 1 << 20
    /// The subcommand's name.
    static let command = "leave-dirty-tail"
    private static let ready = UInt8(ascii: "\n")

    /// Starts the writer on the log in `directory`, and kills it when it has appended.
    static func leave(in directory: String) throws {
        let writer = Process()
        writer.executableURL = URL(filePath: try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
        writer.arguments = [command, "--log", directory]
        let output = Pipe()
        writer.standardOutput = output
        try writer.run()
        let said = try output.fileHandleForReading.read(upToCount: 1)
        kill(writer.processIdentifier, SIGKILL)
        writer.waitUntilExit()
        guard said == Data([ready]), writer.terminationReason == .uncaughtSignal, writer.terminationStatus == SIGKILL else {
            throw BenchmarkError.notAsExpected("the writer that was to be killed ended before")
        }
    }

    /// The writer's side: appends, says so, and waits to be killed.
    static func write(in directory: String) throws -> Never {
        let log = try SegmentedLog.open(directory: directory)
        let record = AppendLoad(payloadCount: 1024, threads: 1, volume: 0).payload
        let segment = UInt64(log.segmentSize)
        guard segment == ShelvedLog.segmentSize else {
            throw BenchmarkError.notAsExpected("the log has segments of \(segment) bytes")
        }
        let start = (log.endLSN.rawValue / segment + 1) * segment
        while log.endLSN.rawValue < start + synced { try log.append(record) }
        let durable = try log.sync()
        while log.endLSN < durable.advanced(by: unsynced) { try log.append(record) }
        try FileHandle.standardOutput.write(contentsOf: [ready])
        // Nobody kills it any more when its parent has been killed.
        sleep(60)
        throw BenchmarkError.notAsExpected("the writer was not killed")
    }
}
