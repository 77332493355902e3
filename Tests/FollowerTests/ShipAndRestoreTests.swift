import Archive
import Follower
import Foundation
import Logging
import Shipper
import TestSupport
import Testing
import WAL

/// The whole path over every kind of store: ship with truncation, restore, promote, go on writing, ship under the new epoch, restore again.
@Suite struct ShipAndRestoreTests {
    private static let name = LogName("orders")!

    @Test func overMemory() async throws {
        try await withTemporaryDirectory { try await shipAndRestoreAcrossAPromotion($0, MemoryObjectStore()) }
    }

    /// Encrypted from the beginning, or since some moment, with one key all the time or another one each time.
    @Test(arguments: [[1, 1, 1], [1, 2, 3], [0, 1, 1], [0, 1, 2], [0, 0, 1]]) func encrypted(keys: [UInt8]) async throws {
        let masters = (1...3).map { MasterKey(bytes: [UInt8](repeating: $0, count: 32)) }
        let rings = keys.map { number in
            number == 0 ? KeyRing.none : KeyRing(current: masters[Int(number) - 1], others: Array(masters.prefix(Int(number) - 1)))
        }
        let store = MemoryObjectStore()
        try await withTemporaryDirectory { try await shipAndRestoreAcrossAPromotion($0, store, rings) }
        #expect(store.contents.keys.contains { $0.path.hasSuffix(".zst.enc") })
        if keys[0] > 0 { #expect(!store.contents.keys.contains { $0.path.hasSuffix(".zst") }) }
    }

    @Test func overADirectory() async throws {
        try await withTemporaryDirectory { try await shipAndRestoreAcrossAPromotion($0, DirectoryStore(root: $0 + "/archive")) }
    }

    @Test(arguments: [true, false]) func overNginx(createsParents: Bool) async throws {
        var options = NginxServer.Options()
        options.createsParents = createsParents
        let server = try await NginxServer.start(options)
        try await withTemporaryDirectory { try await shipAndRestoreAcrossAPromotion($0, store(server.url)) }
    }

    @Test func overLighttpd() async throws {
        let server = try await LighttpdServer.start()
        try await withTemporaryDirectory { try await shipAndRestoreAcrossAPromotion($0, store(server.url)) }
    }

    private func store(_ url: String) throws -> HTTPStore {
        var settings = HTTPSettings()
        settings.proxy = ""
        return try HTTPStore(base: url + "/base", settings: settings)
    }

    /// `rings`: what is shipped with first, second and after the promotion. The last one opens everything.
    private func shipAndRestoreAcrossAPromotion(
        _ scratch: String, _ store: any ObjectStore, _ rings: [KeyRing] = [.none, .none, .none]
    ) async throws {
        let last = rings[2]
        var expected: [LSN: [UInt8]] = [:]
        try write(to: scratch + "/log", records: 0..<120, seed: 1, into: &expected)
        try await ship(scratch + "/log", to: store, rings[0])
        // More, in a segment that is shipped in part already.
        try write(to: scratch + "/log", records: 120..<150, seed: 2, into: &expected)
        try await ship(scratch + "/log", to: store, rings[1])
        #expect(try LogContents.head(scratch + "/log") > .zero)

        try await restore(store, to: scratch + "/replica", last)
        #expect(try records(scratch + "/replica") == expected)
        let promotion = Promotion(
            directory: scratch + "/replica", destinations: [Promotion.Destination(store: store, log: Self.name, keys: last)], fork: nil,
            settle: 0.001)
        #expect(try await promotion.run().epoch.number == 2)
        try write(to: scratch + "/replica", records: 150..<260, seed: 3, into: &expected)
        try await ship(scratch + "/replica", to: store, last)

        // The machine that everybody thought was gone writes on: it is told, and nothing of it is archived.
        try write(to: scratch + "/log", records: 0..<40, seed: 4, into: &expected, keeping: false)
        await #expect(throws: ShipperError.self) { try await ship(scratch + "/log", to: store, last) }

        try await restore(store, to: scratch + "/second", last)
        #expect(try records(scratch + "/second") == expected)
    }

    private func write(
        to directory: String, records: Range<Int>, seed: UInt64, into expected: inout [LSN: [UInt8]], keeping: Bool = true
    ) throws {
        var random = SeededGenerator(seed: seed)
        let log = try SegmentedLog.open(directory: directory, segmentSize: 4096)
        for number in records {
            let text = "record \(number) " + String(repeating: "x", count: Int.random(in: 0...300, using: &random))
            let lsn = try log.append(text.utf8)
            if keeping { expected[lsn] = Array(text.utf8) }
        }
        try log.close()
    }

    private func ship(_ directory: String, to store: any ObjectStore, _ keys: KeyRing) async throws {
        var settings = ShipperSettings()
        settings.keys = keys
        settings.claimSettle = .milliseconds(1)
        settings.retryDelayMax = .milliseconds(20)
        let shipper = LogShipper(
            directory: directory, name: Self.name, slot: "d-1", url: store.name, store: store, settings: settings,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        try await shipper.runOnce(timeout: .seconds(60))
    }

    private func restore(_ store: any ObjectStore, to directory: String, _ keys: KeyRing) async throws {
        _ = try await Restore(ArchiveReader.open(store: store, log: Self.name, keys: keys)).run(into: directory)
    }

    private func records(_ directory: String) throws -> [LSN: [UInt8]] {
        Dictionary(uniqueKeysWithValues: try LogContents.records(directory).map { ($0.lsn, $0.data) })
    }
}
