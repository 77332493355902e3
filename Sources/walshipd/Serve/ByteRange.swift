/// The Range field of a request against an object of `size` bytes (RFC 9110 §14).
enum ByteRange: Equatable {
    /// No range, or one that a server may ignore: several ranges, other units, text that follows no syntax.
    case whole
    case part(Range<UInt64>)
    /// 416: no byte of the range exists.
    case unsatisfiable

    init(field: String?, size: UInt64) {
        guard let field, field.lowercased().hasPrefix("bytes=") else {
            self = .whole
            return
        }
        let ends = field.dropFirst("bytes=".count).split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard ends.count == 2, ends.allSatisfy({ $0.utf8.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 } }) else {
            self = .whole
            return
        }
        // A number past 64 bits is past every end.
        let first = ends[0].isEmpty ? nil : UInt64(ends[0]) ?? .max
        let last = ends[1].isEmpty ? nil : UInt64(ends[1]) ?? .max
        switch (first, last) {
        case (nil, nil): self = .whole
        case (nil, let count?): self = count == 0 || size == 0 ? .unsatisfiable : .part(size - min(count, size)..<size)
        case (let first?, let last?) where last < first: self = .whole
        case (let first?, let last): self = first >= size ? .unsatisfiable : .part(first..<min(last ?? .max, size - 1) + 1)
        }
    }
}
