import Foundation
import WAL

/// Compares a restored log with the text: every line that the writer was told is durable must be at the LSN that it was told, byte for byte.
struct DemoComparison: Sendable {
    var records = 0
    var bytes: UInt64 = 0
    /// Records that were written but not yet acknowledged when the writer was killed.
    var unacknowledged = 0

    static func run(restored directory: String, text: DemoText, acknowledged: [UInt64]) throws -> DemoComparison {
        var comparison = DemoComparison()
        let reader = try LogReader.open(directory: directory)
        defer { reader.close() }
        var lines = DemoLines(try DemoTextReader(text))
        defer { lines.close() }
        var next = 0
        var line: ArraySlice<UInt8>?
        for element in reader.iter() {
            let record = try element.get()
            comparison.records += 1
            comparison.bytes += UInt64(record.count)
            guard next < acknowledged.count, record.lsn.rawValue == acknowledged[next] else {
                comparison.unacknowledged += 1
                continue
            }
            line = try lines.next()
            guard let line, record.data.elementsEqual(line) else {
                throw CommandError(.damaged, "line \(next + 1) of the text differs from the restored record at LSN \(record.lsn)")
            }
            next += 1
        }
        guard next == acknowledged.count else {
            throw CommandError(
                .damaged, "line \(next + 1), acknowledged at LSN \(acknowledged[next]), is not in the restored log")
        }
        return comparison
    }
}

/// The lines of the gathered text, one after the other.
private struct DemoLines {
    private var reader: DemoTextReader
    private var chunk: [UInt8] = []
    private var position = 0

    init(_ reader: DemoTextReader) { self.reader = reader }

    mutating func next() throws -> ArraySlice<UInt8>? {
        if position == chunk.count {
            guard let more = try reader.nextChunk() else { return nil }
            chunk = more.bytes
            position = 0
        }
        guard let end = chunk[position...].firstIndex(of: UInt8(ascii: "\n")) else { return nil }
        defer { position = end + 1 }
        return chunk[position..<end]
    }

    func close() { try? reader.close() }
}
