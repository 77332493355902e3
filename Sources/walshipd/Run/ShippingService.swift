import Archive
import Logging
import ServiceLifecycle
import Shipper

/// Everything that `walshipd run` runs: each log, listed or found, on its way to each destination. A slow or failing one never holds up another.
struct ShippingService: Service {
    private let logs: [LogSettings]
    private let patterns: [LogPattern]
    private let destinations: [ShippingDestination]
    /// With `--once`: how long it may take.
    private let once: Duration?
    private let shutdownDeadline: Duration
    private let logger: Logger

    /// Reads keys, and runs the commands that give them: throws `ConfigurationError` where one cannot be had, and `ArchiveError` for URLs that cannot be used.
    init(settings: RunSettings, once: Duration?, logger: Logger) async throws {
        self.once = once
        self.logger = logger
        shutdownDeadline = settings.shutdownDeadline
        logs = settings.logs
        patterns = settings.patterns
        var destinations: [ShippingDestination] = []
        for destination in settings.destinations {
            // One store a destination: its connections are shared by the logs, and no other destination waits for one of them.
            let factory = StoreFactory(destination, logs: settings.patterns.isEmpty ? settings.logs.count : RunLimits.logsMax, logger: logger)
            destinations.append(ShippingDestination(
                settings: destination, store: try factory.store(for: destination.base), keys: try await destination.encryption.keys(),
                memory: UploadMemory(limit: destination.ship.memoryLimit.bytes)))
        }
        self.destinations = destinations
    }

    /// Ends when every log has: in the daemon that is at the graceful end, or, where there are no patterns, when none can go on. Throws the gravest error.
    func run() async throws {
        if let error = await once == nil ? ship() : shipOnce() { throw error }
    }

    private func routes(_ log: LogSettings) -> LogRoutes { LogRoutes(log: log, destinations: destinations, logger: logger) }

    private func shipOnce() async -> (any Error)? {
        guard let once else { return nil }
        var known = KnownLogs(listed: logs)
        let decision = known.take(await LogFinder.find(patterns))
        var gravest = GravestError()
        for refused in decision.refused { gravest.add(CommandError(.failed, "\(refused.path): \(refused.reason)")) }
        let all = logs + decision.begin.map(\.log)
        guard !all.isEmpty else {
            gravest.add(CommandError(.notFound, "there is no log that matches \(patterns.map(\.text).joined(separator: ", "))"))
            return gravest.error
        }
        return await withTaskGroup(of: (any Error)?.self) { group in
            for log in all { group.addTask { await routes(log).shipOnce(timeout: once) } }
            return await group.reduce(into: gravest) { $0.add($1) }.error
        }
    }

    private enum Event: Sendable {
        case listedEnded((any Error)?)
        case foundEnded(LogFinder.Found, LogRoutes.Ending)
        case looked(LogFinder.Result)
        /// The graceful end: nothing is looked for any more.
        case looksEnded
    }

    private func ship() async -> (any Error)? {
        await withTaskGroup(of: Event.self) { group in
            var known = KnownLogs(listed: logs)
            var gravest = GravestError()
            for log in logs { group.addTask { .listedEnded(await routes(log).ship(shutdownDeadline: shutdownDeadline)) } }
            if !patterns.isEmpty { group.addTask { .looked(await LogFinder.find(patterns)) } }
            while let event = await group.next() {
                switch event {
                case .listedEnded(let error): gravest.add(error)
                case .foundEnded(let found, .ended(let error)):
                    gravest.add(error)
                    known.ended(found, found.identity)
                case .foundEnded(let found, .vanished): known.ended(found, nil)
                case .looked(let result):
                    let decision = known.take(result)
                    for refused in decision.refused {
                        logger.error("a log that was found is not shipped", metadata: ["log": "\(refused.path)", "reason": "\(refused.reason)"])
                    }
                    for found in decision.begin {
                        logger.notice("found a log", metadata: ["log": "\(found.log.path)", "name": "\(found.log.name)"])
                        group.addTask { .foundEnded(found, await routes(found.log).ship(found.identity, shutdownDeadline: shutdownDeadline)) }
                    }
                    group.addTask { await lookLater() }
                case .looksEnded: break
                }
            }
            return gravest.error
        }
    }

    private func lookLater() async -> Event {
        do {
            try await cancelWhenGracefulShutdown { try await Task.sleep(for: RunLimits.lookInterval) }
        } catch {
            return .looksEnded
        }
        return Task.isShuttingDownGracefully ? .looksEnded : .looked(await LogFinder.find(patterns))
    }
}
