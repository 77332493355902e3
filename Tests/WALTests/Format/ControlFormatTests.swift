import Testing
import WAL

@Suite struct ControlFormatTests {
    static let seeds: [UInt64] = Array(1...40)

    @Test(arguments: seeds) func identityRoundTrips(seed: UInt64) throws {
        var samples = FormatSamples(seed: seed)
        let page = IdentityPage(
            logID: samples.logID(), segmentSize: seed % 4 == 0 ? 0 : samples.segmentSize(), created: samples.random.next())
        #expect(page.encode().count == 4096)
        #expect(try IdentityPage.decode(page.encode()) == page)
    }

    @Test func everyBitFlipOfTheIdentityIsDetected() {
        var samples = FormatSamples(seed: 1)
        let page = IdentityPage(logID: samples.logID(), segmentSize: 16 << 20, created: 1)
        Damage.everyBitFlipIsDetected(in: page.encode()) { _ = try IdentityPage.decode($0) }
        Damage.everyOtherLengthIsAnError(of: page.encode()) { _ = try IdentityPage.decode($0) }
    }

    @Test(arguments: [(2, 0), (0, 0), (1, 1), (1, 0x8000_0000), (7, 3)] as [(UInt32, UInt32)])
    func unknownVersionOrFeaturesAreRefusedNamingBoth(version: UInt32, features: UInt32) throws {
        var samples = FormatSamples(seed: 2)
        let page = IdentityPage(
            version: version, features: features, logID: samples.logID(), segmentSize: 4096, created: 0)
        let error = try #require(throws: FormatError.self) { try IdentityPage.decode(page.encode()) }
        #expect(error.kind == .unsupported)
        #expect(error.description.contains("\(version) and 0x\(String(features, radix: 16))"))
    }

    @Test(arguments: [1, 4095, 4097, 6144, (1 << 30) + 4096, .max] as [UInt64])
    func segmentSizesOutOfRangeAreRefused(size: UInt64) throws {
        var samples = FormatSamples(seed: 3)
        var writer = ByteWriter(count: 4096)
        writer.put(magic: "WALSHIPC", at: 0)
        writer.put(UInt32(1), at: 8)
        writer.put(samples.logID(), at: 16)
        writer.put(size, at: 32)
        writer.putChecksum(at: 4092)
        let error = try #require(throws: FormatError.self) { try IdentityPage.decode(writer.bytes) }
        #expect(error.kind == .value)
        #expect(error.field == "segment size")
        #expect(error.found == "\(size)")
    }

    @Test func emptyForeignAndDamagedPagesAreToldApart() throws {
        let zeros = [UInt8](repeating: 0, count: 4096)
        #expect(try #require(throws: FormatError.self) { try IdentityPage.decode(zeros) }.kind == .empty)
        #expect(try #require(throws: FormatError.self) { try Facts.decode(zeros) }.kind == .empty)
        var samples = FormatSamples(seed: 4)
        let facts = samples.facts().encode()
        #expect(try #require(throws: FormatError.self) { try IdentityPage.decode(facts) }.kind == .magic)
        #expect(try #require(throws: FormatError.self) { try Facts.decode(facts.dropLast()) }.kind == .size)
        var damaged = facts
        damaged[200] ^= 1
        #expect(try #require(throws: FormatError.self) { try Facts.decode(damaged) }.kind == .checksum)
    }

    @Test(arguments: seeds) func factsRoundTrip(seed: UInt64) throws {
        var samples = FormatSamples(seed: seed)
        let facts = samples.facts()
        #expect(facts.encode().count == 4096)
        let page = Facts.page(ofGeneration: facts.generation)
        #expect(try Facts.decode(facts.encode(), expecting: facts.logID, page: page) == facts, "seed \(seed)")
        #expect(throws: FormatError.self) { try Facts.decode(facts.encode(), page: 3 - page) }
        #expect(throws: FormatError.self) { try Facts.decode(facts.encode(), expecting: samples.logID()) }
    }

    @Test func everyBitFlipOfTheFactsIsDetected() {
        var samples = FormatSamples(seed: 5)
        let bytes = samples.facts().encode()
        Damage.everyBitFlipIsDetected(in: bytes) { _ = try Facts.decode($0) }
        Damage.everyOtherLengthIsAnError(of: bytes) { _ = try Facts.decode($0) }
    }

