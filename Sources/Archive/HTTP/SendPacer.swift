/// How fast request bodies go out, for all transfers of an engine together: a bucket that fills at the rate, and hands out pieces.
///
/// A value without clock or lock. A transfer asks before it sends; one that gets nothing waits, and is named when its turn has come, in the order in which
/// they came to wait, so that few or many at a time share the rate evenly and their sum stays the same. Only bodies are counted: header lines and TLS add a
/// few per cent.
struct SendPacer: Sendable {
    typealias ID = UInt64

    let bytesPerSecond: Int
    /// What one transfer is given at a time: a twentieth of a second's worth, within bounds, so that the flow is even and not made of tiny pieces.
    let piece: Int
    /// Bytes that may go out now; two pieces at most, so that what was not used earlier does not come as a burst.
    private var allowance: Int
    /// Up to when time has been turned into allowance, in nanoseconds.
    private var filledAt: UInt64
    private(set) var waiting: [ID] = []

    static let pieces = (4 << 10)...(64 << 10)

    init(bytesPerSecond: Int, now: UInt64) {
        precondition(bytesPerSecond > 0, "a rate of nothing")
        self.bytesPerSecond = bytesPerSecond
        piece = min(max(bytesPerSecond / 20, Self.pieces.lowerBound), Self.pieces.upperBound)
        allowance = piece
        filledAt = now
    }

    /// How many of the `wanted` bytes may go out now; 0: the transfer waits until `next` names it.
    mutating func take(_ id: ID, wanted: Int, now: UInt64) -> Int {
        precondition(wanted > 0, "nothing is asked for")
        fill(now)
        let granted = min(wanted, piece)
        guard allowance >= granted else {
            if !waiting.contains(id) { waiting.append(id) }
            return 0
        }
        allowance -= granted
        return granted
    }

    enum Next: Hashable, Sendable {
        /// Nobody waits.
        case nothing
        /// It may ask again; it does not wait any more.
        case resume(ID)
        /// Nobody's turn comes before this many nanoseconds have passed.
        case wait(UInt64)
    }

    /// Asked again until it is not `.resume`. `resumed`: how many were named and have not asked since.
    mutating func next(now: UInt64, resumed: Int) -> Next {
        guard let first = waiting.first else { return .nothing }
        fill(now)
        // Each that was named is good for a piece.
        let missing = (resumed + 1) * piece - allowance
        guard missing > 0 else {
            waiting.removeFirst()
            return .resume(first)
        }
        // More than the bucket holds is never there at once.
        guard resumed == 0 else { return .wait(Self.nanoseconds(piece, bytesPerSecond)) }
        return .wait(Self.nanoseconds(missing, bytesPerSecond))
    }

    mutating func ended(_ id: ID) { waiting.removeAll { $0 == id } }

    private mutating func fill(_ now: UInt64) {
        guard now > filledAt else { return }
        let elapsed = now - filledAt
        let full = 2 * piece - allowance
        // More than fills the bucket is lost; this also keeps the product below small.
        guard elapsed < Self.nanoseconds(full, bytesPerSecond) else {
            allowance += full
            filledAt = now
            return
        }
        let bytes = Int(elapsed * UInt64(bytesPerSecond) / 1_000_000_000)
        allowance += bytes
        // Only the time that became whole bytes is used up.
        filledAt += UInt64(bytes) * 1_000_000_000 / UInt64(bytesPerSecond)
    }

    /// Rounded up, so that the bytes are there when the time has passed.
    private static func nanoseconds(_ bytes: Int, _ rate: Int) -> UInt64 {
        (UInt64(bytes) * 1_000_000_000 + UInt64(rate) - 1) / UInt64(rate)
    }
}
