/// Where a server listens: `127.0.0.1:9180`, `[::1]:0`, `localhost:9180`. Port 0 lets the kernel pick one.
struct ListenAddress: Hashable, Sendable, CustomStringConvertible {
    var host: String
    var port: Int

    static func parse(_ text: String) throws(ArgumentTextError) -> ListenAddress {
        let wrong = ArgumentTextError("expected HOST:PORT, like 127.0.0.1:9180 or [::1]:9180; port 0 picks a free one")
        guard let colon = text.lastIndex(of: ":") else { throw wrong }
        var host = text[..<colon]
        let digits = text[text.index(after: colon)...]
        guard digits.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }), let port = Int(digits), port <= 65_535
        else {
            throw wrong
        }
        if host.hasPrefix("[") {
            guard host.hasSuffix("]") else { throw wrong }
            host = host.dropFirst().dropLast()
            guard host.contains(":") else { throw wrong }
        } else if host.contains(":") {
            throw ArgumentTextError("expected an IPv6 address in brackets, like [::1]:9180")
        }
        guard !host.isEmpty, host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "/") }) else { throw wrong }
        return ListenAddress(host: String(host), port: port)
    }

    /// Whether only this machine can reach it. Names other than `localhost` count as remote: what they resolve to can change.
    var isLoopback: Bool {
        if host == "localhost" || host == "::1" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
