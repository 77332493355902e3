import Archive
import Testing
import WAL

@Suite struct PublisherTests {
    let layout = Layout(log: LogName("log")!)
    static let verifying = MemoryObjectStore.everything
    static let trusting = MemoryObjectStore.everything.subtracting(.verifiesChecksum)
    static let mannerless: StoreCapabilities = [.probed]
    static let unknown = ArchiveError(.unreachable, "no reply", outcome: .unknown)

    private func publisher(_ store: MemoryObjectStore, attempts: Int = 20) -> Publisher {
        Publisher(store: store, layout: layout) { SamplePatience(attemptsLeft: attempts) }
    }

    private var key: ObjectKey { layout.segment(SampleLog.epoch, start: LSN(4096)) }

    private func failure(_ body: () async throws(ArchiveError) -> Published) async -> ArchiveError? {
        do throws(ArchiveError) {
            let published = try await body()
            Issue.record("published: \(published)")
            return nil
        } catch {
            return error
        }
    }

    @Test(arguments: [verifying, trusting, mannerless])
    func freshObjectIsCreatedAndSeen(capabilities: StoreCapabilities) async throws {
        let store = MemoryObjectStore(capabilities: capabilities)
        let object = try SampleLog.encode(4096..<8192)
        let published = try await publisher(store).publish(object)
        #expect(published.key == key && published.how == .created)
        #expect(store.contents == [key: object.bytes])
        // A store that verified the checksum is asked for the size only; any other gives the bytes back.
        #expect(store.count(of: .get) == (capabilities.contains(.verifiesChecksum) ? 0 : 1))
        #expect(store.count(of: .head) == 1)
        #expect(try await publisher(store).publish(object).how == .adopted)
    }

    @Test(arguments: [verifying, trusting, mannerless])
    func lostReplyIsLookedAtAndAdopted(capabilities: StoreCapabilities) async throws {
        let store = MemoryObjectStore(capabilities: capabilities)
        store.inject(.loseReply(Self.unknown), into: .create)
        #expect(try await publisher(store).publish(SampleLog.encode(4096..<8192)).how == .adopted)
        #expect(store.count(of: .create) == 1 && store.count(of: .replace) == 0)
    }

    @Test(arguments: [verifying, trusting, mannerless])
    func cutUploadIsReplacedWholeAndLookedAtAgain(capabilities: StoreCapabilities) async throws {
        let object = try SampleLog.encode(4096..<8192)
        for size in [0, 1, 8, 20, 300, object.bytes.count - 1] {
            let store = MemoryObjectStore(capabilities: capabilities)
            store.inject(.cut(at: size, Self.unknown), into: .create)
            #expect(try await publisher(store).publish(object).how == .replaced)
            #expect(store.contents == [key: object.bytes])
            #expect(store.count(of: .get) == ArchiveLimits.damagedReads + 1)
        }
    }

    @Test func sameRangeFromAnEarlierAttemptIsAdoptedWhateverItsCompression() async throws {
        let store = MemoryObjectStore()
        let earlier = try SampleLog.encode(4096..<8192, level: 1)
        var metadata = SampleLog.metadata(4096..<8192)
        metadata.timeIndex = []
        let now = try ObjectEncoder().encode(SampleLog.raw(4096..<8192), metadata, level: 19)
        #expect(now.bytes != earlier.bytes)
        store.plant(key, earlier.bytes)
        #expect(try await publisher(store).publish(now).how == .adopted)
        #expect(store.contents == [key: earlier.bytes])
    }

    // MARK: Encrypted

    static let old = MasterKey(bytes: [UInt8](repeating: 1, count: 32))
    static let new = MasterKey(bytes: [UInt8](repeating: 2, count: 32))

    private func sealed(_ raw: [UInt8]? = nil, with key: MasterKey) throws(ArchiveError) -> EncodedObject {
        try ObjectEncoder(key: key).encode(raw ?? SampleLog.raw(4096..<8192), SampleLog.metadata(4096..<8192), level: 3)
    }

    private func publisher(_ store: MemoryObjectStore, keys: KeyRing) -> Publisher {
        Publisher(store: store, layout: layout, keys: keys) { SamplePatience(attemptsLeft: 20) }
    }

    @Test(arguments: [verifying, trusting, mannerless])
    func theSameRangeEncryptedAgainIsAdoptedAlsoUnderAnotherKey(capabilities: StoreCapabilities) async throws {
        let ring = KeyRing(current: Self.new, others: [Self.old])
        for key in [Self.new, Self.old] {
            let store = MemoryObjectStore(capabilities: capabilities)
            let earlier = try sealed(with: key)
            store.plant(layout.object(earlier.metadata), earlier.bytes)
            let now = try sealed(with: Self.new)
            #expect(now.bytes != earlier.bytes)
            let published = try await publisher(store, keys: ring).publish(now)
            #expect(published.how == .adopted && published.metadata == earlier.metadata, "what the next object names is what is there")
            #expect(store.contents == [layout.object(earlier.metadata): earlier.bytes])
        }
    }

