import Foundation
import Glibc
import Synchronization

/// The real server behind a `FaultServer`: requests reach it as the client sent them, byte for byte but for what a script changes (the Host header
/// stays: signatures cover it), each on a connection of its own. What is written there is told to a ledger. Any thread; no call takes
/// longer than `patience`.
final class Upstream: Sendable {
    struct Reply: Sendable {
        var status: Int
        var headers: [(name: String, value: String)]
        var body: [UInt8]
    }

    /// Seconds that a socket may stand still.
    private static let patience = 20

    let port: UInt16
    let ledger = WriteLedger()
    /// Writes reach the server one at a time, so that the ledger has them in the server's order.
    private let writing = Mutex(())
    private let late = Mutex<[(due: Int, request: FaultServer.Request)]>([])

    init(port: UInt16) { self.port = port }

    /// nil where the server gave no whole reply.
    func exchange(_ request: FaultServer.Request) -> Reply? {
        guard WriteLedger.isWrite(request.method) else { return send(request, cutAfter: nil) }
        return writing.withLock { _ in
            let reply = send(request, cutAfter: nil)
            ledger.note(request, status: reply?.status)
            return reply
        }
    }

    /// The beginning of a request; then the connection ends.
    func cut(_ request: FaultServer.Request, after count: Int) { _ = send(request, cutAfter: count) }

    func keep(_ request: FaultServer.Request, until due: Int) { late.withLock { $0.append((due, request)) } }

    /// Sends what is due after `count` requests; returns how many.
    @discardableResult
    func deliver(upTo count: Int) -> Int {
        let due = late.withLock { late in
            let due = late.filter { $0.due <= count }
            late.removeAll { $0.due <= count }
            return due
        }
        for (_, request) in due { _ = exchange(request) }
        return due.count
    }

    // MARK: One exchange

    private func send(_ request: FaultServer.Request, cutAfter: Int?) -> Reply? {
        guard let descriptor = Ports.connect(port) else { return nil }
        defer { close(descriptor) }
        var limit = timeval(tv_sec: Self.patience, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(descriptor, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
        }
        let connection = FaultConnection(descriptor: descriptor)
        var text = "\(request.method) \(request.target) HTTP/1.1\r\n"
        for header in request.headers where !["connection", "expect"].contains(header.name.lowercased()) {
            text += "\(header.name): \(header.value)\r\n"
        }
        let head = Array((text + "Connection: close\r\n\r\n").utf8)
        guard connection.send(head + request.body.prefix(cutAfter ?? .max)), cutAfter == nil else { return nil }
        var answer: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65_536)
        while let count = Sockets.receive(descriptor, &piece) { answer += piece[..<count] }
        return Upstream.parse(answer, toHead: request.method == "HEAD")
    }

    static func parse(_ bytes: [UInt8], toHead: Bool) -> Reply? {
        let mark = Array("\r\n\r\n".utf8)
        guard let end = bytes.indices.first(where: { bytes[$0...].starts(with: mark) }) else { return nil }
        let lines = String(decoding: bytes[..<end], as: UTF8.self).components(separatedBy: "\r\n")
        let words = lines[0].split(separator: " ")
        guard words.count >= 2, let status = Int(words[1]) else { return nil }
        var headers: [(name: String, value: String)] = lines.dropFirst().compactMap { line in
            guard let colon = line.firstIndex(of: ":") else { return nil }
            return (String(line[..<colon]), line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces))
        }
        func value(_ name: String) -> String? { headers.first { $0.name.lowercased() == name }?.value }
        var body = Array(bytes[(end + mark.count)...])
        if value("transfer-encoding")?.lowercased() == "chunked" {
            guard let whole = unchunked(body) else { return nil }
            body = whole
        } else if !toHead, let length = value("content-length").flatMap({ Int($0) }) {
            guard body.count >= length else { return nil }
            body = Array(body[..<length])
        }
        headers.removeAll { ["transfer-encoding", "connection", "keep-alive"].contains($0.name.lowercased()) }
        return Reply(status: status, headers: headers, body: body)
    }

    private static func unchunked(_ bytes: [UInt8]) -> [UInt8]? {
        var rest = bytes[...]
        var body: [UInt8] = []
        while let end = rest.firstRange(of: [13, 10]) {
            let line = String(decoding: rest[..<end.lowerBound], as: UTF8.self).prefix { $0 != ";" }
            guard let count = Int(line, radix: 16) else { return nil }
            if count == 0 { return body }
            rest = rest[end.upperBound...]
            guard rest.count >= count + 2 else { return nil }
            body += rest.prefix(count)
            rest = rest.dropFirst(count + 2)
        }
        return nil
    }
}
