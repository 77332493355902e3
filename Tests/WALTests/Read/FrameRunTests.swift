import CCRC32C
import Testing
import TestSupport
@testable import WAL

/// Reading by runs of verified frames says the same as reading one frame after the other, whatever the bytes.
@Suite struct FrameRunTests {
    static let logID = LogID(high: 0x0123_4567_89AB_4DEF, low: 0x8123_4567_89AB_CDEF)

    /// A log's bytes in memory; the store ends after them, or cannot be read from `failing` on.
    final class BytesReader: LogBytesReader, Sendable {
        let bytes: [UInt8]
        let failing: Int?
        init(_ bytes: [UInt8], failing: Int? = nil) {
            self.bytes = bytes
            self.failing = failing
        }
        func read(into buffer: UnsafeMutableRawBufferPointer, at lsn: LSN) throws(WALError) -> Int {
            let start = Int(lsn.rawValue)
            let count = max(0, min(buffer.count, bytes.count - start))
            if let failing, start + count > failing { throw .io(operation: "pread", path: "bytes", errno: 5) }
            for index in 0..<count { buffer[index] = bytes[start + index] }
            return count
        }
        func firstFrame(inSegment index: UInt64) -> LSN? { nil }
    }

    enum Step: Equatable {
        case record(LSN, [UInt8], continuesBatch: Bool)
        case end
        case fault(LSN, FrameFault)
        case failure(WALError)
    }

    /// The decoder that every other is compared with: one frame at a time, by the text of docs/format/log.md.
    static func plain(_ bytes: [UInt8], epochs: EpochTable, from start: Int, limit: Int, maxRecordSize: Int, failing: Int?) -> [Step] {
        var steps: [Step] = []
        var position = start
        func number(_ at: Int) -> UInt32 { (0..<4).reduce(0) { $0 | UInt32(bytes[at + $1]) << (8 * UInt32($1)) } }
        while position < limit {
            let lsn = LSN(UInt64(position))
            if let failing, min(position + 8, limit, bytes.count) > failing { return steps + [.failure(.io(operation: "pread", path: "bytes", errno: 5))] }
            guard position + 8 <= min(limit, bytes.count) else { return steps + [.fault(lsn, .beyondEnd)] }
            let stored = number(position), field = number(position + 4)
            let count = Int(field & 0x7FFF_FFFF)
            if stored == 0 { return steps + [.fault(lsn, field == 0 ? .zeros : .checksumMismatch)] }
            if count > maxRecordSize { return steps + [.fault(lsn, .tooLong(count))] }
            if position + 8 + count > limit { return steps + [.fault(lsn, .beyondEnd)] }
            if let failing, min(position + 8 + count, bytes.count) > failing { return steps + [.failure(.io(operation: "pread", path: "bytes", errno: 5))] }
            if position + 8 + count > bytes.count { return steps + [.fault(lsn, .beyondEnd)] }
            let payload = Array(bytes[position + 8..<position + 8 + count])
            var hashed = withUnsafeBytes(of: logID.high.bigEndian) { Array($0) } + withUnsafeBytes(of: logID.low.bigEndian) { Array($0) }
            hashed += withUnsafeBytes(of: epochs.epoch(at: lsn).id.rawValue.littleEndian) { Array($0) }
            hashed += bytes[position + 4..<position + 8] + payload
            hashed += withUnsafeBytes(of: lsn.rawValue.littleEndian) { Array($0) }
            let sum = hashed.withUnsafeBytes { walship_crc32c_portable(0, $0.baseAddress, $0.count) }
            guard (sum == 0 ? 0xFFFF_FFFF : sum) == stored else { return steps + [.fault(lsn, .checksumMismatch)] }
            steps.append(.record(lsn, payload, continuesBatch: field >> 31 == 1))
            position += 8 + count
        }
        return steps + [.end]
    }

    static func cursor(_ reader: BytesReader, _ epochs: EpochTable, _ start: Int, _ limit: Int, _ maxRecordSize: Int, _ readSize: Int) -> FrameCursor {
        FrameCursor(
            reader: reader, checksums: FrameChecksums(logID: logID, epochs: epochs), maxRecordSize: maxRecordSize,
            position: LSN(UInt64(start)), limit: LSN(UInt64(limit)), readSize: readSize)
    }

