package import Archive

/// One property of the `ObjectStore` contract, to be checked on every implementation and every real server:
///
///     @Test(arguments: StoreCheck.all)
///     func memoryKeepsTheContract(check: StoreCheck) async throws {
///         try await check.run(on: MemoryObjectStore(), expecting: MemoryObjectStore.everything)
///     }
package struct StoreCheck: Sendable, CustomStringConvertible {
    /// The property, as a name.
    package let description: String
    private let body: @Sendable (Bench) async throws -> Void

    init(_ description: String, _ body: @escaping @Sendable (Bench) async throws -> Void) {
        self.description = description
        self.body = body
    }

    /// Checks the property on `store`, which is what `tested` says: one check has its probe find that, the others assume it. Everything happens below a key
    /// of its own, so that one server can serve all checks; what the check made is removed where it passes.
    package func run(on store: any ObjectStore, as tested: TestedStore) async throws {
        try await run(on: store, expecting: tested.capabilities, uncertain: tested.uncertain)
    }

    /// `expected` is what its probe must find (`.probed` is added), what is `uncertain` either way.
    package func run(on store: any ObjectStore, expecting expected: StoreCapabilities, uncertain: StoreCapabilities = []) async throws {
        let expected = expected.union(.probed)
        await store.assume(expected.subtracting(uncertain))
        let bench = Bench(store: store, root: ObjectKey("conformance-\(description)"), capabilities: expected, uncertain: uncertain)
        try await body(bench)
        if expected.contains(.list) {
            for key in try await store.list(bench.root) { try await store.delete(key) }
        }
    }

    package static let all: [StoreCheck] =
        objects + ranges + collections + listings + races + [probing, cancellation]
}

/// What a check found instead of what the contract says.
package struct ConformanceFailure: Error, CustomStringConvertible {
    package let description: String
    init(_ description: String) { self.description = description }
}

/// A store under test and the keys of one check.
struct Bench: Sendable {
    let store: any ObjectStore
    let root: ObjectKey
    let capabilities: StoreCapabilities
    let uncertain: StoreCapabilities

    func key(_ path: String) -> ObjectKey { ObjectKey("\(root)/\(path)") }

    func expect(_ condition: Bool, _ what: @autoclosure () -> String) throws {
        if !condition { throw ConformanceFailure(what()) }
    }

    func expect(_ key: ObjectKey, holds bytes: [UInt8]) async throws {
        let found = try await store.get(key, range: nil, limit: bytes.count + 1)
        try expect(found == bytes, "\(key) holds \(found.count) other bytes than the \(bytes.count) that were stored")
        let info = try await store.head(key)
        try expect(info == ObjectInfo(size: UInt64(bytes.count)), "head of \(key) says \(String(describing: info))")
    }

    func expectError(
        _ what: String, _ matches: (ArchiveError.Code) -> Bool, _ body: () async throws(ArchiveError) -> Void
    ) async throws {
        do throws(ArchiveError) {
            try await body()
        } catch {
            return try expect(matches(error.code), "\(what) threw \(error.code): \(error)")
        }
        throw ConformanceFailure("\(what) did not throw")
    }

    /// Again where the store is busy and has done nothing that anybody knows of, which is what all callers of stores do.
    func patiently<T>(_ attempt: () async throws -> T) async throws -> T {
        for _ in 0..<20 {
            do {
                return try await attempt()
            } catch let error as ArchiveError where error.isRetryable {
                try await Task.sleep(for: .milliseconds(5))
            }
        }
        return try await attempt()
    }

    /// `count` bytes that compress badly and differ by `seed`.
    static func noise(_ count: Int, seed: UInt64) -> [UInt8] {
        var generator = SeededGenerator(seed: seed)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 8)
        while bytes.count < count {
            let word = generator.next()
            for shift in stride(from: UInt64(0), to: 64, by: 8) { bytes.append(UInt8(truncatingIfNeeded: word >> shift)) }
        }
        bytes.removeLast(bytes.count - count)
        return bytes
    }
}

