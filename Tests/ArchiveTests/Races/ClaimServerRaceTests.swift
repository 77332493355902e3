import Archive
import Foundation
import TestSupport
import Testing
import WAL

/// Rivals for one epoch on real servers, at the same time: each has a client of its own. `WALSHIP_RACES` multiplies the rounds.
@Suite struct ClaimServerRaceTests {
    private static let rounds = 4 * ClaimRaceTests.factor

    private func http(_ url: String) throws -> HTTPStore {
        var settings = HTTPSettings()
        settings.proxy = ""
        return try HTTPStore(base: url + "/base", settings: settings)
    }

    /// Each round is an archive of its own, and `rivals` who claim epoch 1 there, begin it, and look. On an exclusive store one wins. On any, at most one is told in the end that the
    /// epoch is its own: only that one goes on.
    private func race(_ rivals: Int, isExclusive: Bool, _ make: () throws -> any ObjectStore) async throws {
        let first = try make()
        let capabilities = try await first.probe(prefix: ObjectKey("probe/.probe"))
        requireHonesty(capabilities, isExclusive: isExclusive)
        var stores: [any ObjectStore] = []
        for _ in 0..<rivals {
            let store = try make()
            await store.assume(capabilities)
            stores.append(store)
        }
        for round in 0..<Self.rounds {
            let layout = Layout(log: LogName("race-\(rivals)-\(round)")!)
            let outcomes = await withTaskGroup(of: (Int, Claims.Outcome?).self) { group in
                for (index, store) in stores.enumerated() {
                    group.addTask {
                        (index, try? await claims(store, layout).claim(epoch(index), host: "", time: 0))
                    }
                }
                return await group.reduce(into: [Int: Claims.Outcome]()) { $0[$1.0] = $1.1 }
            }
            #expect(outcomes.count == rivals, "round \(round): \(outcomes)")
            let won = outcomes.filter { $0.value == .won }.keys.sorted()
            if isExclusive { #expect(won.count == 1, "round \(round): \(won)") }
            var owners: [Int] = []
            for index in won where try await claims(stores[index], layout).look(epoch(index)) == .ours { owners.append(index) }
            #expect(owners.count <= 1, "round \(round): \(owners)")
            #expect(!won.isEmpty, "round \(round)")
        }
    }

    private func epoch(_ rival: Int) -> EpochName { EpochName(number: 1, id: EpochID(rawValue: UInt64(rival + 1))) }

    private func claims(_ store: any ObjectStore, _ layout: Layout) -> Claims {
        Claims(store: store, layout: layout, settle: 0.5, patience: { RetryTimer(RetryPolicy(deadline: 30, delayFirst: 0.02, delayMax: 0.1)) })
    }

    @Test(arguments: [2, 8]) func onNginxOneOwnerGoesOn(rivals: Int) async throws {
        let nginx = try await NginxServer.start()
        try await race(rivals, isExclusive: true) { try http(nginx.url) }
    }

    @Test(arguments: [2, 8]) func onLighttpdOneOwnerGoesOn(rivals: Int) async throws {
        let lighttpd = try await LighttpdServer.start()
        try await race(rivals, isExclusive: true) { try http(lighttpd.url) }
    }

    /// Conditions are not exclusive there; collections are.
    @Test(arguments: [2, 8]) func onApacheOneOwnerGoesOn(rivals: Int) async throws {
        let apache = try await ApacheServer.start()
        try await race(rivals, isExclusive: true) { try http(apache.url) }
    }

    /// It ignores conditions, and a repeated MKCOL succeeds: a look, and a settling.
    @Test(arguments: [2, 8]) func onRcloneOneOwnerGoesOn(rivals: Int) async throws {
        let rclone = try await RcloneServer.start(.webDAV)
        try await race(rivals, isExclusive: false) { try http(rclone.url) }
    }

    @Test(arguments: [2, 8]) func onRcloneS3OneOwnerGoesOn(rivals: Int) async throws {
        let rclone = try await RcloneServer.start(.s3)
        try await race(rivals, isExclusive: false) { try s3Store(rclone.url, "races") }
    }

    /// What is not exclusive is what the probe says, and whoever asks for more is told so.
    private func requireHonesty(_ capabilities: StoreCapabilities, isExclusive: Bool) {
        #expect(capabilities.contains(.conditionalCreate) || capabilities.contains(.exclusiveCollections) == isExclusive)
        if !isExclusive { #expect(capabilities.fencingWeakness?.contains("of two writers that claim an epoch at one moment the later one gets it") == true) }
    }

    /// Nothing but PUT and GET, and no conditions: a look, and a settling.
    @Test(arguments: [2, 8]) func onAServerWithoutMannersOneOwnerGoesOn(rivals: Int) async throws {
        let server = try FaultServer([.ranges])
        try await race(rivals, isExclusive: false) { try http(server.url) }
    }

    @Test(arguments: [2, 8]) func inADirectoryOneOwnerGoesOn(rivals: Int) async throws {
        try await withTemporaryDirectory { directory in
            try await race(rivals, isExclusive: true) { try DirectoryStore(root: directory) }
        }
    }
}

/// The same on a SeaweedFS, whose conditional creation is exclusive.
@Suite(.seaweed) struct ClaimSeaweedRaceTests {
    @Test(arguments: [2, 8]) func onSeaweedOneOwnerGoesOn(rivals: Int) async throws {
        let server = try #require(SeaweedTrait.server)
        let stores = try (0..<rivals).map { _ in try s3Store(server.url, "races") }
        let capabilities = try await stores[0].probe(prefix: ObjectKey("probe/.probe"))
        #expect(capabilities.contains(.conditionalCreate))
        for store in stores { await store.assume(capabilities) }
        for round in 0..<5 * ClaimRaceTests.factor {
            let layout = Layout(log: LogName("race-\(rivals)-\(round)")!)
            let won = await withTaskGroup(of: Int.self) { group in
                for (index, store) in stores.enumerated() {
                    group.addTask {
                        let claims = Claims(store: store, layout: layout, settle: 0.2, patience: { RetryTimer(RetryPolicy(deadline: 30, delayFirst: 0.02, delayMax: 0.1)) })
                        let epoch = EpochName(number: 1, id: EpochID(rawValue: UInt64(index + 1)))
                        return (try? await claims.claim(epoch, host: "", time: 0)) == .won ? 1 : 0
                    }
                }
                return await group.reduce(0, +)
            }
            #expect(won == 1, "round \(round)")
        }
    }
}
