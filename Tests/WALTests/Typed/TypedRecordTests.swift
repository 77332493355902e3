import Testing
import TestSupport
@testable import WAL

/// Values as records: what goes in comes out, and whatever other bytes are there is `.encoding`.
@Suite struct TypedRecordTests {
    struct Line: RecordCodable, Equatable {
        var article: String
        var count: UInt16
        init(article: String, count: UInt16) { (self.article, self.count) = (article, count) }
        func encode(into encoder: inout RecordEncoder) {
            encoder.encode(article)
            encoder.encode(count)
        }
        init(from decoder: inout RecordDecoder) throws(WALError) {
            article = try decoder.decode()
            count = try decoder.decode()
        }
    }

    struct Order: RecordCodable, Equatable {
        var number: UInt64
        var delta: Int32
        var isPaid: Bool
        var weight: Double
        var ratio: Float
        var key: [UInt8]
        var note: Line?
        var lines: [Line]
        var rest: [UInt8]

        static let sample = Order(
            number: 1 << 40, delta: -7, isPaid: true, weight: -1.5, ratio: .infinity, key: [0, 255],
            note: Line(article: "", count: 0), lines: [Line(article: "Brot 🥖", count: 2), Line(article: "x", count: 65535)], rest: [1, 2, 3])

        init(
            number: UInt64, delta: Int32, isPaid: Bool, weight: Double, ratio: Float, key: [UInt8], note: Line?, lines: [Line], rest: [UInt8]
        ) {
            (self.number, self.delta, self.isPaid, self.weight, self.ratio) = (number, delta, isPaid, weight, ratio)
            (self.key, self.note, self.lines, self.rest) = (key, note, lines, rest)
        }
        func encode(into encoder: inout RecordEncoder) throws(WALError) {
            encoder.encode(varint: number)
            encoder.encode(delta)
            encoder.encode(isPaid)
            encoder.encode(weight)
            encoder.encode(ratio)
            encoder.encode(bytes: key)
            try encoder.encode(note)
            try encoder.encode(lines)
            encoder.encode(unprefixed: rest)
        }
        init(from decoder: inout RecordDecoder) throws(WALError) {
            number = try decoder.decodeVarint()
            delta = try decoder.decode()
            isPaid = try decoder.decode()
            weight = try decoder.decode()
            ratio = try decoder.decode()
            key = try decoder.decodeBytes()
            note = try decoder.decode()
            lines = try decoder.decode()
            rest = decoder.decodeRemaining()
        }
    }

    /// Without a part that takes whatever is left, so that every prefix is too short.
    struct Closed: RecordCodable, Equatable {
        var order: Order
        init(_ order: Order) {
            self.order = order
            self.order.rest = []
        }
        func encode(into encoder: inout RecordEncoder) throws(WALError) { try encoder.encode(order) }
        init(from decoder: inout RecordDecoder) throws(WALError) {
            order = Order.sample
            order.number = try decoder.decodeVarint()
            order.delta = try decoder.decode()
            order.isPaid = try decoder.decode()
            order.weight = try decoder.decode()
            order.ratio = try decoder.decode()
            order.key = try decoder.decodeBytes()
            order.note = try decoder.decode()
            order.lines = try decoder.decode()
            order.rest = []
        }
    }

    struct Refusing: RecordEncodable {
        func encode(into encoder: inout RecordEncoder) throws(WALError) {
            encoder.encode(UInt64(1))
            throw .encoding(reason: "never")
        }
    }

    struct Letter: Codable, Equatable, Sendable {
        var to: [String]
        var weight: Double
        var inner: [String: Int]
    }

    private func log() throws -> MemoryLog { try MemoryLog(store: MemoryStore()) }

    private func isEncoding(_ body: () throws -> Void) -> Bool {
        do { try body() } catch WALError.encoding { return true } catch { return false }
        return false
    }

    @Test func valuesComeBackAsTheyWere() throws {
        let log = try log()
        var encoder = RecordEncoder()
        var batch = RecordBatch()
        try batch.appendTyped(Order.sample)
        batch.append([5])
        try batch.appendTyped(Line(article: "y", count: 3))
        let first = try log.appendTyped(Order.sample)
        #expect(try log.appendTyped(Line(article: "Brot", count: 2), using: &encoder) > first)
        #expect(encoder.count == 7 && encoder.bytes.count == 7)
        try log.appendTyped(Closed(.sample), using: &encoder)
        try log.append(batch: batch)
        let records = try log.records()
        #expect(try records[0].decode() == Order.sample)
        #expect(try records[1].decode(Line.self) == Line(article: "Brot", count: 2))
        #expect(try records[2].decode(Closed.self) == Closed(.sample))
        #expect(try records[3].decode(Order.self) == Order.sample)
        #expect(records[4].data == [5])
        #expect(try records[5].decode(Line.self) == Line(article: "y", count: 3))
        try log.close()
    }

