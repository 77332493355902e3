import Archive
import Dispatch
import WAL

/// Where the blocking work of one shipper is done: one thread at a time for reading and compressing, another for the slot and the watermarks,
/// which must not wait behind a large segment. Never the cooperative pool. Any task.
final class LogWorker: Sendable {
    enum Lane: Sendable { case heavy, light }
    private let heavy = DispatchQueue(label: "walship.shipper.segments")
    private let light = DispatchQueue(label: "walship.shipper.slot")

    /// Runs `body` to its end; cancelling does not cut it. What it waits for is the local disk.
    func run<T: Sendable>(
        _ lane: Lane, _ body: @escaping @Sendable () throws(WALError) -> T
    ) async throws(ShipperError) -> T {
        try await perform(lane) { () throws(ShipperError) in
            do throws(WALError) {
                return try body()
            } catch {
                throw ShipperError.log(error)
            }
        }
    }

    func perform<T: Sendable>(
        _ lane: Lane, _ body: @escaping @Sendable () throws(ShipperError) -> T
    ) async throws(ShipperError) -> T {
        try await value(lane) { Result { () throws(ShipperError) in try body() } }.get()
    }

    func value<T: Sendable>(_ lane: Lane, _ body: @escaping @Sendable () -> T) async -> T {
        let queue = lane == .heavy ? heavy : light
        return await withCheckedContinuation { continuation in
            queue.async { continuation.resume(returning: body()) }
        }
    }
}