    /// Each row breaks one rule of an otherwise good page whose checksum is right.
    @Test(
        arguments: [
            ("generation", 8, 8, 0), ("generation", 8, 8, .max), ("floor", 40, 8, 99), ("floor", 40, 8, (1 << 62) + 1),
            ("head", 32, 8, .max), ("head", 32, 8, 201), ("discard from", 48, 8, 99), ("discard from", 48, 8, .max - 1),
            ("maximum record size", 56, 4, 0), ("maximum record size", 56, 4, 1 << 31), ("flags", 60, 4, 2),
            ("epochs file", 72, 8, .max), ("epoch count", 80, 4, 0), ("epoch count", 80, 4, 129),
            ("number of epoch entry 0", 96, 8, 0), ("number of epoch entry 0", 96, 8, 10_000_000_000),
            ("number of epoch entry 1", 120, 8, 4), ("number of epoch entry 1", 120, 8, 6),
            ("start of epoch entry 1", 136, 8, 49), ("start of epoch entry 1", 136, 8, .max),
            ("start of epoch entry 0", 112, 8, 101),
        ] as [(String, Int, Int, UInt64)])
    func factsThatContradictThemselvesAreRefused(field: String, offset: Int, width: Int, value: UInt64) throws {
        var samples = FormatSamples(seed: 6)
        let good = Facts(
            generation: 2, logID: samples.logID(), head: LSN(100), floor: LSN(200), maxRecordSize: 1 << 20,
            controlInode: 1,
            epochs: [
                Epoch(number: 4, id: samples.epochID(), start: LSN(50)),
                Epoch(number: 5, id: samples.epochID(), start: LSN(150)),
            ])
        let bytes = Damage.page(good.encode(), with: value, at: offset, width: width)
        let error = try #require(throws: FormatError.self) { try Facts.decode(bytes) }
        #expect(error.kind == (field == "flags" ? .unsupported : .value))
        let order = ["head", "start of epoch entry 0"].contains(field) ? [field, "floor", "start of epoch entry 1"] : [field]
        #expect(order.contains(error.field), "\(error)")
    }

    @Test func firstEpochMayStartAboveTheHeadOnlyWhenOlderOnesAreInAFile() throws {
        var samples = FormatSamples(seed: 7)
        let logID = samples.logID()
        let older = EpochFile(
            generation: 3, logID: logID, epochs: [Epoch(number: 1, id: samples.epochID(), start: .zero)])
        let facts = Facts(
            generation: 9, logID: logID, head: LSN(10), floor: LSN(90), maxRecordSize: 100, controlInode: 1,
            epochsFile: 3, epochs: [Epoch(number: 2, id: samples.epochID(), start: LSN(50))])
        let read = try Facts.decode(facts.encode())
        #expect(try read.epochTable(older: older).epochs == older.epochs + facts.epochs)
        for wrong in [
            Epoch(number: 2, id: samples.epochID(), start: .zero), Epoch(number: 1, id: samples.epochID(), start: LSN(51)),
            Epoch(number: 1, id: samples.epochID(), start: LSN(11)),
        ] {
            var file = older
            file.epochs = [wrong]
            #expect(throws: FormatError.self) { try read.epochTable(older: file) }
        }
    }

    /// Both copies in every state that they can be in.
    @Test func theIntactFactsWithTheGreatestGenerationRule() throws {
        var samples = FormatSamples(seed: 8)
        var (even, odd) = (samples.facts(), samples.facts())
        even.generation = 8
        let damaged = Result<Facts, FormatError> { () throws(FormatError) in
            try Facts.decode([UInt8](repeating: 1, count: 4096))
        }
        let unsupported = Result<Facts, FormatError>.failure(
            FormatError(.unsupported, structure: "", field: "", offset: 0, found: "", expected: ""))
        for generation in [7, 9] as [UInt64] {
            odd.generation = generation
            #expect(Facts.choose([.success(even), .success(odd)]) == (generation > 8 ? odd : even))
            #expect(Facts.choose([.success(odd), .success(even)]) == (generation > 8 ? odd : even))
        }
        for copy in [even, odd] {
            #expect(Facts.choose([.success(copy), damaged]) == copy)
            #expect(Facts.choose([damaged, .success(copy)]) == copy)
            #expect(Facts.choose([.success(copy), unsupported]) == nil)
            #expect(Facts.choose([unsupported, .success(copy)]) == nil)
        }
        #expect(Facts.choose([damaged, damaged]) == nil)
        #expect(Facts.choose([]) == nil)
    }

    @Test(arguments: seeds) func livePageRoundTrips(seed: UInt64) throws {
        var samples = FormatSamples(seed: seed)
        let live = samples.live()
        #expect(live.encode().count == 4096)
        #expect(try LiveSnapshot.decode(live.encode()) == live, "seed \(seed)")
    }

    @Test func theLivePageMayHoldAnythingWithoutATrap() {
        var random = FormatRandom(seed: 9)
        for _ in 0..<2000 {
            let bytes = (0..<96).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            _ = try? LiveSnapshot.decode(Array("WALSHIPL".utf8) + bytes.dropFirst(8))
        }
        let good = Array(FormatSamples(seed: 1).firstLive().encode()[..<96])
        for count in 0..<96 { #expect(throws: FormatError.self) { try LiveSnapshot.decode(Array(good[..<count])) } }
        #expect((try? LiveSnapshot.decode(good)) != nil)
    }
}

extension FormatSamples {
    func firstLive() -> LiveSnapshot {
        var samples = self
        return samples.live()
    }
}
