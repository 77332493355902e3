import Follower
import WAL

/// Writes records to an output in one of the formats. Owns a buffer of at most `bufferSize` and a little; `flush` at the end.
///
/// Whatever records come from (a log, an archive) hands them in in LSN order.
struct RecordPrinter {
    /// Bytes gathered before a write.
    private static let bufferSize = 256 << 10
    /// Bytes of a record that are turned into text at a time, so that a large record needs no large buffer. A multiple of 3 (base64).
    private static let pieceSize = 48 << 10

    private let output: Output
    private let format: RecordFormat
    private var buffer: [UInt8] = []

    init(output: Output, format: RecordFormat) {
        self.output = output
        self.format = format
        buffer.reserveCapacity(2 * RecordPrinter.bufferSize)
    }

    /// `next`: the position after the record, where whoever reads it is to know.
    mutating func print(_ lsn: LSN, _ record: Span<UInt8>, next: LogPosition? = nil) throws(WALError) {
        switch format {
        case .lines:
            try printRaw(record)
            buffer.append(UInt8(ascii: "\n"))
        case .framed:
            try printFramed(record)
        case .positioned:
            append(lsn.rawValue, bytes: 8)
            append((next?.lsn ?? lsn).rawValue, bytes: 8)
            append(next?.epoch?.rawValue ?? 0, bytes: 8)
            try printFramed(record)
        case .hex:
            try inPieces(record) { buffer, piece in buffer.append(hex: piece) }
            buffer.append(UInt8(ascii: "\n"))
        case .json:
            try printJSON(lsn, record, next)
        }
        if buffer.count >= RecordPrinter.bufferSize { try flush() }
    }

    mutating func flush() throws(WALError) {
        guard !buffer.isEmpty else { return }
        try output.write(buffer)
        buffer.removeAll(keepingCapacity: true)
    }

    private mutating func printFramed(_ record: Span<UInt8>) throws(WALError) {
        // A record has at most 2³¹−1 bytes.
        append(UInt64(record.count), bytes: 4)
        try printRaw(record)
    }

    /// Little-endian.
    private mutating func append(_ number: UInt64, bytes: UInt64) {
        for shift in stride(from: UInt64(0), to: 8 * bytes, by: 8) { buffer.append(UInt8(truncatingIfNeeded: number >> shift)) }
    }

    private mutating func printRaw(_ record: Span<UInt8>) throws(WALError) {
        if record.count < RecordPrinter.bufferSize { return buffer.append(record) }
        try flush()
        try output.write(record)
    }

    private mutating func printJSON(_ lsn: LSN, _ record: Span<UInt8>, _ next: LogPosition?) throws(WALError) {
        let isText = JSONText.isText(record)
        buffer.append(contentsOf: "{\"lsn\":\"".utf8)
        buffer.append(decimal: lsn.rawValue)
        if let next {
            buffer.append(contentsOf: "\",\"next\":\"".utf8)
            buffer.append(contentsOf: next.description.utf8)
        }
        buffer.append(contentsOf: (isText ? "\",\"data\":\"" : "\",\"base64\":\"").utf8)
        if isText {
            try inPieces(record) { buffer, piece in buffer.append(jsonEscaped: piece) }
        } else {
            try inPieces(record) { buffer, piece in buffer.append(base64: piece) }
        }
        buffer.append(contentsOf: "\"}\n".utf8)
    }

    /// Every encoding here turns each piece into text by itself.
    private mutating func inPieces(_ record: Span<UInt8>, _ add: (inout [UInt8], Span<UInt8>) -> Void) throws(WALError) {
        var start = 0
        while start < record.count {
            let end = min(start + RecordPrinter.pieceSize, record.count)
            add(&buffer, record.extracting(start..<end))
            if buffer.count >= RecordPrinter.bufferSize { try flush() }
            start = end
        }
    }
}

extension [UInt8] {
    private static let hexDigits = Array("0123456789abcdef".utf8)
    private static let base64Digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    /// Two lower-case digits a byte.
    mutating func append(hex bytes: Span<UInt8>) {
        for index in bytes.indices {
            append(Self.hexDigits[Int(bytes[index] >> 4)])
            append(Self.hexDigits[Int(bytes[index] & 15)])
        }
    }

    /// RFC 4648, section 4, with padding.
    mutating func append(base64 bytes: Span<UInt8>) {
        var index = 0
        while index < bytes.count {
            let count = Swift.min(3, bytes.count - index)
            var group = UInt32(bytes[index]) << 16
            if count > 1 { group |= UInt32(bytes[index + 1]) << 8 }
            if count > 2 { group |= UInt32(bytes[index + 2]) }
            for digit in 0..<4 {
                append(digit <= count ? Self.base64Digits[Int(group >> UInt32(18 - 6 * digit)) & 63] : UInt8(ascii: "="))
            }
            index += count
        }
    }
}