    @Test func otherBytesUnderAnotherKeyAreDivergedAndUntouched() async throws {
        let store = MemoryObjectStore()
        let theirs = try sealed(SampleLog.raw(4096..<8192).reversed(), with: Self.old)
        store.plant(layout.object(theirs.metadata), theirs.bytes)
        let error = await failure { () async throws(ArchiveError) in
            try await publisher(store, keys: KeyRing(current: Self.new, others: [Self.old])).publish(try sealed(with: Self.new))
        }
        #expect(error?.code == .diverged && error?.message.contains("raw digest") == true)
        #expect(store.contents == [layout.object(theirs.metadata): theirs.bytes])
    }

    @Test func whatAnUnknownKeyEncryptedIsNotReplaced() async throws {
        let store = MemoryObjectStore()
        let theirs = try sealed(with: Self.old)
        store.plant(layout.object(theirs.metadata), theirs.bytes)
        let error = await failure { () async throws(ArchiveError) in
            try await publisher(store, keys: KeyRing(current: Self.new)).publish(try sealed(with: Self.new))
        }
        #expect(error?.code == .keyMissing && error?.message.contains("\(Self.old.id)") == true)
        #expect(store.contents == [layout.object(theirs.metadata): theirs.bytes])
    }

    @Test func anEncryptedObjectThatDoesNotOpenIsReplaced() async throws {
        let store = MemoryObjectStore()
        let object = try sealed(with: Self.new)
        var tampered = object.bytes
        tampered[tampered.count - 20] ^= 1
        tampered.reseal()
        store.plant(layout.object(object.metadata), tampered)
        #expect(try await publisher(store, keys: KeyRing(current: Self.new)).publish(object).how == .replaced)
        #expect(store.contents == [layout.object(object.metadata): object.bytes])
    }

    /// Intact objects that are not ours, and one that cannot be judged.
    private func strangers() throws -> [(String, [UInt8])] {
        let encoder = try ObjectEncoder()
        let raw = SampleLog.raw(4096..<8192)
        func object(_ raw: [UInt8], _ change: (inout ObjectMetadata) -> Void) throws -> [UInt8] {
            var metadata = SampleLog.metadata(4096..<8192)
            change(&metadata)
            return try encoder.encode(raw, metadata, level: 3).bytes
        }
        var newer = try object(raw) { _ in }
        newer.put(UInt32(2), at: 8 + 8)
        // Whole as what it says it is: with this version's checksum it would be damaged.
        newer.reseal()
        return [
            ("raw digest", try object(raw.reversed()) { _ in }),
            ("log", try object(raw) { $0.logID = LogID(high: 1, low: 1) }),
            ("archive", try object(raw) { $0.archiveID = ArchiveID(high: 1, low: 1) }),
            ("epoch", try object(raw) { metadata in
                metadata.epoch = EpochName(number: 3, id: EpochID(rawValue: 3))
                metadata.ancestry.append(Epoch(number: 3, id: EpochID(rawValue: 3), start: SampleLog.end))
            }),
            ("tail", try object(raw) { $0.kind = .tail(level: 0) }),
            ("ends at 8191", try SampleLog.encode(4096..<8191).bytes),
            ("cannot be judged", newer),
        ]
    }

    @Test func whatIsIntactAndDifferentIsDivergedAndUntouched() async throws {
        for (said, bytes) in try strangers() {
            for capabilities in [Self.verifying, Self.mannerless] {
                let store = MemoryObjectStore(capabilities: capabilities)
                store.plant(key, bytes)
                let error = await failure { () async throws(ArchiveError) in try await publisher(store).publish(objectForStrangers()) }
                #expect(error?.code == .diverged && error?.key == key && error?.lsn == LSN(4096), "\(said): \(String(describing: error))")
                #expect(error?.message.contains(said) == true, "\(said): \(String(describing: error))")
                #expect(store.contents[key] == bytes && store.contents.count == 1, "\(said)")
            }
        }
    }

    private func objectForStrangers() throws(ArchiveError) -> EncodedObject {
        try ObjectEncoder().encode(SampleLog.raw(4096..<8192), SampleLog.metadata(4096..<8192), level: 3)
    }

