/// A range of the log that a destination was given up for: its archive will never have it. Kept in the slot until its document is in the archive.
public struct SlotGap: Hashable, Sendable {
    public var range: Range<LSN>
    /// In nanoseconds since 1970, by the machine's clock: when it was given up.
    public var time: UInt64
    /// Why, in words for people.
    public private(set) var reason: String
    /// A document of it may be in the archive: the range does not change any more.
    public var isTold: Bool

    /// `reason` is cut at `reasonSizeMax` bytes.
    public init(range: Range<LSN>, time: UInt64, reason: String, isTold: Bool = false) {
        self.range = range
        self.time = time
        self.isTold = isTold
        var cut = Substring(reason)
        while cut.utf8.count > SlotGap.reasonSizeMax { cut = cut.dropLast() }
        self.reason = String(cut)
    }

    /// Bytes of UTF-8: what a record of 256 bytes has room for.
    public static let reasonSizeMax = 224
    static let size = 256
    private static let toldFlag: UInt32 = 1

    func put(in writer: inout ByteWriter, at offset: Int) {
        writer.put(rangeOrNone: range, at: offset)
        writer.put(time, at: offset + 16)
        writer.put(isTold ? SlotGap.toldFlag : 0, at: offset + 24)
        let words = Array(reason.utf8)
        writer.put(UInt32(words.count), at: offset + 28)
        writer.put(bytes: words, at: offset + 32)
    }

    /// Nil where there is none.
    static func read(_ reader: ByteReader, at offset: Int) throws(FormatError) -> SlotGap? {
        guard let range = try reader.rangeOrNone("gap", at: offset) else { return nil }
        let count = try reader.u32("size of a gap's reason", at: offset + 28, in: 0...UInt32(reasonSizeMax))
        let words = reader.bytes[offset + 32..<offset + 32 + Int(count)]
        guard let reason = String(validating: words, as: UTF8.self) else {
            throw reader.invalid("a gap's reason", at: offset + 32, found: "\(count) bytes", expected: "UTF-8")
        }
        let flags = try reader.u32("flags of a gap", at: offset + 24)
        return SlotGap(
            range: range, time: try reader.u64("time of a gap", at: offset + 16), reason: reason, isTold: flags & toldFlag != 0)
    }
}
