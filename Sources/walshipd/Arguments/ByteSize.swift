/// A count of bytes as people write it: `4096`, `64KiB`, `16MiB`, `1GiB`, `2TiB`.
///
/// Only powers of 1024, by their own names: `16MB` would be read as 16,000,000 by some and 16,777,216 by others.
struct ByteSize: Hashable, Sendable, CustomStringConvertible {
    var bytes: UInt64

    init(_ bytes: UInt64) { self.bytes = bytes }

    private static let units: [(suffix: String, factor: UInt64)] = [
        ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("", 1),
    ]

    static func parse(_ text: String) throws(ArgumentTextError) -> ByteSize {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let suffix = text.dropFirst(digits.count)
        guard !digits.isEmpty, let unit = units.first(where: { $0.suffix == suffix }) else {
            throw ArgumentTextError("expected a whole number of bytes, or of KiB, MiB, GiB or TiB, like 16MiB")
        }
        guard let number = UInt64(digits) else { throw tooLarge }
        let (product, overflow) = number.multipliedReportingOverflow(by: unit.factor)
        // LSNs stay below 2⁶², so no size of ours may pass it.
        guard !overflow, product < 1 << 62 else { throw tooLarge }
        return ByteSize(product)
    }

    private static var tooLarge: ArgumentTextError { ArgumentTextError("expected less than 4194304TiB (2^62 bytes)") }

    /// The shortest form that `parse` reads back.
    var description: String {
        for unit in Self.units where bytes != 0 && bytes % unit.factor == 0 {
            return "\(bytes / unit.factor)\(unit.suffix)"
        }
        return "0"
    }
}
