/// What becomes of one request on its way to the real server behind a `FaultServer`, and of the reply on its way back.
package struct Forwarding: Sendable {
    package enum Body: Hashable, Sendable {
        case whole
        /// So many thousandths of the body; then the connection ends, and with it what this request may do to the server.
        case cut(permille: Int)
        /// One bit of the byte at so many thousandths is another.
        case flipped(permille: Int)
    }

    package enum Reply: Sendable {
        case whole
        /// The connection is closed without a byte.
        case lost
        /// The connection is reset without a byte (an RST, as of a host that has forgotten it).
        case reset
        /// Nothing comes until the client goes.
        case stalled
        /// So many thousandths of the reply, head included, and then nothing until the client goes.
        case stalledWithin(permille: Int)
        /// So many thousandths of the body, then the connection is closed.
        case truncated(permille: Int)
        /// One bit of the byte of the body at so many thousandths is another.
        case flipped(permille: Int)
        /// These headers in place of the server's, the body as it is, then the connection is closed.
        case lying([(name: String, value: String)])
        /// The length that is announced is off by so many bytes, and Content-Range, where there is one, too.
        case wrongLength(by: Int)
        /// Another answer than the server's.
        case instead(Int, headers: [(String, String)] = [])
    }

    /// When the request reaches the server: a 0 is now, a number n after n later requests; each entry is one more time, none is never. The reply
    /// is the one to the last that arrived now; where there is none, the client is told nothing.
    package var arrivals: [Int]
    /// Before the request goes on.
    package var delay: Duration
    package var body: Body
    package var reply: Reply
    /// Before the reply goes back.
    package var replyDelay: Duration

    package init(
        arrivals: [Int] = [0], delay: Duration = .zero, body: Body = .whole, reply: Reply = .whole, replyDelay: Duration = .zero
    ) {
        self.arrivals = arrivals
        self.delay = delay
        self.body = body
        self.reply = reply
        self.replyDelay = replyDelay
    }

    /// The byte of `count` that so many thousandths mean.
    static func index(_ permille: Int, of count: Int) -> Int { min(count * permille / 1000, max(0, count - 1)) }

    static func flip(_ bytes: [UInt8], _ permille: Int) -> [UInt8] {
        guard !bytes.isEmpty else { return bytes }
        var bytes = bytes
        bytes[index(permille, of: bytes.count)] ^= 1 << UInt8(permille % 8)
        return bytes
    }
}