    static func byRecords(_ cursor: FrameCursor) -> (steps: [Step], held: [Record]) {
        var steps: [Step] = []
        var held: [Record] = []
        do throws(WALError) {
            while true {
                switch try cursor.next() {
                case .record(let record):
                    steps.append(.record(record.lsn, record.data, continuesBatch: record.continuesBatch))
                    // Some are kept: their bytes stay as they are when the cursor moves on.
                    if held.count < 40 && record.lsn.rawValue % 3 == 0 { held.append(record) }
                    if cursor.position != record.endLSN { Issue.record("the position is behind the record") }
                case .end: return (steps + [.end], held)
                case .fault(let fault): return (steps + [.fault(cursor.position, fault)], held)
                }
            }
        } catch { return (steps + [.failure(error)], held) }
    }

    static func byRuns(_ cursor: FrameCursor) -> [Step] {
        var steps: [Step] = []
        do throws(WALError) {
            while true {
                switch try cursor.nextRun() {
                case .frames(let run):
                    var headers = run
                    run.forEach { lsn, bytes in
                        let field = headers.nextHeader()?.lengthField ?? 0
                        steps.append(.record(lsn, bytes.withUnsafeBytes { Array($0) }, continuesBatch: field >> 31 == 1))
                    }
                case .end: return steps + [.end]
                case .fault(let fault): return steps + [.fault(cursor.position, fault)]
                }
            }
        } catch { return steps + [.failure(error)] }
    }

