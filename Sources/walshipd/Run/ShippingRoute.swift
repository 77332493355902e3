import Archive
import Logging
import ServiceLifecycle
import Shipper

/// A destination, its store and its keys, which all logs share.
struct ShippingDestination: Sendable {
    var settings: DestinationSettings
    var store: any ObjectStore
    /// Read once, at the start.
    var keys: KeyRing
    var memory: UploadMemory
}

/// One log on its way to one destination, with the end within a deadline.
struct ShippingRoute: Sendable {
    private let shipper: LogShipper
    private let logger: Logger

    init(log: LogSettings, destination: ShippingDestination, logger: Logger) {
        let archive = destination.settings.archive(of: log)
        var logger = logger
        logger[metadataKey: "archive"] = "\(archive)"
        self.logger = logger
        var shipping = ShipperSettings(destination.settings)
        shipping.keys = destination.keys
        shipper = LogShipper(
            directory: log.path, name: log.name, slot: destination.settings.slotName(of: log), url: archive.text, store: destination.store,
            settings: shipping, memory: destination.memory, logger: logger)
    }

    var status: ShipperStatus { shipper.status }

    /// `run --once`.
    func shipOnce(timeout: Duration) async throws { try await shipper.runOnce(timeout: timeout) }

    /// Ships until the graceful end, and then what is durable by then, for at most `shutdownDeadline`. Cancelling ends it as a crash would.
    func ship(shutdownDeadline: Duration) async throws {
        let wasCut = try await withThrowingTaskGroup(of: Bool?.self) { group in
            group.addTask {
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
}

extension ShipperSettings {
    init(_ settings: DestinationSettings) {
        self.init()
        tailInterval = settings.ship.tailInterval
        uploadsInFlight = settings.ship.uploadsInFlight
        compressionLevel = settings.ship.compressionLevel
        retain = settings.ship.retain.bytes
        archiveRetain = settings.ship.archiveRetain
        settle = settings.ship.settle
        maxLocalBytes = settings.ship.maxLocalBytes?.bytes
        backlogPolicy = settings.ship.backlogPolicy
        claimSettle = settings.ship.claimSettle
        isImmutable = settings.ship.immutable
        fencing = settings.ship.fencing
        retryDelayMax = settings.retry.delayMax
    }
}
