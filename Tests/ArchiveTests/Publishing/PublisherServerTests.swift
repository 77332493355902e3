import Archive
import Foundation
import Synchronization
import TestSupport
import Testing
import WAL

/// What servers and networks do to an upload, and what counts then. Over real connections; with a server that honours conditions and one that does not.
@Suite struct PublisherServerTests {
    private let layout = Layout(log: LogName("log")!)
    static let manners: [FaultStore.Traits] = [[.conditions, .ranges], [.ranges]]

    private var key: ObjectKey { layout.segment(SampleLog.epoch, start: LSN(4096)) }
    private var path: String { "/base/\(key.path)" }

    /// What the script does with the PUTs, by number from 0.
    private func withServer(
        _ traits: FaultStore.Traits, puts script: @escaping @Sendable (Int, FaultServer.Request) -> FaultServer.Reply?,
        _ body: (FaultServer, Publisher) async throws -> Void
    ) async throws {
        let count = Mutex(0)
        let server = try FaultServer(traits) { request in
            guard request.method == "PUT" else { return .store }
            let number = count.withLock { count in
                defer { count += 1 }
                return count
            }
            return script(number, request) ?? .store
        }
        var settings = HTTPSettings()
        settings.proxy = ""
        settings.stallTimeout = .seconds(1)
        let store = try HTTPStore(base: server.url + "/base", settings: settings)
        await store.assume(traits.contains(.conditions) ? [.probed, .conditionalCreate, .rangeGet] : [.probed, .rangeGet])
        try await body(server, Publisher(store: store, layout: layout) { SamplePatience(attemptsLeft: 5) })
        server.stop()
    }

    private func puts(_ server: FaultServer) -> Int { server.requests.filter { $0.method == "PUT" }.count }

    @Test(arguments: manners) func aLostReplyIsLookedAtAndTheObjectIsOurs(traits: FaultStore.Traits) async throws {
        let object = try SampleLog.encode(4096..<8192)
        try await withServer(traits, puts: { number, _ in number == 0 ? .storeWithoutReply : nil }) { server, publisher async throws in
            #expect(try await publisher.publish(object).how == .adopted)
            #expect(puts(server) == 1 && server.store.objects[path] == object.bytes)
        }
    }

    @Test(arguments: manners) func aTimeoutAfterTheServerStoredTheObjectIsLookedAt(traits: FaultStore.Traits) async throws {
        let object = try SampleLog.encode(4096..<8192)
        let box = Mutex<FaultServer?>(nil)
        let path = path
        try await withServer(traits, puts: { number, request in
            guard number == 0 else { return nil }
            box.withLock { $0?.store.set(path, request.body) }
            return .stall
        }) { server, publisher async throws in
            box.withLock { $0 = server }
            defer { box.withLock { $0 = nil } }
            #expect(try await publisher.publish(object).how == .adopted)
            #expect(puts(server) == 1 && server.store.objects[path] == object.bytes)
        }
    }

    /// The store wrote it, and refuses the attempt that it takes for a second one.
    @Test func a412AfterOurOwnAttemptIsLookedAtAndAdopted() async throws {
        let object = try SampleLog.encode(4096..<8192)
        let box = Mutex<FaultServer?>(nil)
        let path = path
        try await withServer([.conditions, .ranges], puts: { _, request in
            box.withLock { $0?.store.set(path, request.body) }
            return .respond(412)
        }) { server, publisher async throws in
            box.withLock { $0 = server }
            defer { box.withLock { $0 = nil } }
            #expect(try await publisher.publish(object).how == .adopted)
            #expect(puts(server) == 1)
        }
    }

    @Test(arguments: manners, [409, 429, 500, 503]) func whatIsUndecidedIsTriedAgain(traits: FaultStore.Traits, status: Int) async throws {
        let object = try SampleLog.encode(4096..<8192)
        try await withServer(traits, puts: { number, _ in number < 2 ? .respond(status) : nil }) { server, publisher async throws in
            _ = try await publisher.publish(object)
            #expect(server.store.objects[path] == object.bytes && puts(server) == 3)
        }
    }

    @Test(arguments: manners) func aServerThatSaysYesAndStoresNothingIsNotBelieved(traits: FaultStore.Traits) async throws {
        let object = try SampleLog.encode(4096..<8192)
        try await withServer(traits, puts: { _, _ in .respond(200) }) { server, publisher async throws in
            let error = await #expect(throws: ArchiveError.self) { try await publisher.publish(object) }
            #expect(error?.code == .damaged && error?.hint?.contains("does not keep") == true && server.store.objects.isEmpty)
        }
    }

    /// Lesson 22: never overwriting would keep it for ever.
    @Test(arguments: manners) func aCutUploadThatStayedIsReplacedWhole(traits: FaultStore.Traits) async throws {
        let object = try SampleLog.encode(4096..<8192)
        for size in [0, 1, 20, object.bytes.count / 2, object.bytes.count - 1] {
            try await withServer(traits, puts: { _, _ in nil }) { server, publisher async throws in
                server.store.set(path, Array(object.bytes.prefix(size)))
                #expect(try await publisher.publish(object).how == .replaced)
                #expect(server.store.objects[path] == object.bytes)
            }
        }
    }

    /// The first attempt breaks off, and what was sent arrives when its retry has been acknowledged already.
    @Test(arguments: manners) func aLateArrivalOfAnAttemptChangesNothing(traits: FaultStore.Traits) async throws {
        let object = try SampleLog.encode(4096..<8192)
        let late = Mutex<[UInt8]?>(nil)
        try await withServer(traits, puts: { number, request in
            guard number == 0 else { return nil }
            late.withLock { $0 = request.body }
            return .close
        }) { server, publisher async throws in
            #expect(try await publisher.publish(object).how == .created)
            if !traits.contains(.conditions) { server.store.set(path, late.withLock { $0 }) }
            #expect(server.store.objects[path] == object.bytes)
            #expect(try await publisher.publish(object).how == .adopted)
        }
    }

    /// Lesson 19: a shorter range under the name of a longer one. A store that honours conditions refuses it; on another one it is seen, and nothing is replaced: the shipper
    /// never gives two ranges to one name (`LateArrivalTests`), so it cannot have been its own.
    @Test(arguments: manners) func aShorterRangeThatComesLateIsNeverTakenForOurs(traits: FaultStore.Traits) async throws {
        let longer = try SampleLog.encode(4096..<8192)
        let shorter = try SampleLog.encode(4096..<6000)
        try await withServer(traits, puts: { _, _ in nil }) { server, publisher async throws in
            #expect(try await publisher.publish(longer).how == .created)
            server.store.set(path, shorter.bytes)
            let error = await #expect(throws: ArchiveError.self) { try await publisher.publish(longer) }
            #expect(error?.code == .diverged && server.store.objects[path] == shorter.bytes)
        }
    }
}