    @Test func theBytesAreThoseThatTheMethodsSay() throws {
        var encoder = RecordEncoder(capacity: 3)
        encoder.encode(UInt32(0x0102_0304))
        encoder.encode(varint: 300)
        encoder.encode("é")
        encoder.encode(Int8(-1))
        #expect(encoder.bytes == [4, 3, 2, 1, 0xAC, 0x02, 2, 0xC3, 0xA9, 0xFF])
        encoder.removeAll()
        #expect(encoder.count == 0)
    }

    @Test func whatCannotBeEncodedLeavesLogAndBatchAsTheyWere() throws {
        let log = try log()
        #expect(throws: WALError.encoding(reason: "never")) { try log.appendTyped(Refusing()) }
        #expect(log.isEmpty)
        var batch = RecordBatch()
        batch.append([1, 2])
        #expect(throws: WALError.encoding(reason: "never")) { try batch.appendTyped(Refusing()) }
        #expect(batch.count == 1 && batch.byteCount == 10)
        try log.append(batch: batch)
        #expect(try log.records().map(\.data) == [[1, 2]])
        try log.close()
    }

    @Test func truncatedTrailingAndFlippedBytesAreErrorsAndNeverTraps() throws {
        var encoder = RecordEncoder()
        try Closed(.sample).encode(into: &encoder)
        let good = encoder.bytes
        let log = try log()
        for count in 0..<good.count { try log.append(Array(good[..<count])) }
        try log.append(good + [0])
        for record in try log.records() {
            #expect(isEncoding { _ = try record.decode(Closed.self) }, "\(record.count) of \(good.count) bytes")
        }
        // Any byte changed: another value or an error.
        for index in good.indices {
            for bit in 0..<8 {
                var bytes = good
                bytes[index] ^= 1 << bit
                let lsn = try log.append(bytes)
                let record = try #require(log.iterFrom(lsn, upTo: .written).first { _ in true }).get()
                let result = Result { () throws(WALError) in try record.decode(Closed.self) }
                if case .success(let value) = result { #expect(value != Closed(.sample)) }
            }
        }
        try log.close()
    }

    @Test func lengthsAreComparedBeforeAnythingIsAllocated() throws {
        struct Text: RecordDecodable { init(from decoder: inout RecordDecoder) throws(WALError) { _ = try decoder.decode(String.self) } }
        struct Many: RecordDecodable { init(from decoder: inout RecordDecoder) throws(WALError) { _ = try decoder.decode([Line].self) } }
        struct Blob: RecordDecodable { init(from decoder: inout RecordDecoder) throws(WALError) { _ = try decoder.decodeBytes() } }
        struct Pairs: RecordDecodable { init(from decoder: inout RecordDecoder) throws(WALError) { _ = try decoder.decodeCount(elementSizeMin: 2) } }
        struct Negative: RecordDecodable { init(from decoder: inout RecordDecoder) throws(WALError) { _ = try decoder.decodeBytes(count: -1) } }
        let huge: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]
        let inputs: [[UInt8]] = [
            huge, huge + [1], Array(repeating: 0xFF, count: 20), [0x80], [0x80, 0x00], [0xFF, 0xFF, 0xFF, 0xFF, 0x07, 1, 2, 3], [3, 1, 2], [2, 0xC3, 0x28],
            Array(repeating: 0x80, count: 9) + [0x02],
        ]
        let log = try log()
        for input in inputs { try log.append(input) }
        for record in try log.records() {
            for decode in [
                { _ = try record.decode(Text.self) }, { _ = try record.decode(Many.self) }, { _ = try record.decode(Pairs.self) },
                { _ = try record.decode(Negative.self) },
            ] as [() throws -> Void] { #expect(isEncoding(decode), "\(record.data)") }
            if record.data != [2, 0xC3, 0x28] { #expect(isEncoding { _ = try record.decode(Blob.self) }, "\(record.data)") }
        }
        try log.close()
    }

    @Test func anyCodableValueIsARecord() throws {
        let log = try log()
        let letter = Letter(to: ["Anna", "Bö"], weight: 0.25, inner: ["a": 1])
        try log.appendTyped(Coded(letter))
        try log.appendTyped(Coded(17))
        try log.append("{\"to\":[1]}".utf8)
        try log.append("{\"to\":[\"a\"],\"weight\":1,\"inner\":{\"b\":[]}}".utf8)
        try log.append("{\"to\":".utf8)
        try log.append([UInt8]())
        try log.append(Array(repeating: UInt8(ascii: "["), count: 100_000))
        let records = try log.records()
        #expect(try records[0].decode(Coded<Letter>.self).value == letter)
        #expect(try records[1].decode(Coded<Int>.self) == Coded(17))
        for (index, words) in [(2, "at .to[0]"), (3, "at .inner.b"), (4, "JSON"), (5, "JSON"), (6, "JSON")] {
            do {
                _ = try records[index].decode(Coded<Letter>.self)
                Issue.record("decoded \(index)")
            } catch WALError.encoding(let reason) {
                #expect(reason.contains(words) && reason.contains("LSN \(records[index].lsn)"), "\(reason)")
            }
        }
        let end = log.endLSN
        #expect(isEncoding { try log.appendTyped(Coded(Letter(to: [], weight: .nan, inner: [:]))) })
        #expect(log.endLSN == end)
        try log.close()
    }
}
