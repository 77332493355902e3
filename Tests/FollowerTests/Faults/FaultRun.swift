import Archive
import Foundation
import Logging
import Shipper
import TestSupport
import Testing
import WAL

@testable import Follower

/// One log shipped to one real server through a `FaultServer` with a script, while records are appended; then all that must be so whatever
/// happened: the archive, read without the faults, restores to exactly the durable log; each of its objects is intact; none was ever replaced by
/// other content; and nothing counted as archived that was not there.
struct FaultRun {
    let target: FaultTarget
    let script: FaultScript
    let seed: UInt64
    /// What a probe of the server finds without faults.
    let capabilities: StoreCapabilities
    let scratch: String
    private let place: String
    private let proxy: FaultServer
    private let direct: any ObjectStore
    private let log: SegmentedLog
    /// What stands between the shipper and its store in this process.
    private let wrap: @Sendable (any ObjectStore) -> any ObjectStore
    private var directory: String { "\(scratch)/log" }
    private static let name = LogName("orders")!
    private static let slot = "d-1"

    /// What must be so is not.
    struct Broken: Error, CustomStringConvertible {
        let problem: String
        var description: String { problem }
    }

    struct Result {
        var requests = 0
        var objects = 0
    }

    static func run(
        _ script: FaultScript, seed: UInt64, on target: FaultTarget, capabilities: StoreCapabilities,
        wrap: @escaping @Sendable (any ObjectStore) -> any ObjectStore = { $0 }
    ) async throws -> Result {
        try await withTemporaryDirectory { scratch in
            let run = try FaultRun(target, script, seed, capabilities, scratch, wrap)
            defer { run.proxy.stop() }
            return try await run.play()
        }
    }

    private init(
        _ target: FaultTarget, _ script: FaultScript, _ seed: UInt64, _ capabilities: StoreCapabilities, _ scratch: String,
        _ wrap: @escaping @Sendable (any ObjectStore) -> any ObjectStore
    ) throws {
        self.wrap = wrap
        self.target = target
        self.script = script
        self.seed = seed
        self.capabilities = capabilities
        self.scratch = scratch
        place = "a-" + String(UInt64.random(in: 0...(.max)), radix: 16)
        proxy = try FaultServer(before: target.port, script.rules.isEmpty ? FaultScript.stormAnswers(seed) : script.answers())
        direct = try target.store(place)
        log = try SegmentedLog.open(directory: "\(scratch)/log", segmentSize: 4096)
    }

    // MARK: The play

