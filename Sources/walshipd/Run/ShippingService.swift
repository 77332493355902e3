import Archive
import Logging
import ServiceLifecycle
import Shipper
import WAL

/// Everything that `walshipd run` runs: one shipper for each log and destination. A slow or failing one never holds up another.
struct ShippingService: Service {
    private let routes: [ShippingRoute]
    /// With `--once`: how long it may take.
    private let once: Duration?
    private let shutdownDeadline: Duration
    private let logger: Logger

    init(settings: RunSettings, once: Duration?, logger: Logger) throws(ArchiveError) {
        self.once = once
        self.logger = logger
        shutdownDeadline = settings.shutdownDeadline
        var routes: [ShippingRoute] = []
        for destination in settings.destinations {
            // One store a destination: its connections are shared by the logs, and no other destination waits for one of them.
            let store = try StoreFactory(destination, logs: settings.logs.count, logger: logger).store(for: destination.base)
            for log in settings.logs {
                routes.append(ShippingRoute(log: log, destination: destination, store: store, logger: logger))
            }
        }
        self.routes = routes
    }

    /// Ends when every route has: in the daemon that is at the graceful end, or when none can go on. Throws the gravest error.
    func run() async throws {
        let failures = await withTaskGroup(of: (any Error)?.self, returning: [any Error].self) { group in
            for route in routes { group.addTask { await outcome(of: route) } }
            return await group.reduce(into: []) { failures, failure in if let failure { failures.append(failure) } }
        }
        // Fenced and diverged first: they need a person, and storage that was away may come back by itself.
        let order: [ExitCode] = [.fenced, .damaged, .failed, .usage, .notFound, .storage]
        func rank(_ error: any Error) -> Int { order.firstIndex(of: ExitCode(ofDomainError: error) ?? .failed) ?? order.count }
        if let gravest = failures.min(by: { rank($0) < rank($1) }) { throw gravest }
    }

    private func outcome(of route: ShippingRoute) async -> (any Error)? {
        do {
            if let once {
                try await route.shipOnce(timeout: once)
            } else {
                try await route.ship(shutdownDeadline: shutdownDeadline)
            }
            return nil
        } catch {
            return error
        }
    }
}
