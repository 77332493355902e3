import Archive
import Logging
import ServiceLifecycle
import Shipper
import WAL

/// One log on its way to one destination, with the waiting for a log that does not exist yet and the end within a deadline.
struct ShippingRoute: Sendable {
    private let path: String
    private let shipper: LogShipper
    private let logger: Logger

    /// How often a log that does not exist yet is looked for.
    private static let vacantInterval: Duration = .milliseconds(500)

    init(log: LogSettings, destination: DestinationSettings, store: any ObjectStore, logger: Logger) {
        let archive = destination.archive(of: log)
        var logger = logger
        logger[metadataKey: "log"] = "\(log.path)"
        logger[metadataKey: "archive"] = "\(archive)"
        self.logger = logger
        path = log.path
        shipper = LogShipper(
            directory: log.path, name: log.name, slot: destination.slotName(of: log), url: archive.text, store: store,
            settings: ShipperSettings(destination), logger: logger)
    }

    var status: ShipperStatus { shipper.status }

    /// `run --once`.
    func shipOnce(timeout: Duration) async throws {
        guard try LogReader.exists(directory: path) else {
            throw CommandError(.notFound, "there is no log in \(path); its writer creates it (walshipd append --log \(path))")
        }
        try await shipper.runOnce(timeout: timeout)
    }

    /// Ships until the graceful end, and then what is durable by then, for at most `shutdownDeadline`.
    func ship(shutdownDeadline: Duration) async throws {
        let wasCut = try await withThrowingTaskGroup(of: Bool?.self) { group in
            group.addTask {
                guard try await isThere() else { return false }
                try await shipper.run()
                return false
            }
            group.addTask {
                // Throws when the shipper has ended and the group is cancelled: nothing is left to be waited for.
                do {
                    try await gracefulShutdown()
                    shipper.finish()
                    try await Task.sleep(for: shutdownDeadline)
                } catch is CancellationError {
                    return nil
                }
                return true
            }
            while let ended = try await group.next() {
                group.cancelAll()
                if let ended { return ended }
            }
            return false
        }
        if wasCut {
            let status = shipper.status
            logger.warning(
                "ended before everything was archived; the next run goes on from here",
                metadata: ["archived": "\(status.archived)", "durable": "\(status.durable)", "reason": "\(status.lastError ?? "the deadline")"])
        }
    }

    /// Waits for the log to be created; false where the graceful end came first.
    private func isThere() async throws -> Bool {
        var isTold = false
        while try !LogReader.exists(directory: path) {
            if !isTold { logger.notice("there is no log yet; waiting for its writer to create it") }
            isTold = true
            if Task.isShuttingDownGracefully { return false }
            try await Task.sleep(for: Self.vacantInterval)
        }
        return true
    }
}

extension ShipperSettings {
    init(_ settings: DestinationSettings) {
        self.init()
        tailInterval = settings.ship.tailInterval
        uploadsInFlight = settings.ship.uploadsInFlight
        compressionLevel = settings.ship.compressionLevel
        retain = settings.ship.retain.bytes
        settle = settings.ship.settle
        claimSettle = settings.ship.claimSettle
        fencing = settings.ship.fencing
        retryDelayMax = settings.retry.delayMax
    }
}