extension StoreCheck {
    private static let objects: [StoreCheck] = [
        StoreCheck("createStoresOnce") { bench in
            let key = bench.key("object")
            try bench.expect(try await bench.store.create(key, [1, 2, 3]) == .created, "the first create did not create")
            try await bench.expect(key, holds: [1, 2, 3])
            try bench.expect(try await bench.store.create(key, [4]) == .exists, "the second create created")
            try await bench.expect(key, holds: [1, 2, 3])
        },
        StoreCheck("replaceStoresWhateverIsThere") { bench in
            let key = bench.key("object")
            try await bench.store.replace(key, [1])
            try await bench.expect(key, holds: [1])
            try await bench.store.replace(key, [2, 3])
            try await bench.expect(key, holds: [2, 3])
            try await bench.store.replace(key, [4])
            try await bench.expect(key, holds: [4])
        },
        StoreCheck("nothingThereIsNotFailure") { bench in
            for key in [bench.key("missing"), bench.key("missing/below")] {
                let info = try await bench.store.head(key)
                try bench.expect(info == nil, "head of nothing says \(String(describing: info))")
                try await bench.expectError("get of nothing", { $0 == .notFound }) { () async throws(ArchiveError) in
                    _ = try await bench.store.get(key, range: nil, limit: 10)
                }
                try await bench.store.delete(key)
            }
        },
        StoreCheck("deleteIsIdempotent") { bench in
            let key = bench.key("object")
            _ = try await bench.store.create(key, [1])
            try await bench.store.delete(key)
            try bench.expect(try await bench.store.head(key) == nil, "the object is still there")
            try await bench.store.delete(key)
            try bench.expect(try await bench.store.create(key, [2]) == .created, "a deleted name cannot be used again")
            try await bench.expect(key, holds: [2])
        },
        StoreCheck("deepParentsAreMade") { bench in
            let key = bench.key("a/b/c/d/e/object")
            try bench.expect(try await bench.store.create(key, [1]) == .created, "not created")
            try await bench.expect(key, holds: [1])
            let other = bench.key("f/g/h/object")
            try await bench.store.replace(other, [2])
            try await bench.expect(other, holds: [2])
        },
        StoreCheck("namesWithDotsAreNames") { bench in
            for name in ["a.b", "c..d/e.f.zst", "..g/h", "i-_.json"] {
                try bench.expect(try await bench.store.create(bench.key(name), Array(name.utf8)) == .created, "\(name) not created")
            }
            for name in ["a.b", "c..d/e.f.zst", "..g/h", "i-_.json"] {
                try await bench.expect(bench.key(name), holds: Array(name.utf8))
            }
        },
        StoreCheck("emptyObjectIsAnObject") { bench in
            let key = bench.key("empty")
            try bench.expect(try await bench.store.create(key, []) == .created, "not created")
            try await bench.expect(key, holds: [])
            try bench.expect(try await bench.store.create(key, [1]) == .exists, "an empty object was overwritten")
        },
        StoreCheck("everyByteIsKept") { bench in
            let bytes = (0..<1024).map { UInt8(truncatingIfNeeded: $0) }
            _ = try await bench.store.create(bench.key("bytes"), bytes)
            try await bench.expect(bench.key("bytes"), holds: bytes)
        },
        StoreCheck("twentyMebibytesAreKept") { bench in
            let bytes = Bench.noise(20 << 20, seed: 20)
            try bench.expect(try await bench.store.create(bench.key("large"), bytes) == .created, "not created")
            try await bench.expect(bench.key("large"), holds: bytes)
        },
    ]

