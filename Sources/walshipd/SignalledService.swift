import Logging
import ServiceLifecycle
import UnixSignals

/// One service until it ends, or SIGTERM or SIGINT asks it to.
enum SignalledService {
    static func run(_ service: any Service, logger: Logger = Logger(label: "lifecycle") { _ in SwiftLogNoOpLogHandler() }) async throws {
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [
                    .init(service: service, successTerminationBehavior: .gracefullyShutdownGroup, failureTerminationBehavior: .cancelGroup)
                ],
                gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        try await group.run()
    }
}
