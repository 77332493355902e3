import Archive
import Synchronization
import TestSupport
import Testing
import WAL

@Suite struct ClaimsTests {
    let layout = Layout(log: LogName("log")!)
    static let modes: [StoreCapabilities] = [
        MemoryObjectStore.everything, MemoryObjectStore.everything.subtracting(.exclusiveCollections), [.probed],
    ]

    private func claims(_ store: any ObjectStore, _ sleep: SampleSleep = SampleSleep(), attempts: Int = 10) -> Claims {
        Claims(store: store, layout: layout, settle: 2, patience: { SamplePatience(attemptsLeft: attempts) }, sleep: sleep.sleep)
    }

    private func epoch(_ number: UInt64, _ id: UInt64) -> EpochName { EpochName(number: number, id: EpochID(rawValue: id)) }

    private func claimBytes(_ epoch: EpochName) throws -> [UInt8] {
        try ClaimDocument(epoch: epoch, host: "rival", time: 1).encoded(for: layout.claim(epoch.number))
    }

    @Test(arguments: modes)
    func freeEpochIsWonAfterSettling(capabilities: StoreCapabilities) async throws {
        let store = MemoryObjectStore(capabilities: capabilities)
        let sleep = SampleSleep()
        #expect(try await claims(store, sleep).claim(epoch(1, 7), host: "here", time: 5) == .won)
        #expect(sleep.seconds == [2])
        #expect(try await claims(store).document(1) == ClaimDocument(epoch: epoch(1, 7), host: "here", time: 5))
        // Again with the same id, as after a crash: still ours. With another: lost, and nothing changes.
        #expect(try await claims(store).claim(epoch(1, 7), host: "later", time: 6) == .won)
        #expect(try await claims(store).claim(epoch(1, 8), host: "rival", time: 6) == .lost(to: EpochID(rawValue: 7)))
        #expect(try await claims(store).document(1)?.host == "here")
    }

    @Test(arguments: modes)
    func numbersAreNeverSkipped(capabilities: StoreCapabilities) async throws {
        let store = MemoryObjectStore(capabilities: capabilities)
        await #expect(throws: ArchiveError.self) { try await claims(store).claim(epoch(2, 7), host: "", time: 0) }
        _ = try await claims(store).claim(epoch(1, 7), host: "", time: 0)
        await #expect(throws: ArchiveError.self) { try await claims(store).claim(epoch(3, 7), host: "", time: 0) }
        #expect(try await claims(store).claim(epoch(2, 8), host: "", time: 0) == .won)
        #expect(store.contents.keys.sorted() == [layout.claim(1), layout.claim(2)])
    }

    @Test func rivalThatOverwritesOnAPlainStoreWinsAndWeNotice() async throws {
        let store = MemoryObjectStore(capabilities: [.probed])
        let rival = try claimBytes(epoch(1, 9))
        let key = layout.claim(1)
        let sleep = SampleSleep { _ in store.plant(key, rival) }
        #expect(try await claims(store, sleep).claim(epoch(1, 7), host: "", time: 0) == .lost(to: EpochID(rawValue: 9)))
    }

    @Test func abandonedCollectionIsClaimedAfterTwiceTheSettling() async throws {
        let store = MemoryObjectStore()
        _ = try await store.makeCollection(layout.claimCollection(1))
        let sleep = SampleSleep()
        #expect(try await claims(store, sleep).claim(epoch(1, 7), host: "", time: 0) == .won)
        #expect(sleep.seconds == [4, 2])
    }

    @Test func slowRivalInsideItsCollectionIsWaitedForAndWins() async throws {
        let store = MemoryObjectStore()
        _ = try await store.makeCollection(layout.claimCollection(1))
        let rival = try claimBytes(epoch(1, 9))
        let key = layout.claim(1)
        let sleep = SampleSleep { _ in store.plant(key, rival) }
        #expect(try await claims(store, sleep).claim(epoch(1, 7), host: "", time: 0) == .lost(to: EpochID(rawValue: 9)))
        #expect(sleep.seconds == [4])
    }

    @Test(arguments: modes)
    func lostRepliesDoNotLoseTheClaim(capabilities: StoreCapabilities) async throws {
        let unknown = ArchiveError(.unreachable, "no reply", outcome: .unknown)
        let store = MemoryObjectStore(capabilities: capabilities)
        store.inject(.loseReply(unknown), into: .makeCollection)
        store.inject(.loseReply(unknown), into: .create)
        store.inject(.fail(unknown), .delay {}, .fail(unknown), into: .get)
        #expect(try await claims(store).claim(epoch(1, 7), host: "", time: 0) == .won)
    }

