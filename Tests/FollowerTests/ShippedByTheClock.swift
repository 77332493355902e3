import Archive
import Foundation
import Logging
import Shipper
import Synchronization
import TestSupport
import Testing
import WAL

/// A log that grows at an even pace and is shipped meanwhile, in a time of its own: an hour passes as fast as its requests are answered, and what
/// is shipped when does not depend on how fast that is.
final class ShippedByTheClock: Sendable {
    static let name = LogName("orders")!
    let log: SegmentedLog
    private let clock = SimulatedTimeSource()
    private let store: any ObjectStore
    private let directory: String
    private let bytesPerSecond: Int
    private struct State {
        var second = 0
        var until = 0
        var shipper: LogShipper?
        var failure: (any Error)?
        var fillsUntil = Int.max
    }
    private let state = Mutex(State())

    init(_ scratch: String, to store: any ObjectStore, segmentSize: Int, bytesPerSecond: Int) throws {
        directory = "\(scratch)/log"
        log = try SegmentedLog.open(directory: directory, segmentSize: segmentSize)
        self.store = store
        self.bytesPerSecond = bytesPerSecond
    }

    /// Whether so many seconds have passed.
    var second: Int { state.withLock { $0.second } }

    /// Lets `seconds` pass with records, then `idle` without any, and calls `body` when all is still; then it is ended.
    func run(seconds: Int, idle: Int = 0, afterWriting: () throws -> Void = {}, body: () async throws -> Void) async throws {
        state.withLock { $0.until = seconds }
        var settings = ShipperSettings()
        settings.claimSettle = .milliseconds(1)
        let shipper = LogShipper(
            directory: directory, name: Self.name, slot: "d-1", url: store.name, store: store, settings: settings,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, time: clock, pause: { [self] in try await pass($0) },
            attach: { [directory] () throws(WALError) in try LogSidecar.attach(directory: directory) })
        state.withLock { $0.shipper = shipper }
        let running = Task { try await shipper.run() }
        try await reaches(seconds, shipper)
        // The head of a log that has gone idle, which is the last thing that is sent.
        state.withLock { $0.fillsUntil = seconds; $0.until = seconds + 20 }
        try await reaches(seconds + 20, shipper)
        try afterWriting()
        state.withLock { $0.until = seconds + 20 + idle }
        try await reaches(seconds + 20 + idle, shipper)
        try await body()
        shipper.finish()
        try await running.value
        state.withLock { $0.shipper = nil }
        try log.close()
    }

    private func reaches(_ second: Int, _ shipper: LogShipper) async throws {
        try await waitUntil("so many seconds have passed", within: .seconds(120)) {
            if let failure = state.withLock({ $0.failure }) { throw failure }
            guard shipper.status.state != .stopped else { throw ServerError("stopped: \(shipper.status)") }
            return self.second >= second
        }
    }

    /// The shipper's own pause, which is half a second here: a record is written at each whole one, and half a second later all of it is to be
    /// archived before time goes on. Nor does it while anything is under way: what was due was begun before the pause, so that what is asked for, and when, is the same however long
    /// the machine takes for it.
    private func pass(_ pause: Duration) async throws {
        let (wantsMore, shipper) = state.withLock { ($0.second < $0.until, $0.shipper) }
        guard wantsMore, let shipper else { return try await Task.sleep(for: .milliseconds(2)) }
        try await waitUntil("what was begun is done") { !shipper.status.isBusy }
        let half: UInt64 = 500_000_000
        guard !(clock.monotonic() / half).isMultiple(of: 2) else { return clock.advance(nanoseconds: half) }
        try await waitUntil("what was written half a second ago is archived") { shipper.status.archived == self.log.durableLSN }
        clock.advance(nanoseconds: half)
        do {
            let fills = state.withLock { $0.second < $0.fillsUntil }
            if fills {
                try log.append([UInt8](repeating: UInt8(truncatingIfNeeded: second), count: bytesPerSecond - 8))
                let sync: () throws -> LSN = { try self.log.sync() }
                _ = try sync()
            }
            state.withLock { $0.second += 1 }
        } catch {
            state.withLock { $0.failure = error }
        }
    }
}
