import Archive
import Foundation
import TestSupport
import WAL

/// Calls `body` with a new empty directory and removes it with all it holds afterwards.
func withScratch<Result>(_ body: (String) async throws -> Result) async throws -> Result {
    let path = FileManager.default.temporaryDirectory.appending(path: "walshipd-test-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try await body(path)
}

/// Polls until `condition` holds; false after `seconds`.
func wait(seconds: Double = 20, until condition: () throws -> Bool) async throws -> Bool {
    let end = ContinuousClock.now + .seconds(seconds)
    while try !condition() {
        if ContinuousClock.now >= end { return false }
        try await Task.sleep(for: .milliseconds(10))
    }
    return true
}

/// A closed log of so many records in `log`, and its archive in `archive`, whose URL `body` is given.
func withArchivedLog(records: Int, _ body: (_ directory: String, _ url: String, ArchiveBuilder) async throws -> Void) async throws {
    try await withScratch { directory in
        let log = try SegmentedLog.open(directory: "\(directory)/log", segmentSize: 4096)
        for index in 0..<records { try log.append(Array("record \(index)".utf8)) }
        try log.close()
        let builder = try await ArchiveBuilder(store: DirectoryStore(root: "\(directory)/archive"), directory: "\(directory)/log")
        try await builder.ship()
        try await body(directory, "file://\(directory)/archive/orders", builder)
    }
}
