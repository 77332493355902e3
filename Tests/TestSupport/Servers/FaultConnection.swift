import Foundation
import Glibc

/// One connection of a `FaultServer`: HTTP/1.1 as far as its clients use it, on the connection's own thread.
struct FaultConnection {
    let descriptor: Int32
    /// Received and not yet used.
    private var buffer: [UInt8] = []

    init(descriptor: Int32) { self.descriptor = descriptor }

    /// nil when the client has closed, or sends what is no request. Of a body longer than `limit` the rest is never read: the
    /// client's sending comes to a stop, and the request is given back when the client goes.
    mutating func readRequest(bodyUpTo limit: Int) -> FaultServer.Request? {
        let mark = Array("\r\n\r\n".utf8)
        var head: Int?
        while head == nil {
            head = buffer.indices.first { buffer[$0...].starts(with: mark) }
            if head == nil { guard buffer.count < 65_536, receive() else { return nil } }
        }
        guard let head else { return nil }
        let lines = String(decoding: buffer[..<head], as: UTF8.self).components(separatedBy: "\r\n")
        buffer.removeFirst(head + mark.count)
        let words = lines[0].split(separator: " ")
        guard words.count == 3 else { return nil }
        let headers = lines.dropFirst().compactMap { line -> (name: String, value: String)? in
            guard let colon = line.firstIndex(of: ":") else { return nil }
            return (String(line[..<colon]), line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces))
        }
        var request = FaultServer.Request(
            number: 0, connection: 0, method: String(words[0]), target: String(words[1]), headers: headers, body: [], isCut: false)
        let length = request.header("content-length").flatMap { Int($0) } ?? 0
        while buffer.count < min(length, limit), receive() {}
        if length > limit { waitForEnd() }
        request.isCut = buffer.count < length
        request.body = Array(buffer.prefix(length))
        buffer.removeFirst(min(length, buffer.count))
        return request
    }

    private mutating func receive() -> Bool {
        var piece = [UInt8](repeating: 0, count: 65_536)
        guard let count = Sockets.receive(descriptor, &piece) else { return false }
        buffer.append(contentsOf: piece.prefix(count))
        return true
    }

    func respond(_ status: Int, _ headers: [(String, String)], _ body: [UInt8], toHead: Bool) -> Bool {
        var text = "HTTP/1.1 \(status) \(status)\r\n"
        for (name, value) in headers { text += "\(name): \(value)\r\n" }
        if !headers.contains(where: { $0.0.lowercased() == "content-length" }) { text += "Content-Length: \(body.count)\r\n" }
        return send(Array((text + "\r\n").utf8) + (toHead ? [] : body))
    }

    func send(_ bytes: [UInt8]) -> Bool { Sockets.send(bytes[...], to: descriptor) }

    /// A real server's reply, with what a script does to it. Returns whether the connection goes on.
    func pass(_ reply: Upstream.Reply, _ change: Forwarding.Reply, toHead: Bool) -> Bool {
        var headers = reply.headers
        var body = toHead ? [] : reply.body
        func replace(_ name: String, _ value: String) {
            headers.removeAll { $0.name.lowercased() == name.lowercased() }
            headers.append((name, value))
        }
        // A 204 and a 304 have no length, nor has a reply to a HEAD other than the one that was told.
        if !toHead, reply.status != 204, reply.status != 304 { replace("Content-Length", "\(body.count)") }
        var goesOn = true
        var rest: Int?
        switch change {
        case .whole, .reset, .stalled, .instead: break
        case .lost: return false
        case .stalledWithin(let permille): rest = permille
        case .truncated(let permille):
            body = Array(body.prefix(Forwarding.index(permille, of: body.count)))
            goesOn = false
        case .flipped(let permille): body = Forwarding.flip(body, permille)
        case .lying(let lies):
            for lie in lies { replace(lie.name, lie.value) }
            goesOn = false
        case .wrongLength(let difference):
            for (name, value) in headers where name.lowercased() == "content-length" {
                if let length = Int(value) { replace(name, "\(max(0, length + difference))") }
            }
            for (name, value) in headers where name.lowercased() == "content-range" {
                replace(name, String(value.prefix { $0 != "/" }) + "/\(max(0, (Int(value.split(separator: "/").last ?? "") ?? 0) + difference))")
            }
            goesOn = false
        }
        var text = "HTTP/1.1 \(reply.status) \(reply.status)\r\n"
        for (name, value) in headers { text += "\(name): \(value)\r\n" }
        let bytes = Array((text + "\r\n").utf8) + body
        if let rest {
            if send(Array(bytes.prefix(Forwarding.index(rest, of: bytes.count)))) { waitForEnd() }
            return false
        }
        return send(bytes) && goesOn
    }

    /// Until the client closes or the server is stopped, whatever comes meanwhile left unread.
    func waitForEnd() {
        var poll = pollfd(fd: descriptor, events: Int16(POLLRDHUP_), revents: 0)
        while Glibc.poll(&poll, 1, -1) < 0, errno == EINTR {}
    }
}

/// POLLRDHUP of poll(2), hidden from Swift behind _GNU_SOURCE.
private let POLLRDHUP_ = 0x2000
