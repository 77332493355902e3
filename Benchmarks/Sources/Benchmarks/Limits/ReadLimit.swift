import CLimits
import Synchronization

/// Limit (d): the log's own segment files read from the page cache with preads of 1 MiB, each checksummed as one piece. One thread.
enum ReadLimit {
    static let piece = 1 << 20

    /// Bytes of log a second.
    static func measure(_ log: ShelvedLog, _ workplace: Workplace) throws -> Double {
        let files = try log.segments(workplace).map { (file: try File.open(toRead: $0.path), size: $0.size) }
        let buffer = UnsafeMutablePointer<UInt8>.allocate(capacity: piece)
        buffer.initialize(repeating: 0, count: piece)
        defer { buffer.deallocate() }
        var crc: UInt32 = 0
        let elapsed = try Clock.nanoseconds {
            for (file, size) in files {
                try file.check("pread", code: limits_read_loop(file.descriptor, buffer, piece, size, &crc))
            }
        }
        withExtendedLifetime(crc) {}
        return Double(files.reduce(0) { $0 + $1.size }) / elapsed * 1e9
    }
}
