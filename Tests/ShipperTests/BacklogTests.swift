import Archive
import Foundation
import Testing
import TestSupport
import WAL

@testable import Shipper

/// A destination that cannot keep up: the policies, with requests that hang for ever.
@Suite struct BacklogTests {
    private static let limit: UInt64 = 4 * 4096

    private func settings(_ policy: BacklogPolicy, retain: UInt64 = 0) -> ShipperSettings {
        var settings = ShipBench.settings()
        settings.maxLocalBytes = Self.limit
        settings.backlogPolicy = policy
        settings.retain = retain
        return settings
    }

    /// Gap documents by start.
    private func gaps(_ store: MemoryObjectStore) throws -> [LSN: GapDocument] {
        var gaps: [LSN: GapDocument] = [:]
        for (key, bytes) in store.contents where key.path.contains("/gaps/") {
            let gap = try GapDocument(decoding: bytes, key: key)
            gaps[gap.start] = gap
        }
        return gaps
    }

    /// What a reader gets from `start` on that crosses gaps: the bytes of each piece.
    private func pieces(_ store: MemoryObjectStore, from start: LSN = .zero) throws -> [(start: LSN, bytes: [UInt8])] {
        let archived = try ShipBench.archived(store.contents)
        let gaps = try gaps(store)
        var pieces: [(LSN, [UInt8])] = []
        var position = start
        while true {
            let bytes = archived.contiguous(from: position)
            if !bytes.isEmpty { pieces.append((position, bytes)) }
            position = position.advanced(by: UInt64(bytes.count))
            guard let gap = gaps[position] else { return pieces }
            position = gap.end
        }
    }