    /// Its writer may have died a moment ago, with a rival's request under way.
    @Test(arguments: modes)
    func ourOwnClaimFromAnInterruptedAttemptRestsAgain(capabilities: StoreCapabilities) async throws {
        let store = MemoryObjectStore(capabilities: capabilities)
        store.plant(layout.claim(1), try claimBytes(epoch(1, 7)))
        let rival = try claimBytes(epoch(1, 9))
        let key = layout.claim(1)
        let sleep = SampleSleep { _ in store.plant(key, rival) }
        #expect(try await claims(store, sleep).claim(epoch(1, 7), host: "", time: 0) == .lost(to: EpochID(rawValue: 9)))
        #expect(sleep.seconds == [2])
    }

    @Test(arguments: modes)
    func aClaimThatIsUnderWayIsWaitedFor(capabilities: StoreCapabilities) async throws {
        let store = MemoryObjectStore(capabilities: capabilities)
        let rival = try claimBytes(epoch(1, 9))
        let key = layout.claim(1)
        // Before ours is written: the rival's is finished while we wait for it.
        store.plant(key, Array(rival.prefix(9)))
        let sleep = SampleSleep { _ in store.plant(key, rival) }
        #expect(try await claims(store, sleep).claim(epoch(1, 7), host: "", time: 0) == .lost(to: EpochID(rawValue: 9)))
        #expect(sleep.seconds == [4])
        // After: the rival is writing over ours when it is read back, for a while or for ever.
        for last in [2, 100] {
            let store = MemoryObjectStore(capabilities: capabilities)
            let sleep = SampleSleep { number in store.plant(key, number < last ? Array(rival.prefix(9)) : rival) }
            if last == 2 {
                #expect(try await claims(store, sleep).claim(epoch(1, 7), host: "", time: 0) == .lost(to: EpochID(rawValue: 9)))
            } else {
                await #expect(throws: ArchiveError.self) { try await claims(store, sleep).claim(epoch(1, 7), host: "", time: 0) }
            }
        }
    }

