import Archive
import TestSupport
import Testing
import WAL

@testable import Shipper

/// What objects on their way may take of memory: one limit for all logs of a destination.
@Suite struct UploadMemoryTests {
    @Test func whoComesFirstIsServedFirstAndTheLimitHolds() async throws {
        let memory = UploadMemory(limit: 100)
        var first: UploadMemory.Share? = try await memory.share(60)
        let large = Task { try await memory.share(80) }
        try await eventually("it waits") { memory.waitingCount == 1 }
        // It would fit, and waits behind the large one all the same.
        let small = Task { try await memory.share(10) }
        try await eventually("both wait") { memory.waitingCount == 2 }
        #expect(memory.used == 60)
        first?.shrink(to: 20)
        let second = try await large.value
        #expect(memory.used == 100 && memory.waitingCount == 1)
        first = nil
        let third = try await small.value
        withExtendedLifetime((second, third)) { #expect(memory.used == 90) }
        #expect(memory.usedMost == 100)
    }

    @Test func whatIsLargerThanAllOfItGoesAlone() async throws {
        let memory = UploadMemory(limit: 100)
        var share: UploadMemory.Share? = try await memory.share(1000)
        let next = Task { try await memory.share(1) }
        try await eventually("it waits") { memory.waitingCount == 1 }
        share?.shrink(to: 200)
        #expect(memory.waitingCount == 1)
        share = nil
        _ = try await next.value
        #expect(memory.usedMost == 1000)
    }

    @Test func whoIsCancelledNoLongerWaitsAndHoldsNobodyUp() async throws {
        let memory = UploadMemory(limit: 100)
        let share = try await memory.share(60)
        let large = Task { try await memory.share(80) }
        try await eventually("it waits") { memory.waitingCount == 1 }
        let small = Task { try await memory.share(10) }
        try await eventually("both wait") { memory.waitingCount == 2 }
        large.cancel()
        let error = await #expect(throws: ArchiveError.self) { try await large.value }
        #expect(error?.code == .cancelled)
        _ = try await small.value
        withExtendedLifetime(share) {}
    }

    /// Storage is away, and many logs have much to ship: what they hold stays below the limit, and everything is archived when it is back.
    @Test func manyLogsToAStoreThatIsAwayStayBelowTheLimit() async throws {
        try await withTemporaryDirectory { scratch in
            let limit = 10 * UInt64(ShipBench.segmentSize)
            let memory = UploadMemory(limit: limit)
            let store = GateStore()
            let benches = try (0..<12).map { try ShipBench(scratch, log: "log\($0)") }
            defer { for bench in benches { try? bench.log.close() } }
            var settings = ShipBench.settings()
            settings.uploadsInFlight = 4
            let shippers = try benches.enumerated().map { index, bench in
                try bench.write(120, seed: UInt64(index))
                return LogShipper(
                    directory: bench.directory, name: LogName("log\(index)")!, slot: "d-1", url: store.name, store: store, settings: settings,
                    memory: memory, logger: ShipBench.silent, time: LinuxTimeSource(),
                    attach: { () throws(WALError) in try LogSidecar.attach(directory: bench.directory) })
            }
            // Whatever is to be created hangs; claims and documents do not.
            store.hang { $0.path.hasSuffix(".zst") }
            let running = shippers.map { shipper in Task { try await shipper.run() } }
            try await eventually("somebody waits") { memory.waitingCount > 0 }
            #expect(memory.used <= limit)
            store.hang { _ in false }
            for (shipper, bench) in zip(shippers, benches) {
                try await eventually("archived: \(shipper.status)") { shipper.status.archived == bench.log.durableLSN }
                shipper.finish()
            }
            for task in running { try await task.value }
            #expect(memory.usedMost <= limit && memory.usedMost > limit / 2, "\(memory.usedMost)")
            #expect(memory.used == 0)
        }
    }
}
