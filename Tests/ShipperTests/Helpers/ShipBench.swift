import Archive
import Foundation
import Logging
import Testing
import TestSupport
import WAL

@testable import Shipper

/// A log in a directory, and everything that the archive says about it.
final class ShipBench: Sendable {
    let directory: String
    let log: SegmentedLog
    static let segmentSize = 4096
    static let name = LogName("orders")!
    static let layout = Layout(log: name)

    init(_ scratch: String, log: String = "log") throws {
        directory = "\(scratch)/\(log)"
        self.log = try SegmentedLog.open(directory: directory, segmentSize: Self.segmentSize)
    }

    /// Appends `count` records of different lengths and syncs; returns the end.
    @discardableResult
    func write(_ count: Int, seed: UInt64 = 1, size: ClosedRange<Int> = 1...400) throws -> LSN {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<count {
            let length = Int.random(in: size, using: &random)
            _ = try log.append((0..<length).map { _ in UInt8(truncatingIfNeeded: random.next() % 16) })
        }
        return try sync()
    }

    static let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    func sync() throws -> LSN { try log.sync() }

    /// Where the log begins, in its files.
    func head() throws -> LSN { try LogContents.head(directory) }

    static func settings(tail: Duration? = .milliseconds(10)) -> ShipperSettings {
        var settings = ShipperSettings()
        settings.tailInterval = tail
        settings.claimSettle = .milliseconds(1)
        settings.retryDelayMax = .milliseconds(20)
        return settings
    }

    /// More is retained than there is: nothing local goes.
    static var keepAll: ShipperSettings {
        var settings = settings()
        settings.retain = 1 << 40
        return settings
    }

    func shipper(
        to store: any ObjectStore, settings: ShipperSettings = ShipBench.settings(), slot: String = "d-1", directory: String? = nil,
        time: any TimeSource = LinuxTimeSource(), pause: @escaping @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }
    ) -> LogShipper {
        let place = directory ?? self.directory
        return LogShipper(
            directory: place, name: Self.name, slot: slot, url: store.name, store: store, settings: settings,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, time: time, pause: pause,
            attach: { () throws(WALError) in try LogSidecar.attach(directory: place) })
    }

    func shipOnce(
        to store: any ObjectStore, settings: ShipperSettings = ShipBench.settings(), slot: String = "d-1"
    ) async throws -> ShipperStatus {
        let shipper = shipper(to: store, settings: settings, slot: slot)
        try await shipper.runOnce(timeout: .seconds(60))
        return shipper.status
    }

    func slot(_ name: String = "d-1") throws -> SlotState {
        let sidecar = try LogSidecar.attach(directory: directory)
        defer { sidecar.detach() }
        return try #require(try sidecar.slotState(name))
    }

    /// The log's bytes from its files; a truncated prefix is not there.
    func bytes(_ range: Range<LSN>) throws -> [UInt8] {
        let reader = try LogReader.open(directory: directory)
        defer { reader.close() }
        return try reader.verifiedRange(range).bytes
    }

    /// What lies in an archive, all of it decoded and checked.
    struct Archived {
        var objects: [ObjectDecoder.Decoded] = []
        var segments: [ObjectDecoder.Decoded] { objects.filter { $0.metadata.kind == .segment } }
        var tails: [ObjectDecoder.Decoded] { objects.filter { $0.metadata.kind != .segment } }

        /// The contiguous bytes from `start` on, as a reader finds them: segment first, then tails, highest level first.
        func contiguous(from start: LSN = .zero) -> [UInt8] {
            var bytes: [UInt8] = []
            var position = start
            while true {
                let here = objects.filter { $0.metadata.start <= position && $0.metadata.end > position }
                guard
                    let next = here.first(where: { $0.metadata.kind == .segment })
                        ?? here.filter({ $0.metadata.start == position }).max(by: { $0.metadata.end < $1.metadata.end })
                else { return bytes }
                bytes += next.raw[Int(position.distance(from: next.metadata.start))...]
                position = next.metadata.end
            }
        }
    }

    static func archived(_ contents: [ObjectKey: [UInt8]], keys: KeyRing = .none) throws -> Archived {
        var archived = Archived()
        for (key, bytes) in contents.sorted(by: { $0.key < $1.key }) where key.path.hasSuffix(".zst") || key.path.hasSuffix(".enc") {
            let start = LSN(UInt64(key.path.split(separator: "/").last!.prefix(20))!)
            archived.objects.append(try ObjectDecoder.decode(bytes, key: key, start: start, keys: keys))
        }
        return archived
    }

    static func archived(_ store: any ObjectStore) async throws -> Archived {
        var contents: [ObjectKey: [UInt8]] = [:]
        for key in try await store.list(layout.root) {
            contents[key] = try await store.get(key, range: nil, limit: 64 << 20)
        }
        return try archived(contents)
    }
}

/// The code of the archive's error that `body` ends with, told by a shipper or not; nil where it succeeds. Any other error is an issue.
func code(_ body: () async throws -> some Any) async -> ArchiveError.Code? {
    do {
        _ = try await body()
        return nil
    } catch ShipperError.archive(let error) {
        return error.code
    } catch let error as ArchiveError {
        return error.code
    } catch {
        Issue.record("\(error)")
        return nil
    }
}

extension ShipperError {
    /// What storage or an archive had to do with it; nil where that was nothing.
    var ofArchive: ArchiveError? { if case .archive(let error) = self { error } else { nil } }
}

/// Does on a thread of its own what may block for long.
func blocking(_ body: @escaping @Sendable () throws -> Void) async throws {
    try await withCheckedThrowingContinuation { continuation in
        DispatchQueue.global().async { continuation.resume(with: Result { try body() }) }
    }
}

/// Waits until `condition` holds, at most a minute.
func eventually(_ what: String, _ condition: () async throws -> Bool) async throws {
    let clock = ContinuousClock()
    let end = clock.now + .seconds(60)
    while try await !condition() {
        guard clock.now < end else {
            Issue.record("it never came to this: \(what)")
            throw CancellationError()
        }
        try await Task.sleep(for: .milliseconds(5))
    }
}