    @Test(arguments: modes)
    func claimThatWasCutShortIsAsGoodAsNone(capabilities: StoreCapabilities) async throws {
        let whole = try claimBytes(epoch(1, 9))
        for size in [0, 1, whole.count - 1] {
            let store = MemoryObjectStore(capabilities: capabilities)
            store.plant(layout.claim(1), Array(whole.prefix(size)))
            #expect(try await claims(store).claim(epoch(1, 7), host: "", time: 0) == .won)
        }
        // But one that we cannot read for another reason is not touched.
        let store = MemoryObjectStore(capabilities: capabilities)
        let newer = Array(String(decoding: whole, as: UTF8.self).replacing(#""format":1"#, with: #""format":2"#).utf8)
        store.plant(layout.claim(1), newer)
        await #expect(throws: ArchiveError.self) { try await claims(store).claim(epoch(1, 7), host: "", time: 0) }
        #expect(store.contents[layout.claim(1)] == newer)
    }

    @Test(arguments: modes, [2, 8])
    func ofManyRivalsAtMostOneWins(capabilities: StoreCapabilities, count: Int) async throws {
        for round in 0..<20 {
            let store = MemoryObjectStore(capabilities: capabilities)
            // Everybody sleeps until all who still claim have written: what claim-settle stands for.
            let gate = Gate(count: count)
            let outcomes = await withTaskGroup(of: (UInt64, Claims.Outcome?).self) { group in
                for rival in 1...UInt64(count) {
                    group.addTask {
                        let claims = Claims(
                            store: store, layout: layout, settle: 1, patience: { SamplePatience(attemptsLeft: 3) },
                            sleep: { _ in await gate.arrive() })
                        let outcome = try? await claims.claim(epoch(1, rival), host: "", time: 0)
                        await gate.leave()
                        return (rival, outcome)
                    }
                }
                return await group.reduce(into: [UInt64: Claims.Outcome]()) { $0[$1.0] = $1.1 }
            }
            let named = try #require(try await claims(store).document(1)).epoch.id
            #expect(outcomes.count == count)
            for (rival, outcome) in outcomes {
                // Who lost may have lost to somebody who lost: on a plain store the last to write wins.
                guard named.rawValue != rival, case .lost(let winner) = outcome else {
                    #expect(outcome == .won && named.rawValue == rival, "round \(round), rival \(rival): \(outcome)")
                    continue
                }
                #expect(winner.rawValue != rival, "round \(round), rival \(rival)")
            }
        }
    }

    @Test func theLookSeesEveryWayOfBeingFenced() async throws {
        let store = MemoryObjectStore()
        let claims = claims(store)
        #expect(try await claims.look(epoch(1, 7)) == .lost(to: nil))
        _ = try await claims.claim(epoch(1, 7), host: "", time: 0)
        #expect(try await claims.look(epoch(1, 7)) == .ours)
        #expect(try await claims.looksStillOurs(epoch(1, 7)))
        #expect(try await claims.look(epoch(1, 8)) == .lost(to: EpochID(rawValue: 7)))
        _ = try await claims.claim(epoch(2, 8), host: "", time: 0)
        #expect(try await claims.look(epoch(1, 7)) == .superseded(by: epoch(2, 8)))
        #expect(try await !claims.looksStillOurs(epoch(1, 7)))
        #expect(try await claims.look(epoch(2, 8)) == .ours)
        // A claim that is under way or was cut short, or a store that does not answer, is never "ours".
        store.plant(layout.claim(3), [])
        #expect(try await claims.look(epoch(2, 8)) == .superseded(by: nil))
        store.plant(layout.claim(3), nil)
        store.plant(layout.claim(2), Array(try claimBytes(epoch(2, 8)).dropLast()))
        #expect(try await claims.look(epoch(2, 8)) == .lost(to: nil))
        store.plant(layout.claim(2), try claimBytes(epoch(2, 8)))
        for _ in 0..<11 { store.inject(.fail(ArchiveError(.unreachable, "away")), into: .get) }
        await #expect(throws: ArchiveError.self) { try await claims.look(epoch(2, 8)) }
    }

    @Test func highestClaimIsFoundWithoutAListing() async throws {
        for count: UInt64 in 0...40 {
            let store = MemoryObjectStore(capabilities: [.probed])
            for number in 1...max(count, 1) where number <= count { store.plant(layout.claim(number), try claimBytes(epoch(number, number))) }
            for known in [0, 1, count / 2, count, count + 5] {
                let before = store.count(of: .get)
                #expect(try await claims(store).highest(known: known)?.epoch.number == (count == 0 ? nil : count), "\(count) from \(known)")
                #expect(store.count(of: .get) - before <= 14, "\(count) from \(known)")
            }
        }
    }

    @Test func claimNamingAnotherNumberIsRefused() async throws {
        let store = MemoryObjectStore()
        store.plant(layout.claim(2), try claimBytes(epoch(1, 7)))
        await #expect(throws: ArchiveError.self) { try await claims(store).document(2) }
    }

    @Test func cancellingEndsTheSettling() async throws {
        let store = MemoryObjectStore()
        let task = Task { () async -> ArchiveError? in
            let claims = Claims(
                store: store, layout: layout, settle: 3600, patience: { SamplePatience(attemptsLeft: 3) },
                sleep: { seconds in
                    withUnsafeCurrentTask { $0?.cancel() }
                    try await Task.sleep(for: .seconds(seconds))
                })
            do throws(ArchiveError) {
                _ = try await claims.claim(epoch(1, 7), host: "", time: 0)
                return nil
            } catch {
                return error
            }
        }
        let error = await task.value
        #expect(error?.code == .cancelled && error?.outcome == .unknown)
    }

    @Test func directoryStoreGivesAnEpochToOne() async throws {
        try await withTemporaryDirectory { directory in
            let store = try DirectoryStore(root: directory)
            _ = try await store.probe(prefix: layout.probe)
            #expect(try await claims(store).claim(epoch(1, 7), host: "", time: 0) == .won)
            #expect(try await claims(store).claim(epoch(1, 8), host: "", time: 0) == .lost(to: EpochID(rawValue: 7)))
        }
    }
}

/// Lets everybody go on when all who have not left have arrived.
private actor Gate {
    private var present: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(count: Int) {
        present = count
    }

    func arrive() async {
        await withCheckedContinuation { continuation in
            waiting.append(continuation)
            openIfFull()
        }
    }

    func leave() {
        present -= 1
        openIfFull()
    }

    private func openIfFull() {
        guard waiting.count == present else { return }
        let all = waiting
        waiting = []
        for continuation in all { continuation.resume() }
    }
}
