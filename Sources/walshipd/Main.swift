import ArgumentParser
import Configuration
import Hummingbird
import Logging
import ServiceLifecycle

@main struct WalshipD: AsyncParsableCommand {
    mutating func run() async throws {}
}
