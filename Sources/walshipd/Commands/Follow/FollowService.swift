import Follower
import ServiceLifecycle
import WAL

/// A follower, and the command that it feeds, until the graceful end.
struct FollowService: Service {
    let follower: LogFollower
    let consumer: ConsumerProcess?
    let pool: BlockingPool

    private enum Ended {
        case follower
        case consumer
        case asked
    }

    func run() async throws {
        do {
            try await follow()
        } catch {
            guard let consumer else { throw error }
            try await consumer.abandon(pool)
            if let error = error as? WALError, error.isBrokenPipe { throw consumer.failure("ended, or closed its input") }
            throw error
        }
        try await consumer?.finish(pool)
    }

    private func follow() async throws {
        try await withThrowingTaskGroup(of: Ended.self) { group in
            group.addTask {
                try await follower.run()
                return .follower
            }
            group.addTask {
                // Throws when all else has ended and the group is cancelled.
                do { try await gracefulShutdown() } catch is CancellationError {}
                return .asked
            }
            if let consumer {
                group.addTask {
                    for await _ in consumer.end {}
                    return .consumer
                }
            }
            let first = try await group.next()
            group.cancelAll()
            // One that does not read keeps a write waiting, and so the follower from ending.
            consumer?.endInTime()
            while try await group.next() != nil {}
            if case .consumer = first, let consumer { throw consumer.failure("ended by itself") }
        }
    }
}
