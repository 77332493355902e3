import Archive
import Logging
import ServiceLifecycle
import Shipper
import WAL

/// One log on its way to all its destinations: waits for it, has every destination's slot made before anything is shipped, ships to each
/// independently of the others, and notices when the log is gone.
struct LogRoutes: Sendable {
    private let log: LogSettings
    private let destinations: [ShippingDestination]
    private let logger: Logger

    init(log: LogSettings, destinations: [ShippingDestination], logger: Logger) {
        self.log = log
        self.destinations = destinations
        var logger = logger
        logger[metadataKey: "log"] = "\(log.path)"
        self.logger = logger
    }

    enum Ending: Sendable {
        /// Every destination has ended: at the graceful end, or because none can go on.
        case ended((any Error)?)
        /// The log was removed, or another one lies in its place.
        case vanished
    }

    /// `run --once`: the gravest error of all destinations.
    func shipOnce(timeout: Duration) async -> (any Error)? {
        do {
            guard try await LogFinder.identity(of: log.path) != nil else {
                throw CommandError(.notFound, "there is no log in \(log.path); its writer creates it (walshipd append --log \(log.path))")
            }
            try await reserve()
        } catch {
            return error
        }
        return await each { route in try await route.shipOnce(timeout: timeout) }
    }

    /// A log that is listed: waited for where it does not exist yet, and again when it is gone.
    func ship(shutdownDeadline: Duration) async -> (any Error)? {
        var isTold = false
        while true {
            let identity: LogFinder.Identity?
            do {
                identity = try await LogFinder.identity(of: log.path)
            } catch {
                logger.error("this log cannot be shipped", metadata: ["reason": "\(error)"])
                return error
            }
            if let identity {
                isTold = false
                if case .ended(let error) = await ship(identity, shutdownDeadline: shutdownDeadline) { return error }
            } else if !isTold {
                logger.notice("there is no log yet; waiting for its writer to create it")
                isTold = true
            }
            if Task.isShuttingDownGracefully || Task.isCancelled { return nil }
            // Cancelled is seen above, at the next turn.
            try? await cancelWhenGracefulShutdown { try await Task.sleep(for: RunLimits.vacantInterval) }
        }
    }

    /// A log that is there, known by `identity`.
    func ship(_ identity: LogFinder.Identity, shutdownDeadline: Duration) async -> Ending {
        do {
            guard try await reserveWhenPossible(identity) else { return .vanished }
        } catch {
            logger.error("this log cannot be shipped", metadata: ["reason": "\(error)"])
            return .ended(error)
        }
        return await withTaskGroup(of: Ending?.self) { group in
            group.addTask {
                .ended(await each { route in try await route.ship(shutdownDeadline: shutdownDeadline) })
            }
            group.addTask { await isGone(identity) ? .vanished : nil }
            var ending = Ending.ended(nil)
            while let next = await group.next() {
                guard let next else { continue }
                // The first that is one counts: what is cancelled by it has nothing to say.
                ending = next
                group.cancelAll()
                break
            }
            await group.waitForAll()
            if case .vanished = ending { logger.warning("the log is gone, or another one is in its place; it is not shipped any more") }
            return ending
        }
    }

    private func reserve() async throws(ShipperError) {
        try await SlotReservation.make(directory: log.path, slots: destinations.map { $0.settings.slotName(of: log) })
    }

    /// On a disk that is full or does not answer, again and again: nothing is shipped before every slot is there, or one destination could have truncated
    /// what another still needs. False when the log is gone, or the end has come.
    private func reserveWhenPossible(_ identity: LogFinder.Identity) async throws -> Bool {
        var isTold = false
        while true {
            guard let failure = await failureOfReserving() else { return true }
            guard case .log(let error) = failure, error.mayPass else { throw failure }
            if !isTold { logger.error("the slots of the destinations cannot be made; trying again", metadata: ["reason": "\(error)"]) }
            isTold = true
            do {
                try await cancelWhenGracefulShutdown { try await Task.sleep(for: RunLimits.lookInterval) }
            } catch {
                return false
            }
            if Task.isShuttingDownGracefully { return false }
            if try await LogFinder.identity(of: log.path) != identity { return false }
        }
    }

    private func failureOfReserving() async -> ShipperError? {
        do throws(ShipperError) {
            try await reserve()
            return nil
        } catch {
            return error
        }
    }

    private func each(_ body: @escaping @Sendable (ShippingRoute) async throws -> Void) async -> (any Error)? {
        await withTaskGroup(of: (any Error)?.self) { group in
            for destination in destinations {
                let route = ShippingRoute(log: log, destination: destination, logger: logger)
                group.addTask {
                    do {
                        try await body(route)
                        return nil
                    } catch {
                        return error
                    }
                }
            }
            return await group.reduce(into: GravestError()) { $0.add($1) }.error
        }
    }

    /// True once it is; false when nobody needs to know any more.
    private func isGone(_ identity: LogFinder.Identity) async -> Bool {
        while true {
            do {
                try await Task.sleep(for: RunLimits.lookInterval)
            } catch {
                return false
            }
            do {
                if try await LogFinder.identity(of: log.path) != identity { return true }
            } catch WALError.notALog {
                return true
            } catch {
                // A disk that cannot be read is the shippers' to report: the log may still be there.
                continue
            }
        }
    }
}

extension WALError {
    /// What the disk says now and may not say later.
    fileprivate var mayPass: Bool {
        switch self {
        case .noSpace, .io: true
        default: false
        }
    }
}
