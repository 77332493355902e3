import Testing
import WAL

/// SplitMix64: the same values from the same seed everywhere.
struct FormatRandom: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// Random values of every structure, all of which a reader accepts; with the limits themselves among them.
struct FormatSamples {
    var random: FormatRandom
    init(seed: UInt64) { random = FormatRandom(seed: seed) }

    mutating func logID() -> LogID { LogID.random(using: &random) }
    mutating func bytes16() -> Bytes16 { Bytes16(high: random.next() | 1, low: random.next()) }
    mutating func epochID() -> EpochID { EpochID(rawValue: random.next()) }
    mutating func lsn(_ range: ClosedRange<UInt64> = 0...FormatLimits.lsnMax) -> LSN { LSN(number(range)) }

    /// Evenly among lengths in bits, so that small numbers occur, and one in eight at either end.
    mutating func number(_ range: ClosedRange<UInt64>) -> UInt64 {
        switch UInt64.random(in: 0..<8, using: &random) {
        case 0: return range.lowerBound
        case 1: return range.upperBound
        default:
            let value = random.next() >> UInt64.random(in: 0..<64, using: &random)
            return min(max(range.lowerBound, value), range.upperBound)
        }
    }

    mutating func range() -> Range<LSN>? {
        let (a, b) = (lsn(), lsn())
        return a == b ? nil : min(a, b)..<max(a, b)
    }

    mutating func epochs(count: Int, firstStart: LSN = .zero) -> [Epoch] {
        let first = number(1...FormatLimits.epochNumberMax - UInt64(count))
        let starts = (1..<max(count, 1)).map { _ in lsn(firstStart.rawValue...FormatLimits.lsnMax) }.sorted()
        return ([firstStart] + starts).enumerated().map { index, start in
            Epoch(number: first + UInt64(index), id: epochID(), start: start)
        }
    }

    mutating func facts() -> Facts {
        let head = lsn()
        return Facts(
            generation: number(1...FormatLimits.counterMax), logID: logID(), head: head,
            floor: lsn(head.rawValue...FormatLimits.lsnMax),
            discardFrom: Bool.random(using: &random) ? lsn(head.rawValue...FormatLimits.lsnMax) : nil,
            maxRecordSize: Int(number(1...UInt64(Int32.max))), isReplica: Bool.random(using: &random),
            controlInode: random.next(),
            epochsFile: Bool.random(using: &random) ? number(1...FormatLimits.counterMax) : nil,
            epochs: epochs(
                count: Int(number(1...UInt64(FormatLimits.epochsInPlace))), firstStart: lsn(0...head.rawValue)))
    }

    mutating func segmentSize() -> UInt64 { 4096 * number(1...(1 << 18)) }

    mutating func header() -> SegmentFoot.Header {
        let size = segmentSize()
        return SegmentFoot.Header(
            logID: logID(), index: number(0...FormatLimits.segmentIndexMax(segmentSize: size)), segmentSize: size)
    }

    mutating func durableCell() -> SegmentFoot.DurableCell {
        SegmentFoot.DurableCell(epoch: epochID(), durable: lsn(), sequence: number(1...FormatLimits.counterMax))
    }

    mutating func slot() -> SlotState {
        var slot = SlotState(
            kind: Bool.random(using: &random) ? .pin : .destination, logID: logID(), position: lsn(), epoch: epochID(),
            generation: number(1...FormatLimits.counterMax))
        slot.lastSegment = range().map { SlotState.ShippedObject(digest: bytes16(), range: $0) }
        slot.archiveID = bytes16()
        slot.archived = lsn()
        slot.capabilities = UInt32(truncatingIfNeeded: random.next())
        slot.levels = (0..<4).map { _ in
            LevelState(
                inFlight: range(), groupStart: lsn(), groupCount: UInt32(number(0...UInt64(UInt32.max))),
                lastDigest: Bool.random(using: &random) ? bytes16() : nil)
        }
        slot.segmentsStarted = Bool.random(using: &random) ? lsn(1...FormatLimits.lsnMax) : nil
        slot.released = lsn()
        slot.tailsLeft = range()
        slot.gaps = gaps()
        slot.lastGap = range()
        slot.epochNumber = number(0...FormatLimits.epochNumberMax)
        slot.epochStart = lsn()
        slot.lastAcknowledged = random.next()
        return slot
    }

    /// None, one or two.
    mutating func gaps() -> [SlotGap] {
        let ends = (0..<4).map { _ in number(0...FormatLimits.lsnMax) }.sorted()
        let ranges = [LSN(ends[0])..<LSN(ends[1]), LSN(ends[2])..<LSN(ends[3])].filter { !$0.isEmpty }
        return ranges.prefix(Int(number(0...2))).map { range in
            SlotGap(
                range: range, time: random.next(), reason: String(repeating: "x", count: Int(number(0...UInt64(SlotGap.reasonSizeMax)))),
                isTold: Bool.random(using: &random))
        }
    }

    mutating func live() -> LiveSnapshot {
        LiveSnapshot(
            durable: lsn(), written: lsn(), head: lsn(),
            incarnation: Incarnation(high: random.next(), low: random.next()),
            boot: BootID(high: random.next(), low: random.next()), isStopped: Bool.random(using: &random),
            isBlocked: Bool.random(using: &random),
            blockedBy: Bool.random(using: &random) ? Int32(number(1...UInt64(Int32.max))) : nil, waitingAppends: random.next(),
            writer: Bool.random(using: &random) ? Int32(number(1...UInt64(Int32.max))) : nil)
    }
}

/// What every reader of a structure must do with damaged bytes.
enum Damage {
    /// Flips each bit of `bytes` below `end` and expects an error from `decode`.
    static func everyBitFlipIsDetected(
        in bytes: [UInt8], below end: Int? = nil, sourceLocation: SourceLocation = #_sourceLocation,
        _ decode: ([UInt8]) throws -> Void
    ) {
        var undetected: [Int] = []
        var damaged = bytes
        for bit in 0..<(end ?? bytes.count) * 8 {
            damaged[bit / 8] ^= 1 << (bit % 8)
            do {
                try decode(damaged)
                undetected.append(bit)
            } catch {}
            damaged[bit / 8] ^= 1 << (bit % 8)
        }
        #expect(undetected.isEmpty, "bits that were flipped without an error", sourceLocation: sourceLocation)
    }

    /// A page with a little-endian value put in, and the checksum at its end made right again.
    static func page(_ bytes: [UInt8], with value: UInt64, at offset: Int, width: Int) -> [UInt8] {
        var bytes = bytes
        for index in 0..<width { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index)) }
        let checksum = StoredChecksum.of(bytes[..<4092])
        for index in 0..<4 { bytes[4092 + index] = UInt8(truncatingIfNeeded: checksum >> UInt32(8 * index)) }
        return bytes
    }

    /// Cuts `bytes` at each length and adds a byte to it, and expects a `FormatError` from `decode` every time.
    static func everyOtherLengthIsAnError(
        of bytes: [UInt8], sourceLocation: SourceLocation = #_sourceLocation, _ decode: ([UInt8]) throws -> Void
    ) {
        let accepted = (0..<bytes.count).filter { count in (try? decode(Array(bytes[..<count]))) != nil }
        #expect(accepted.isEmpty, "lengths that were read without an error", sourceLocation: sourceLocation)
        #expect(throws: FormatError.self, sourceLocation: sourceLocation) { try decode(bytes + [0]) }
    }
}

extension Result where Failure == FormatError {
    var failureKind: FormatError.Kind? {
        if case .failure(let error) = self { error.kind } else { nil }
    }
}
