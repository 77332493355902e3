import Archive
import Logging
import TestSupport
import Testing
import WAL

@testable import Follower

extension LogFollower {
    static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// Follows the sample archive, looking once a second; time passes as fast as it is slept away.
    convenience init(sample store: any ObjectStore, to target: Target, retain: UInt64? = nil) {
        var settings = FollowerSettings()
        settings.interval = 1
        settings.retain = retain
        let time = SimulatedTimeSource()
        self.init(
            store: store, log: SampleArchive.name, keys: .none, url: "memory/orders", to: target, settings: settings, logger: Self.quiet, time: time,
            sleep: { seconds in
                time.sleep(nanoseconds: UInt64(seconds * 1e9))
                try await Task.sleep(for: .milliseconds(1))
            })
    }

    /// Follows until `body` returns; then it is ended, and its end must be clean.
    func running(_ body: () async throws -> Void) async throws {
        let running = Task { try await run() }
        do {
            try await body()
        } catch {
            running.cancel()
            _ = await running.result
            throw error
        }
        running.cancel()
        try await running.value
        #expect(status.state == .ended)
    }

    func reaches(_ lsn: LSN) async throws {
        try await waitUntil("LSN \(lsn) is applied: \(status)") {
            guard status.state != .stopped else { throw ServerError("stopped: \(status)") }
            // A replica that may yet be rewound has what it has, and does not follow.
            return status.applied >= lsn && status.state == .following
        }
    }
}
