import NIOPosix

/// The server's threads for blocking calls: none is made on an event loop or on Swift's own threads.
struct BlockingPool: Sendable {
    private let threads: NIOThreadPool

    /// Started with 8 threads: enough that a slow flush does not hold up reads, few enough not to fight over one disk.
    init() {
        threads = NIOThreadPool(numberOfThreads: 8)
        threads.start()
    }

    func run<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await threads.runIfActive(body)
    }

    /// Ends the threads when what they do is done.
    func shutDown() async throws {
        try await threads.shutdownGracefully()
    }
}