    @Test func keepSaysSoOnceAndChangesNothing() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let store = GateStore()
            store.close()
            let shipper = bench.shipper(to: store, settings: settings(.keep))
            let running = Task { try await shipper.run() }
            let end = try bench.write(200)
            try await eventually("over") { shipper.status.backlog == .over && shipper.status.durable == end }
            #expect(shipper.status.alarms == 1 && !shipper.status.isBlocking && shipper.status.gaps.isEmpty)
            #expect(shipper.status.backlogBytes == end.rawValue && shipper.status.lagSegments == end.rawValue / 4096)
            try bench.write(50, seed: 2)
            store.open()
            try await eventually("under") { shipper.status.backlog == .under && shipper.status.archived == bench.log.durableLSN }
            #expect(shipper.status.alarms == 1 && shipper.status.lagSegments == 0)
            shipper.finish()
            try await running.value
            #expect(try ShipBench.archived(store.memory.contents).contiguous().count == Int(bench.log.durableLSN.rawValue))
        }
    }

    @Test func blockHoldsAppendsWhileRequestsHangAndLetsThemGo() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let store = GateStore()
            let shipper = bench.shipper(to: store, settings: settings(.block))
            let running = Task { try await shipper.run() }
            try bench.write(5)
            try await eventually("shipping") { shipper.status.archived == bench.log.durableLSN }
            store.close()
            let writer = Task { try await blocking { for round in 0..<1000 { try bench.write(4, seed: UInt64(round)) } } }
            try await eventually("waiting") {
                let reader = try LogReader.open(directory: bench.directory)
                defer { reader.close() }
                return try reader.blockage?.waitingAppends == 1
            }
            try await eventually("said") { shipper.status.backlog == .over && shipper.status.isBlocking }
            // It is held there, and what is durable can be read, and synced.
            let end = bench.log.endLSN
            #expect(try bench.sync() == end)
            try await Task.sleep(for: .milliseconds(100))
            #expect(bench.log.endLSN == end)
            store.open()
            try await writer.value
            try await eventually("all of it") { shipper.status.archived == bench.log.durableLSN }
            try await eventually("unblocked") { !shipper.status.isBlocking }
            #expect(shipper.status.gaps.isEmpty)
            shipper.finish()
            try await running.value
            #expect(try ShipBench.archived(store.memory.contents).contiguous().count == Int(bench.log.durableLSN.rawValue))
        }
    }

    @Test func aShipperThatEndsLetsAppendsGo() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let store = GateStore()
            store.close()
            let shipper = bench.shipper(to: store, settings: settings(.block))
            let running = Task { try await shipper.run() }
            try await eventually("started") { shipper.status.segmentSize > 0 }
            let writer = Task { try await blocking { for round in 0..<1000 { try bench.write(4, seed: UInt64(round)) } } }
            try await eventually("blocking") { shipper.status.isBlocking }
            running.cancel()
            _ = await running.result
            try await writer.value
        }
    }

    /// A destination that cannot go on (fenced, refused) still holds to its limit.
    @Test func aStoppedDestinationHoldsToItsLimit() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let store = MemoryObjectStore()
            for _ in 0..<100 { store.inject(.fail(ArchiveError(.unauthorized(status: 403), "not you")), into: .get) }
            let shipper = bench.shipper(to: store, settings: settings(.drop))
            let running = Task { try await shipper.run() }
            try await eventually("stopped") { shipper.status.state == .stopped }
            let end = try bench.write(200)
            try await eventually("dropped") { shipper.status.backlogBytes <= Self.limit && shipper.status.durable == end }
            #expect(shipper.status.state == .stopped && shipper.status.lastError?.contains("not you") == true)
            shipper.finish()
            await #expect(throws: ShipperError.self) { try await running.value }
        }
    }

    @Test func dropGivesUpTheOldestAndRecordsTheGapFirst() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let store = GateStore()
            let shipper = bench.shipper(to: store, settings: settings(.drop))
            let running = Task { try await shipper.run() }
            let first = try bench.write(40)
            try await eventually("shipped") { shipper.status.archived == first }
            store.close()
            let end = try bench.write(200, seed: 2)
            try await eventually("dropped") { shipper.status.backlogBytes <= Self.limit && shipper.status.durable == end }
            let slot = try bench.slot()
            let gap = try #require(slot.gaps.first)
            #expect(gap.range.lowerBound >= first && gap.range.upperBound.rawValue % 4096 == 0 && !gap.isTold)
            #expect(end.rawValue - gap.range.upperBound.rawValue <= Self.limit && slot.position == gap.range.upperBound)
            #expect(gap.reason.contains("more than \(Self.limit) bytes"))
            try await eventually("removed") { try bench.head().rawValue / 4096 + 1 >= gap.range.upperBound.rawValue / 4096 }
            let rest = try bench.bytes(gap.range.upperBound..<end)
            store.open()
            try await eventually("shipped on") { shipper.status.archived == end }
            #expect(shipper.status.gaps == [gap.range])
            // Told before anything else was shipped, and the next object starts exactly at its end.
            let pieces = try pieces(store.memory)
            #expect(pieces.count == 2 && pieces[1].start == gap.range.upperBound && pieces[1].bytes == rest)
            // A tail that hung may have arrived: then the gap begins after it.
            let told = try gaps(store.memory).values.sorted { $0.start < $1.start }
            #expect(told.first?.start == LSN(pieces[0].start.rawValue + UInt64(pieces[0].bytes.count)))
            #expect(told.allSatisfy { $0.end == gap.range.upperBound && $0.reason == gap.reason && $0.time == gap.time })
            shipper.finish()
            try await running.value
            let after = try bench.slot()
            #expect(after.gaps.isEmpty && after.lastGap == gap.range)
            // And a shipper that comes later finds all in order.
            _ = try await bench.shipOnce(to: store.memory, settings: settings(.drop))
        }
    }

    /// Uploads that hung when their ranges were given up arrive: before the storage's return, after the gap was told, some of them, all of them.
    @Test(arguments: 0..<8) func anUploadThatSucceedsLateFitsIn(variant: Int) async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let store = GateStore()
            var settings = settings(.drop)
            settings.uploadsInFlight = 3
            if variant & 4 != 0 { settings.tailInterval = nil }
            let shipper = bench.shipper(to: store, settings: settings)
            let running = Task { try await shipper.run() }
            let first = try bench.write(40)
            try await eventually("shipped") { first.rawValue - shipper.status.archived.rawValue < 4096 }
            store.hang { $0.path.contains("/segments/") || $0.path.contains("/tail/") }
            try bench.write(4, seed: 5)
            if variant & 4 == 0 { try await eventually("a tail hangs") { store.late.contains { $0.path.contains("/tail/") } } }
            let before = try bench.write(40, seed: 6)
            if variant & 4 != 0 { try await eventually("segments hang") { store.late.count >= 2 } }
            let kept = try bench.bytes(try bench.head()..<before)
            let keptStart = before.rawValue - UInt64(kept.count)
            let end = try bench.write(200, seed: 2)
            try await eventually("dropped") { shipper.status.backlogBytes <= Self.limit && shipper.status.durable == end }
            let isEven: (ObjectKey) -> Bool = { key in key.path.utf8.reduce(0) { $0 &+ Int($1) } % 2 == 0 }
            if variant & 1 != 0 { store.deliver(isEven) }
            store.hang { _ in false }
            try await eventually("shipped on") { end.rawValue - shipper.status.archived.rawValue < 4096 && shipper.status.state == .shipping }
            // Now all the rest.
            if variant & 2 != 0 { store.deliver() }
            shipper.finish()
            try await running.value
            let pieces = try pieces(store.memory)
            #expect(pieces.last.map { $0.start.rawValue + UInt64($0.bytes.count) } == end.rawValue, "variant \(variant)")
            for piece in pieces {
                // What is there is what was written.
                let from = max(piece.start.rawValue, keptStart)
                let to = min(piece.start.rawValue + UInt64(piece.bytes.count), before.rawValue)
                guard from < to else { continue }
                #expect(
                    piece.bytes[Int(from - piece.start.rawValue)..<Int(to - piece.start.rawValue)] == kept[Int(from - keptStart)..<Int(to - keptStart)],
                    "variant \(variant)")
            }
            _ = try await bench.shipOnce(to: store.memory, settings: settings)
        }
    }

    /// The process dies at each call of the store on the storage's return; what was told stays as it was told.
    @Test func aCrashWhileTheGapIsToldNeverTellsAnother() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let gate = GateStore()
            let shipper = bench.shipper(to: gate, settings: settings(.drop))
            let running = Task { try await shipper.run() }
            let first = try bench.write(40)
            try await eventually("shipped") { shipper.status.archived == first }
            gate.close()
            var end = try bench.write(200, seed: 2)
            try await eventually("dropped") { shipper.status.backlogBytes <= Self.limit && shipper.status.durable == end }
            running.cancel()
            _ = await running.result
            let store = gate.memory
            var told: [LSN: GapDocument] = [:]
            var call = 0
            while true {
                var hasDied = false
                do {
                    _ = try await bench.shipOnce(to: DyingStore(store, at: call, done: call.isMultiple(of: 2)), settings: settings(.drop))
                } catch {
                    hasDied = true
                }
                for (start, gap) in try gaps(store) {
                    if let known = told[start] { #expect(known == gap, "call \(call)") }
                    told[start] = gap
                }
                guard hasDied else { break }
                call += 1
                // More is given up before it was told, or after.
                if call.isMultiple(of: 5) { end = try bench.write(100, seed: UInt64(call)) }
            }
            #expect(call > 8 && !told.isEmpty)
            #expect(try pieces(store).last.map { $0.start.rawValue + UInt64($0.bytes.count) } == end.rawValue)
        }
    }

    @Test func aLimitBelowTwoSegmentsIsRefused() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            var settings = settings(.keep)
            settings.maxLocalBytes = 8191
            await #expect(throws: ShipperError.backlogLimitTooSmall(bytes: 8191, minimum: 8192)) {
                try await bench.shipOnce(to: MemoryObjectStore(), settings: settings)
            }
        }
    }

    // MARK: Ranges that neither side has

    @Test func whatIsGoneOnBothSidesIsAGapAndShippingGoesOn() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let end = try bench.write(200)
            let store = MemoryObjectStore()
            _ = try await bench.shipOnce(to: store)
            let head = try bench.head()
            try #require(head.rawValue > 3 * 4096)
            let keys = store.contents.keys.filter { $0.path.contains("/segments/") || $0.path.contains("/tail/") }.sorted()
            for key in keys where !key.path.contains("/00000000000000000000.") { store.plant(key, nil) }
            let status = try await bench.shipOnce(to: store)
            #expect(status.archived == end && status.alarms == 1 && status.gaps == [LSN(4096)..<head])
            let pieces = try pieces(store)
            #expect(pieces.map(\.start) == [.zero, head])
            #expect(try pieces[1].bytes == bench.bytes(head..<end))
            _ = try await bench.shipOnce(to: store)
        }
    }

    @Test func aLostSlotOfALogThatHasGoneOnIsAGapAndShippingGoesOn() async throws {
        try await withTemporaryDirectory { scratch in
            let bench = try ShipBench(scratch)
            defer { try? bench.log.close() }
            let first = try bench.write(30)
            let store = MemoryObjectStore()
            _ = try await bench.shipOnce(to: store)
            let sidecar = try LogSidecar.attach(directory: bench.directory)
            try sidecar.dropSlot("d-1")
            let end = try bench.write(200, seed: 2)
            let head = try sidecar.truncateBefore(end.advanced(by: 0))
            sidecar.detach()
            try #require(head > first)
            let last = try bench.write(40, seed: 3)
            let status = try await bench.shipOnce(to: store, settings: ShipBench.keepAll)
            #expect(status.archived == last && status.gaps.count == 1)
            let pieces = try pieces(store)
            #expect(pieces.map(\.start) == [.zero, head])
            #expect(pieces[0].bytes.count == Int(first.rawValue))
            #expect(try pieces[1].bytes == bench.bytes(head..<last))
            // Lost once more, with the gap in the archive.
            let again = try LogSidecar.attach(directory: bench.directory)
            try again.dropSlot("d-1")
            again.detach()
            let more = try bench.write(40, seed: 4)
            #expect(try await bench.shipOnce(to: store).archived == more)
            #expect(try self.pieces(store).map(\.start) == [.zero, head])
        }
    }
}
