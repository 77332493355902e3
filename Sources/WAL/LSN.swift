/// A position in a log: the byte offset of a frame in the log's flat address space.
///
/// The first record of a log is at LSN 0. LSNs never change: removing a prefix keeps the LSNs of what remains.
public struct LSN: RawRepresentable, Comparable, Hashable, Codable, Sendable {
    public let rawValue: UInt64

    @inlinable public init(rawValue: UInt64) { self.rawValue = rawValue }
    @inlinable public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    /// The first position of every log.
    public static let zero = LSN(0)

    @inlinable public static func < (lhs: LSN, rhs: LSN) -> Bool { lhs.rawValue < rhs.rawValue }

    /// The position `bytes` further on. Traps on overflow: no log grows past 2⁶² bytes.
    @inlinable public func advanced(by bytes: UInt64) -> LSN { LSN(rawValue + bytes) }

    /// The lowest position above this one; itself where there is none.
    var following: LSN { rawValue == .max ? self : advanced(by: 1) }

    /// Bytes from `other` to this position; `other` must not be past it.
    @inlinable public func distance(from other: LSN) -> UInt64 { rawValue - other.rawValue }
}

extension LSN: CustomStringConvertible {
    /// Decimal, as everywhere a person or a script reads an LSN.
    public var description: String { String(rawValue) }
}