    /// Bytes of frames of many lengths in up to three epochs, and the table that goes with them.
    static func log(_ random: inout SeededGenerator) -> (bytes: [UInt8], epochs: EpochTable, starts: [Int]) {
        var epochs = [Epoch(number: 1, id: EpochID(rawValue: 11), start: .zero)]
        var bytes: [UInt8] = []
        var starts: [Int] = []
        let longest = [0, 3, 20, 200, 700, 5000, 40_000].randomElement(using: &random)!
        let fixed = Bool.random(using: &random)
        for _ in 0..<Int.random(in: 1...(longest > 1000 ? 12 : 100), using: &random) {
            if Int.random(in: 0..<60, using: &random) == 0, epochs.count < 3 {
                epochs.append(Epoch(number: UInt64(epochs.count + 1), id: EpochID(rawValue: .random(in: 1 ... .max, using: &random)), start: LSN(UInt64(bytes.count))))
            }
            let count = fixed ? longest : Int.random(in: 0...longest, using: &random)
            let payload = (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &random) }
            let field = FrameHeader.lengthField(payloadCount: count, continuesBatch: Int.random(in: 0..<4, using: &random) == 0)
            let checksum = FrameChecksum(logID: logID, epoch: epochs.last!.id)
            let value = payload.withUnsafeBytes { checksum.value(lengthField: field, payload: $0, lsn: LSN(UInt64(bytes.count))) }
            starts.append(bytes.count)
            bytes += FrameHeader(checksum: value, lengthField: field).bytes + payload
        }
        return (bytes, EpochTable(epochs)!, starts)
    }

    static func damage(_ bytes: inout [UInt8], _ starts: [Int], _ random: inout SeededGenerator) {
        let place = Int.random(in: 0..<bytes.count, using: &random)
        let start = starts.randomElement(using: &random)!
        switch Int.random(in: 0..<9, using: &random) {
        case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 1: bytes.removeLast(bytes.count - place)
        case 2: for index in place..<min(bytes.count, place + 300) { bytes[index] = 0 }
        case 3: for index in start..<start + 8 { bytes[index] = .random(in: .min ... .max, using: &random) }
        case 4: for index in start..<start + 4 { bytes[index] = 0 }
        case 5: for index in start + 4..<start + 8 { bytes[index] = 0xFF }
        case 6: for index in start..<start + 8 { bytes[index] = 0 }
        case 7: bytes += [UInt8](repeating: 0, count: Int.random(in: 1...100, using: &random))
        default: break
        }
    }

    @Test(arguments: 0..<250) func runsSayWhatOneFrameAfterTheOtherSays(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var (bytes, epochs, starts) = Self.log(&random)
        Self.damage(&bytes, starts, &random)
        let start = starts.randomElement(using: &random)!
        guard start < bytes.count else { return }
        let limit = Int.random(in: 0..<3, using: &random) == 0 ? Int.random(in: start...bytes.count, using: &random) : bytes.count + [0, 0, 50].randomElement(using: &random)!
        let maxRecordSize = Int.random(in: 0..<5, using: &random) == 0 ? 100 : 1 << 20
        let failing = Int.random(in: 0..<4, using: &random) == 0 ? Int.random(in: start...bytes.count, using: &random) : nil
        let readSize = [64, 500, 4096, 60_000, LogLimits.frameReadSize].randomElement(using: &random)!
        let reader = BytesReader(bytes, failing: failing)
        let expected = Self.plain(bytes, epochs: epochs, from: start, limit: limit, maxRecordSize: maxRecordSize, failing: failing)
        let found = Self.byRecords(Self.cursor(reader, epochs, start, limit, maxRecordSize, readSize))
        #expect(found.steps == expected, "seed \(seed)")
        for record in found.held {
            #expect(record.data == Array(bytes[Int(record.lsn.rawValue) + 8..<Int(record.endLSN.rawValue)]), "a held record, seed \(seed)")
        }
        #expect(Self.byRuns(Self.cursor(reader, epochs, start, limit, maxRecordSize, readSize)) == expected, "runs, seed \(seed)")
    }

    /// Walking a run, then somewhere else, then by single records: nothing verified at one place is believed at another.
    @Test(arguments: 0..<100) func seekingBelievesNothingThatWasVerifiedElsewhere(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: 1000 + seed)
        let (bytes, epochs, starts) = Self.log(&random)
        let cursor = Self.cursor(BytesReader(bytes), epochs, 0, bytes.count, 1 << 20, 4096)
        for _ in 0..<50 {
            let place = Bool.random(using: &random) ? starts.randomElement(using: &random)! : Int.random(in: 0..<bytes.count, using: &random)
            cursor.seek(to: LSN(UInt64(place)))
            let expected = Self.plain(bytes, epochs: epochs, from: place, limit: bytes.count, maxRecordSize: 1 << 20, failing: nil)
            for step in expected.prefix(Int.random(in: 1...4, using: &random)) {
                switch try cursor.next() {
                case .record(let record): #expect(step == .record(record.lsn, record.data, continuesBatch: record.continuesBatch), "seed \(seed)")
                case .end: #expect(step == .end, "seed \(seed)")
                case .fault(let fault): #expect(step == .fault(LSN(UInt64(place)), fault) || step == .fault(cursor.position, fault), "seed \(seed)")
                }
            }
        }
    }

    /// Every cut, every length to past the longest that one stream takes, at every alignment: the instructions and the tables agree.
    @Test func theWalkInInstructionsEqualsTheWalkInTables() {
        var random = SeededGenerator(seed: 5)
        for seed in 0..<60 {
            var (bytes, _, starts) = Self.log(&random)
            if seed % 2 == 0 { Self.damage(&bytes, starts, &random) }
            var prefix = CRC32C()
            prefix.update(Self.logID)
            prefix.update(littleEndian: UInt64(11))
            for shift in 0..<8 {
                let shifted = [UInt8](repeating: 7, count: shift) + bytes
                let cut = Int.random(in: 0...bytes.count, using: &random)
                for (count, most) in [(bytes.count, UInt32.max), (cut, 1 << 20), (bytes.count, 100)] {
                    shifted.withUnsafeBytes {
                        let start = $0.baseAddress! + shift
                        let fast = walship_crc32c_verify(prefix.value, start, count, 0, most)
                        let slow = walship_crc32c_verify_portable(prefix.value, start, count, 0, most)
                        #expect(fast.bytes == slow.bytes && fast.count == slow.count && fast.last == slow.last, "round \(seed), shift \(shift), \(count) bytes")
                        #expect(fast.bytes <= count)
                    }
                }
            }
        }
    }
}
