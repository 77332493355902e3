import Testing
import WAL

@Suite struct SlotFormatTests {
    private let zeros = [UInt8](repeating: 0, count: 4096)

    @Test(arguments: 1...60 as ClosedRange<UInt64>) func slotRoundTrips(seed: UInt64) throws {
        var samples = FormatSamples(seed: seed)
        let slot = samples.slot()
        #expect(slot.encode().count == 4096)
        #expect(try SlotState.decode(slot.encode(), expecting: slot.logID) == slot, "seed \(seed)")
    }

    @Test func everyBitFlipOfASlotIsDetected() {
        var samples = FormatSamples(seed: 1)
        let bytes = samples.slot().encode()
        Damage.everyBitFlipIsDetected(in: bytes) { _ = try SlotState.decode($0) }
        Damage.everyOtherLengthIsAnError(of: bytes) { _ = try SlotState.decode($0) }
    }

    @Test(
        arguments: [
            (16, 8, 0), (16, 8, .max), (40, 8, .max), (80, 8, 1), (104, 8, .max), (112, 4, 3), (112, 4, 5),
            (128, 8, 1), (136, 8, .max), (264, 8, .max), (280, 8, 1), (376, 8, .max), (392, 8, 1), (520, 8, 1), (520, 8, .max), (540, 4, 225), (288, 8, 10_000_000_000), (296, 8, .max),
        ] as [(Int, Int, UInt64)])
    func valuesOutOfRangeAreRefused(offset: Int, width: Int, value: UInt64) throws {
        var samples = FormatSamples(seed: 2)
        var slot = samples.slot()
        slot.kind = .destination
        slot.lastSegment = SlotState.ShippedObject(digest: .zero, range: LSN(10)..<LSN(20))
        slot.levels[0].inFlight = LSN(10)..<LSN(20)
        slot.lastGap = LSN(10)..<LSN(20)
        slot.tailsLeft = LSN(10)..<LSN(20)
        slot.gaps = [SlotGap(range: LSN(10)..<LSN(20), time: 0, reason: "")]
        let bytes = Damage.page(slot.encode(), with: value, at: offset, width: width)
        let error = try #require(throws: FormatError.self) { try SlotState.decode(bytes) }
        #expect(error.kind == .value)
        #expect(error.offset == offset)
    }

    /// What was reserved once is zeros in a slot that was written then: no gap, no digest of a tail, and nothing released, so that it holds everything
    /// until its shipper has looked at what is archived.
    @Test func aSlotWithZerosWhereFieldsWereAddedReadsAsHavingNone() throws {
        var samples = FormatSamples(seed: 7)
        var slot = samples.slot()
        slot.kind = .destination
        slot.generation = 2
        slot.position = LSN(5000)
        slot.released = LSN(4000)
        slot.lastGap = LSN(10)..<LSN(20)
        slot.gaps = [SlotGap(range: LSN(10)..<LSN(20), time: 1, reason: "x", isTold: true)]
        var bytes = slot.encode()
        for range in [264..<288, 312..<512, 512..<1024] {
            bytes.replaceSubrange(range, with: [UInt8](repeating: 0, count: range.count))
        }
        bytes = Damage.page(bytes, with: 5000, at: 40, width: 8)
        let old = try SlotState.decode(bytes, expecting: slot.logID)
        slot.segmentsStarted = nil
        slot.lastGap = nil
        slot.gaps = []
        slot.tailsLeft = nil
        slot.released = .zero
        for level in slot.levels.indices { slot.levels[level].lastDigest = nil }
        #expect(old == slot && old.encode() == bytes)
        #expect(file([bytes, zeros], of: slot.logID).hold == .from(.zero))
    }

    private func file(_ halves: [[UInt8]], of logID: LogID) -> SlotFile {
        SlotFile.decode(halves.flatMap { $0 }, expecting: logID)
    }

    @Test func truncationUsesTheLowerIntactHalf() {
        var samples = FormatSamples(seed: 3)
        let logID = samples.logID()
        let epoch = samples.epochID()
        func half(_ generation: UInt64, _ position: UInt64) -> [UInt8] {
            SlotState(kind: .pin, logID: logID, position: LSN(position), epoch: epoch, generation: generation).encode()
        }
        var damaged = half(2, 50)
        damaged[41] ^= 1
        let rising = file([half(2, 50), half(3, 70)], of: logID)
        #expect(rising.hold == .from(LSN(50)))
        #expect(rising.current?.position == LSN(70))
        let falling = file([half(4, 30), half(3, 70)], of: logID)
        #expect(falling.hold == .from(LSN(30)))
        #expect(falling.current?.position == LSN(30))
        #expect(file([damaged, half(3, 70)], of: logID).hold == .from(LSN(70)))
        #expect(file([zeros, half(1, 7)], of: logID).hold == .from(LSN(7)))
        #expect(SlotFile.offset(ofGeneration: 1) == 4096)
        #expect(SlotFile.offset(ofGeneration: 2) == 0)
    }

    @Test func aSlotThatSaysNothingHoldsEverything() throws {
        var samples = FormatSamples(seed: 4)
        let good = samples.slot()
        let logID = good.logID
        func isEverything(_ file: SlotFile, _ kind: FormatError.Kind) -> Bool {
            guard case .everything(let error) = file.hold else { return false }
            return error.kind == kind && file.current == nil
        }
        #expect(isEverything(file([zeros, zeros], of: logID), .empty))
        #expect(isEverything(file([], of: logID), .size))
        #expect(isEverything(file([[1, 2, 3]], of: logID), .size))
        var damaged = good.encode()
        damaged[60] ^= 1
        #expect(isEverything(file([damaged, zeros], of: logID), .checksum))
        // Intact, in the half of the other parity, and of another log.
        var even = good
        even.generation = 2
        #expect(isEverything(file([zeros, even.encode()], of: logID), .value))
        #expect(isEverything(file([even.encode(), zeros], of: samples.logID()), .value))
    }

    @Test(arguments: [(8, 2), (8, 0), (12, 0), (12, 3)] as [(Int, UInt32)])
    func anUnknownVersionOrKindInEitherHalfHoldsEverything(offset: Int, value: UInt32) throws {
        var samples = FormatSamples(seed: 5)
        let good = SlotState(
            kind: .pin, logID: samples.logID(), position: LSN(9), epoch: samples.epochID(), generation: 3)
        let unknown = Damage.page(
            Damage.page(good.encode(), with: UInt64(value), at: offset, width: 4), with: 2, at: 16, width: 8)
        let file = file([unknown, good.encode()], of: good.logID)
        guard case .everything(let error) = file.hold else {
            Issue.record("the slot holds only \(file.hold)")
            return
        }
        #expect(error.kind == .unsupported)
        #expect(file.current == nil)
    }

    @Test func everyCutOfASlotFileIsReadWithoutATrap() {
        var samples = FormatSamples(seed: 6)
        var (even, odd) = (samples.slot(), samples.slot())
        (even.generation, odd.generation, odd.logID) = (2, 3, even.logID)
        let bytes = even.encode() + odd.encode()
        for count in stride(from: 0, through: bytes.count, by: 127) {
            let file = SlotFile.decode(Array(bytes[..<count]), expecting: even.logID)
            #expect((file.current == nil) == (count < 4096))
        }
        #expect(SlotFile.decode(bytes, expecting: even.logID).current == odd)
    }
}
