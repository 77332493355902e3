import Archive
import Synchronization
import Testing
import TestSupport
import WAL

@testable import Shipper

/// Several destinations of one log: each with its own slot, none in the way of another.
@Suite struct SeveralDestinationsTests {
    @Test func everyDestinationHoldsTruncationBeforeAnythingIsShipped() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            try bench.write(100)
            try await SlotReservation.make(directory: bench.directory, slots: ["d-1", "d-2"])
            // The second one's storage is never asked for anything: it is away.
            _ = try await bench.shipOnce(to: MemoryObjectStore(), slot: "d-1")
            #expect(try bench.slot("d-1").position > LSN(2 * 4096))
            #expect(try bench.slot("d-2").position == .zero)
            let reader = try LogReader.open(directory: bench.directory)
            #expect(try reader.headLSN == .zero, "truncation waits for the slowest")
            reader.close()
            // And once it has come, what both have goes.
            _ = try await bench.shipOnce(to: MemoryObjectStore(), slot: "d-2")
            let later = try LogReader.open(directory: bench.directory)
            #expect(try later.headLSN > LSN(2 * 4096))
            later.close()
        }
    }

    @Test func aReservationLeavesWhatIsThereAsItIs() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            try bench.write(100)
            _ = try await bench.shipOnce(to: MemoryObjectStore(), slot: "d-1")
            let before = try bench.slot("d-1")
            let sidecar = try LogSidecar.attach(directory: bench.directory)
            let served = try sidecar.takeSlot("d-1") { () throws(WALError) in throw .cancelled }
            try await SlotReservation.make(directory: bench.directory, slots: ["d-1", "d-2"])
            served.close()
            sidecar.detach()
            #expect(try bench.slot("d-1") == before)
            let reader = try LogReader.open(directory: bench.directory)
            #expect(try bench.slot("d-2").position == reader.headLSN)
            reader.close()
        }
    }

    /// One destination never answers, one holds something else, one works: the last archives everything, and nothing local goes.
    @Test func oneThatHangsAndOneThatDivergesDoNotStopTheThird() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            try bench.write(60)
            let foreign = MemoryObjectStore()
            _ = try await ShipBench(scratch, log: "other").shipOnce(to: foreign)
            let before = foreign.contents
            let works = MemoryObjectStore()
            let shippers = [
                bench.shipper(to: HangingStore(), slot: "d-hangs"), bench.shipper(to: foreign, slot: "d-diverges"),
                bench.shipper(to: works, slot: "d-works"),
            ]
            try await SlotReservation.make(directory: bench.directory, slots: ["d-hangs", "d-diverges", "d-works"])
            try await withThrowingTaskGroup(of: ShipperError?.self) { group in
                for shipper in shippers {
                    group.addTask {
                        do throws(ShipperError) {
                            try await shipper.run()
                            return nil
                        } catch {
                            return error
                        }
                    }
                }
                let end = try bench.write(200, seed: 2)
                try await eventually("the third has archived everything") { shippers[2].status.archived == end }
                try await eventually("the second has stopped") { shippers[1].status.state == .stopped }
                #expect(shippers[1].status.lastError?.contains("another log") == true)
                #expect(shippers[0].status.state == .starting)
                let reader = try LogReader.open(directory: bench.directory)
                #expect(try reader.headLSN == .zero)
                reader.close()
                group.cancelAll()
                for try await error in group { if let error { #expect(error.isCancelled || error.description.contains("another log"), "\(error)") } }
            }
            #expect(foreign.contents == before, "no byte of the other was touched")
        }
    }
}

/// Storage that takes every request and answers none.
private struct HangingStore: ObjectStore {
    var name: String { "hanging" }
    var capabilities: StoreCapabilities { get async { [] } }

    private func hang() async throws(ArchiveError) -> Never {
        // Ends with its task only; the sleep is bounded all the same.
        try? await Task.sleep(for: .seconds(600))
        throw ArchiveError(.cancelled, "cancelled")
    }

    func probe(prefix: ObjectKey) async throws(ArchiveError) -> StoreCapabilities { try await hang() }
    func assume(_ capabilities: StoreCapabilities) async {}
    func create(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) -> CreateOutcome { try await hang() }
    func replace(_ key: ObjectKey, _ bytes: [UInt8]) async throws(ArchiveError) { try await hang() }
    func get(_ key: ObjectKey, range: Range<UInt64>?, limit: Int) async throws(ArchiveError) -> [UInt8] { try await hang() }
    func head(_ key: ObjectKey) async throws(ArchiveError) -> ObjectInfo? { try await hang() }
    func delete(_ key: ObjectKey) async throws(ArchiveError) { try await hang() }
    func makeCollection(_ key: ObjectKey) async throws(ArchiveError) -> CreateOutcome { try await hang() }
    func list(_ prefix: ObjectKey) async throws(ArchiveError) -> [ObjectKey] { try await hang() }
}