    private static let ranges: [StoreCheck] = [
        StoreCheck("rangesAreClippedToTheObject") { bench in
            let key = bench.key("object")
            let bytes = (0..<100).map { UInt8($0) }
            _ = try await bench.store.create(key, bytes)
            let cases: [(Range<UInt64>, ArraySlice<UInt8>)] = [
                (0..<1, bytes[0..<1]), (10..<20, bytes[10..<20]), (99..<100, bytes[99..<100]), (0..<100, bytes[...]),
                (90..<1000, bytes[90...]), (100..<101, []), (5000..<6000, []),
            ]
            for (range, expected) in cases {
                let found = try await bench.store.get(key, range: range, limit: 100)
                try bench.expect(found == Array(expected), "bytes \(range) are \(found)")
            }
        },
        StoreCheck("limitIsKept") { bench in
            let key = bench.key("object")
            let bytes = Bench.noise(200_000, seed: 1)
            _ = try await bench.store.create(key, bytes)
            try bench.expect(try await bench.store.get(key, range: nil, limit: 200_000) == bytes, "refused at its own size")
            let refused: (ArchiveError.Code) -> Bool = { if case .refused = $0 { true } else { false } }
            for limit in [0, 1, 199_999] {
                try await bench.expectError("get past its limit", refused) { () async throws(ArchiveError) in
                    _ = try await bench.store.get(key, range: nil, limit: limit)
                }
            }
            try bench.expect(try await bench.store.get(key, range: 7..<17, limit: 10) == Array(bytes[7..<17]), "a range within its limit")
        },
    ]

    private static let collections: [StoreCheck] = [
        StoreCheck("collectionsAreMadeOnce") { bench in
            let key = bench.key("a/b/collection")
            guard bench.capabilities.contains(.exclusiveCollections) else {
                do throws(ArchiveError) {
                    _ = try await bench.store.makeCollection(key)
                } catch {
                    try bench.expect(error.code == .unsupported, "a store without exclusive collections threw \(error)")
                }
                return
            }
            try bench.expect(try await bench.store.makeCollection(key) == .created, "not created")
            try bench.expect(try await bench.store.makeCollection(key) == .exists, "created twice")
            try bench.expect(try await bench.store.create(bench.key("a/b/collection/object"), [1]) == .created, "not usable")
            try await bench.expect(bench.key("a/b/collection/object"), holds: [1])
            try bench.expect(try await bench.store.makeCollection(key) == .exists, "created although it is full")
        }
    ]

    private static let listings: [StoreCheck] = [
        StoreCheck("listingIsCompleteAndInOrder") { bench in
            let names = ["list/b", "list/a/z", "list/a/y/x", "list/c.d", "listing", "other/e"]
            for name in names { _ = try await bench.store.create(bench.key(name), [1]) }
            guard bench.capabilities.contains(.list) else {
                return try await bench.expectError("list", { $0 == .unsupported }) { () async throws(ArchiveError) in
                    _ = try await bench.store.list(bench.key("list"))
                }
            }
            let found = try await bench.store.list(bench.key("list"))
            let expected = ["list/a/y/x", "list/a/z", "list/b", "list/c.d"].map(bench.key)
            try bench.expect(found == expected, "listed \(found)")
            try bench.expect(try await bench.store.list(bench.key("missing")) == [], "listed something below nothing")
        }
    ]