    @Test func everySilentDamageOnTheWayInIsFoundWhereTheStoreDoesNotVerify() async throws {
        let object = try SampleLog.encode(4096..<8192)
        for offset in stride(from: 0, to: object.bytes.count, by: 37) where !(16..<20).contains(offset) {
            let store = MemoryObjectStore(capabilities: Self.trusting)
            store.inject(.corrupt { $0[offset] ^= 0x40 }, into: .create)
            #expect(try await publisher(store).publish(object).how == .replaced, "byte \(offset)")
            #expect(store.contents == [key: object.bytes])
        }
    }

    @Test func storeThatKeepsNothingIsNotBelieved() async throws {
        for capabilities in [Self.verifying, Self.trusting] {
            let store = MemoryObjectStore(capabilities: capabilities)
            for _ in 0..<10 { store.inject(.pretend, into: .create) }
            let object = try SampleLog.encode(4096..<8192)
            let error = await failure { () async throws(ArchiveError) in try await publisher(store).publish(object) }
            #expect(error?.code == .damaged && error?.hint?.contains("does not keep") == true)
        }
    }

    @Test func storeThatDamagesEverythingIsNotBelieved() async throws {
        let store = MemoryObjectStore(capabilities: Self.trusting)
        for _ in 0..<10 {
            store.inject(.corrupt { $0[$0.count - 1] ^= 1 }, into: .create)
            store.inject(.corrupt { $0[$0.count - 1] ^= 1 }, into: .replace)
        }
        let object = try SampleLog.encode(4096..<8192)
        let error = await failure { () async throws(ArchiveError) in try await publisher(store).publish(object) }
        #expect(error?.code == .damaged && error?.outcome == .unknown)
        #expect(store.count(of: .replace) == 3)
    }

    @Test func patienceBoundsEveryRetry() async throws {
        let object = try SampleLog.encode(4096..<8192)
        for operation in [MemoryObjectStore.Operation.create, .head, .get] {
            let store = MemoryObjectStore(capabilities: Self.trusting)
            for _ in 0..<100 { store.inject(.fail(ArchiveError(.busy(status: 503), "busy")), into: operation) }
            let error = await failure { () async throws(ArchiveError) in try await publisher(store, attempts: 5).publish(object) }
            #expect(error?.code == .busy(status: 503))
            #expect(store.count(of: operation) == 6)
            #expect(error?.outcome == (operation == .create ? .notDone : .unknown), "\(operation)")
        }
    }

    @Test func refusalIsReportedAtOnceButLookedAtWhereItIsNotCertain() async throws {
        let object = try SampleLog.encode(4096..<8192)
        let store = MemoryObjectStore()
        store.inject(.fail(ArchiveError(.tooLarge, "413")), into: .create)
        #expect(await failure { () async throws(ArchiveError) in try await publisher(store).publish(object) }?.code == .tooLarge)
        #expect(store.count(of: .head) == 0)
        store.inject(.loseReply(ArchiveError(.refused(status: 400), "odd", outcome: .unknown)), into: .create)
        #expect(try await publisher(store).publish(object).how == .adopted)
    }

    @Test func cancellingEndsItAndSaysWhatMayBeThere() async throws {
        let object = try SampleLog.encode(4096..<8192)
        let store = MemoryObjectStore()
        store.inject(.delay { withUnsafeCurrentTask { $0?.cancel() } }, into: .head)
        let task = Task { await failure { () async throws(ArchiveError) in try await publisher(store).publish(object) } }
        let error = await task.value
        #expect(error?.code == .cancelled && error?.outcome == .unknown)
    }

    @Test func everyPairOfFaultsEndsWithOurBytesThere() async throws {
        let object = try SampleLog.encode(4096..<8192)
        let notDone = ArchiveError(.unreachable, "refused connection")
        let faults: [MemoryObjectStore.Fault] = [
            .fail(notDone), .loseReply(Self.unknown), .cut(at: 100, Self.unknown), .pretend, .corrupt { $0[200] ^= 1 }, .delay {},
        ]
        // Two kinds of lies on both ways in are four lies in a row, one more than is put up with.
        let lies: Set<Int> = [3, 4]
        let readFaults: [MemoryObjectStore.Fault] = [.fail(notDone), .loseReply(Self.unknown), .delay {}]
        for capabilities in [Self.trusting, Self.mannerless] {
            for (first, second) in faults.indices.flatMap({ first in faults.indices.map { (first, $0) } })
            where !(lies.contains(first) && lies.contains(second)) {
                for read in readFaults {
                    let store = MemoryObjectStore(capabilities: capabilities)
                    store.inject(faults[first], faults[second], into: .create)
                    store.inject(faults[second], faults[first], into: .replace)
                    store.inject(read, into: .head)
                    store.inject(read, read, into: .get)
                    _ = try await publisher(store).publish(object)
                    #expect(store.contents == [key: object.bytes], "faults \(first) and \(second)")
                }
            }
        }
    }
}