    private func play() async throws -> Result {
        var expected: [LSN: [UInt8]] = [:]
        var random = SeededGenerator(seed: seed)
        if !script.probes { try await knowTheStore() }
        var shipping = try begin()
        // Tails, each waited for (where they are to be merged: more than a level keeps); then segments at once; then a few tails again.
        let tails = script.merges ? 36 : 10
        for step in 0..<tails + 12 {
            let isBulk = (tails..<tails + 6).contains(step)
            for _ in 0..<(isBulk ? 8 : 1) {
                let count = isBulk ? Int.random(in: 100...400, using: &random) : Int.random(in: 1...40, using: &random)
                let record = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next() % 32) }
                expected[try log.append(record)] = record
            }
            let sync: () throws -> LSN = { try log.sync() }
            let end = try sync()
            try await shipping.archives(end)
            if step == tails - 1 || step == tails + 8 { try await requireCountedIsThere(shipping.shipper.status.archived) }
            if script.restarts > 0, step == tails / 2 || (step == tails + 3 && script.restarts > 1) {
                try await shipping.cut()
                shipping = try begin()
            }
        }
        let end = log.durableLSN
        try await shipping.finish()
        guard shipping.shipper.status.archived == end else { throw Broken(problem: "it finished before all was archived") }
        proxy.deliverLate()
        try await requireCountedIsThere(end)
        try await check(expected, end)
        try log.close()
        return Result(requests: proxy.requests.count, objects: proxy.ledger.writes)
    }

    /// The slot of an earlier time that had found out what the server does.
    private func knowTheStore() async throws {
        let sidecar = try LogSidecar.attach(directory: directory)
        defer { sidecar.detach() }
        let slot = try sidecar.takeSlot(Self.slot) { () throws(WALError) in
            SlotState(kind: .destination, logID: sidecar.reader.logID, position: .zero, epoch: try sidecar.reader.epochs.current.id)
        }
        try slot.update { $0.capabilities = capabilities.rawValue }
        slot.close()
    }

    private func begin() throws -> Shipping {
        var settings = ShipperSettings()
        settings.tailInterval = .milliseconds(10)
        settings.claimSettle = .milliseconds(1)
        settings.retryDelayMax = .milliseconds(20)
        let store = wrap(try target.store(place, through: proxy.port))
        return Shipping(
            LogShipper(
                directory: directory, name: Self.name, slot: Self.slot, url: store.name, store: store, settings: settings,
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }))
    }

    // MARK: What must be so

    private func requireCountedIsThere(_ archived: LSN) async throws {
        let end = try await Restore(ArchiveReader.open(store: direct, log: Self.name)).plan().end
        guard end >= archived else { throw Broken(problem: "archived up to \(archived) is said, and \(end) is there") }
    }

    private func check(_ expected: [LSN: [UInt8]], _ end: LSN) async throws {
        let restored = "\(scratch)/restored"
        let summary = try await Restore(ArchiveReader.open(store: direct, log: Self.name)).run(into: restored)
        guard summary.end == end else { throw Broken(problem: "the log ends at \(end), what is restored at \(summary.end)") }
        let reader = try LogReader.open(directory: restored)
        defer { reader.close() }
        var records: [LSN: [UInt8]] = [:]
        for element in reader.iter() {
            let record = try element.get()
            records[record.lsn] = record.data
        }
        guard records == expected else { throw Broken(problem: "the restored log is not the durable one") }
        var found: [String: [UInt8]] = [:]
        for key in try await direct.list(Layout(log: Self.name).root) where key.path.hasSuffix(".zst") {
            let bytes = try await direct.get(key, range: nil, limit: 1 << 20)
            found[target.path(key, in: place)] = bytes
            let start = try #require(key.path.split(separator: "/").last.flatMap { UInt64($0.dropLast(4)) })
            let object = try ObjectDecoder.decode(bytes, key: key, start: LSN(start))
            let isOurs = try reader.verifiedRange(LSN(start)..<object.metadata.end).bytes == object.raw
            guard isOurs else { throw Broken(problem: "\(key) is not the log's") }
        }
        guard proxy.ledger.problems.isEmpty else { throw Broken(problem: proxy.ledger.problems.joined(separator: "; ")) }
        let ledger = proxy.ledger.contents.filter { $0.key.hasSuffix(".zst") }
        guard ledger == found else {
            throw Broken(problem: "the server holds other objects than it confirmed: \(Set(ledger.keys).symmetricDifference(found.keys))")
        }
    }
}

/// A shipper at work. One that a server's lies have stopped is started again, as an operator would: but never one that is fenced or diverged.
final class Shipping {
    let shipper: LogShipper
    private let running: Task<Void, any Error>

    init(_ shipper: LogShipper) {
        self.shipper = shipper
        running = Task { try await shipper.run() }
    }

    /// Waits until so much is archived.
    func archives(_ end: LSN) async throws {
        let shipper = shipper
        try await waitUntil("archived up to \(end); \(shipper.status)", within: .seconds(60)) {
            shipper.status.archived >= end || shipper.status.state == .stopped
        }
        if shipper.status.state == .stopped { try await running.value }
    }

    /// Stops it where it stands, as a crash does.
    func cut() async throws {
        running.cancel()
        do {
            try await running.value
        } catch let error as ShipperError {
            guard case .archive(let cause) = error, cause.code == .cancelled else { throw error }
        }
    }

    func finish() async throws {
        shipper.finish()
        try await running.value
    }
}
