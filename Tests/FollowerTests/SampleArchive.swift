import Archive
import Follower
import Foundation
import TestSupport
import Testing
import WAL

/// A log of small segments in a temporary directory, and what is asked of it everywhere.
struct SampleArchive {
    typealias Entry = (lsn: LSN, data: [UInt8])

    static let name = LogName("orders")!

    /// Appends `count` records of varying length, the same for one seed; closes the log. Returns what it holds.
    @discardableResult
    static func write(_ directory: String, count: Int, seed: UInt64 = 1, segmentSize: Int? = 4096) throws -> [Entry] {
        let log = try SegmentedLog.open(directory: directory, segmentSize: segmentSize)
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<count {
            let length = Int.random(in: 0...300, using: &generator)
            try log.append((0..<length).map { _ in UInt8.random(in: 0...255, using: &generator) })
        }
        try log.close()
        return try records(directory)
    }

    static func records(_ directory: String) throws -> [Entry] {
        let reader = try LogReader.open(directory: directory)
        defer { reader.close() }
        return try reader.iter().map { element in
            let record = try element.get()
            return (record.lsn, record.data)
        }
    }

    static func isSame(_ left: [Entry], _ right: [Entry]) -> Bool {
        left.count == right.count && zip(left, right).allSatisfy { $0.lsn == $1.lsn && $0.data == $1.data }
    }

    /// Does not wait, and gives up at once.
    struct NoPatience: RetryWait {
        mutating func wait(after error: ArchiveError) async throws(ArchiveError) { throw error }
    }

    static func open(_ store: any ObjectStore) async throws -> ArchiveReader {
        try await ArchiveReader.open(store: store, log: name, patience: { NoPatience() })
    }

    @discardableResult
    static func restore(
        _ store: any ObjectStore, into directory: String, _ target: RestoreTarget = .everything
    ) async throws -> Restore.Summary {
        try await withoutRemains(directory) { try await Restore(try await open(store), target: target).run(into: directory) }
    }

    /// Removes what a restore that failed has kept to go on with, which is no log, and throws why it failed.
    static func withoutRemains<T>(_ directory: String, _ body: () async throws -> T) async throws -> T {
        do {
            return try await body()
        } catch let error as RestoreError {
            #expect(error.remains != .kept(upTo: .zero))
            #expect(!FileManager.default.fileExists(atPath: "\(directory)/control"))
            #expect(throws: WALError.self) { try LogReader.open(directory: directory) }
            #expect(throws: WALError.self) { try SegmentedLog.open(directory: directory) }
            try FileManager.default.removeItem(atPath: directory)
            throw error.cause
        }
    }

    static func copy(_ from: String, _ to: String) throws { try FileManager.default.copyItem(atPath: from, toPath: to) }

    /// Makes a copied directory look like the original: both copies of the facts name its control file's inode.
    static func adopt(_ directory: String) throws {
        let path = "\(directory)/control"
        var bytes = try Array(Data(contentsOf: URL(filePath: path)))
        let inode = try #require(try LinuxFileSystem().status(path)?.inode)
        for page in [1, 2] {
            let start = page * 4096
            for index in 0..<8 { bytes[start + 64 + index] = UInt8(truncatingIfNeeded: inode >> (8 * UInt64(index))) }
            let value = CRC32C.of(Array(bytes[start..<(start + 4092)]).span.bytes)
            for index in 0..<4 { bytes[start + 4092 + index] = UInt8(truncatingIfNeeded: value >> (8 * UInt32(index))) }
        }
        let handle = try FileHandle(forWritingTo: URL(filePath: path))
        try handle.write(contentsOf: Data(bytes))
        try handle.close()
    }
}