    private static let races: [StoreCheck] = [
        StoreCheck("oneOfEightRivalsCreates") { bench in
            for round in 0..<5 {
                let key = bench.key("race/\(round)")
                let winners = try await rivals { rival in
                    try await bench.store.create(key, Bench.noise(10_000 + rival, seed: UInt64(rival)))
                }
                try bench.expect(!winners.isEmpty, "nobody created")
                if bench.capabilities.subtracting(bench.uncertain).contains(.conditionalCreate) {
                    try bench.expect(winners.count == 1, "rivals \(winners) all created")
                    try await bench.expect(key, holds: Bench.noise(10_000 + winners[0], seed: UInt64(winners[0])))
                }
            }
        },
        StoreCheck("oneOfEightRivalsMakesTheCollection") { bench in
            guard bench.capabilities.contains(.exclusiveCollections) else { return }
            for round in 0..<5 {
                let winners = try await rivals { _ in try await bench.store.makeCollection(bench.key("race/\(round)/taken")) }
                try bench.expect(winners.count == 1, "rivals \(winners) all made it")
            }
        },
        StoreCheck("readersSeeWholeObjectsWhileTheyAreReplaced") { bench in
            guard bench.capabilities.contains(.cutUploadsInvisible) else { return }
            let key = bench.key("object")
            let versions = (0..<2).map { Bench.noise(300_000 + $0, seed: UInt64($0)) }
            try await bench.store.replace(key, versions[0])
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { for round in 0..<20 { try await bench.store.replace(key, versions[round % 2]) } }
                group.addTask {
                    for _ in 0..<20 {
                        let found = try await bench.store.get(key, range: nil, limit: 400_000)
                        try bench.expect(versions.contains(found), "a reader saw \(found.count) bytes of neither version")
                    }
                }
                try await group.waitForAll()
            }
        },
        StoreCheck("manyRequestsAtOnceDoNotMix") { bench in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<32 {
                    group.addTask {
                        let bytes = Bench.noise(1000 + index, seed: UInt64(index))
                        let key = bench.key("many/\(index)")
                        let outcome = try await bench.patiently { try await bench.store.create(key, bytes) }
                        try bench.expect(outcome == .created, "\(index) not created")
                        try await bench.expect(key, holds: bytes)
                        try await bench.store.delete(key)
                    }
                }
                try await group.waitForAll()
            }
        },
    ]

    private static let probing = StoreCheck("theProbeFindsWhatThereIsAndLeavesNothingBehind") { bench in
        for _ in 0..<2 {
            let found = try await bench.store.probe(prefix: bench.key(".probe"))
            try bench.expect(
                found.symmetricDifference(bench.capabilities).isSubset(of: bench.uncertain),
                "the probe found \(found.rawValue), not \(bench.capabilities.rawValue)")
            try bench.expect(await bench.store.capabilities == found, "what was found is not remembered")
        }
        if bench.capabilities.contains(.list) {
            let left = try await bench.store.list(bench.root)
            try bench.expect(left == [], "left behind: \(left)")
        }
        await bench.store.assume([])
        try bench.expect(await bench.store.capabilities == [], "what is assumed is not reported")
        await bench.store.assume(bench.capabilities)
    }

    private static let cancellation = StoreCheck("cancelledRequestsEnd") { bench in
        let key = bench.key("object")
        let bytes = Bench.noise(4 << 20, seed: 4)
        for yields in [0, 1, 3, 10, 100] {
            let task = Task { () async -> Result<CreateOutcome, ArchiveError> in
                do throws(ArchiveError) {
                    return .success(try await bench.store.create(key, bytes))
                } catch {
                    return .failure(error)
                }
            }
            for _ in 0..<yields { await Task.yield() }
            task.cancel()
            if case .failure(let error) = await task.value {
                try bench.expect(error.code == .cancelled, "a cancelled create threw \(error)")
            }
        }
        let cancelled = Task { () async -> ArchiveError? in
            while !Task.isCancelled { await Task.yield() }
            do throws(ArchiveError) {
                _ = try await bench.store.create(bench.key("never"), bytes)
                return nil
            } catch {
                return error
            }
        }
        cancelled.cancel()
        let error = await cancelled.value
        try bench.expect(error?.code == .cancelled, "a create by a cancelled task gave \(String(describing: error))")
        if bench.capabilities.contains(.cutUploadsInvisible), try await bench.store.head(key) != nil {
            try await bench.expect(key, holds: bytes)
        }
    }

    /// Runs eight rivals at once; the numbers of those that were told that they created.
    private static func rivals(_ attempt: @escaping @Sendable (Int) async throws -> CreateOutcome) async throws -> [Int] {
        try await withThrowingTaskGroup(of: Int?.self) { group in
            for rival in 0..<8 {
                group.addTask {
                    do {
                        return try await attempt(rival) == .created ? rival : nil
                    } catch let error as ArchiveError where error.isRetryable {
                        // The store is busy with another rival: whoever gets no answer has not won.
                        return nil
                    }
                }
            }
            var winners: [Int] = []
            for try await winner in group { if let winner { winners.append(winner) } }
            return winners
        }
    }
}
