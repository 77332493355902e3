import Archive
import Synchronization

/// The little store in memory behind a `FaultServer`, with the virtues that a test gives it.
package final class FaultStore: Sendable {
    package struct Traits: OptionSet, Sendable {
        package let rawValue: Int
        package init(rawValue: Int) { self.rawValue = rawValue }
        /// Honours `If-None-Match: *`.
        package static let conditions = Traits(rawValue: 1)
        /// Knows MKCOL, and wants parents to exist.
        package static let collections = Traits(rawValue: 2)
        package static let move = Traits(rawValue: 4)
        package static let propfind = Traits(rawValue: 8)
        package static let ranges = Traits(rawValue: 16)
        /// Refuses a body that its Content-MD5 does not fit.
        package static let checksums = Traits(rawValue: 32)
        /// Keeps what came of an upload that was cut.
        package static let showsCutUploads = Traits(rawValue: 64)
        /// Answers a range with 200 and the part only.
        package static let wrongRanges = Traits(rawValue: 128)
        /// Says yes to a PUT and stores nothing.
        package static let forgets = Traits(rawValue: 256)
        package static let ideal: Traits = [.conditions, .collections, .move, .propfind, .ranges, .checksums]
    }

    private struct State {
        var objects: [String: [UInt8]] = [:]
        var collections: Set<String> = ["/"]
    }
    private let traits: Traits
    private let state = Mutex(State())

    init(_ traits: Traits) { self.traits = traits }

    /// By path, from `/` on.
    package var objects: [String: [UInt8]] { state.withLock { $0.objects } }
    /// Paths with a slash at the end.
    package var collections: Set<String> { state.withLock { $0.collections } }
    package func set(_ path: String, _ bytes: [UInt8]?) { state.withLock { $0.objects[path] = bytes } }

    func cut(_ request: FaultServer.Request) {
        guard traits.contains(.showsCutUploads), request.method == "PUT" else { return }
        state.withLock { $0.objects[request.path] = request.body }
    }

    func answer(_ request: FaultServer.Request) -> FaultServer.Reply {
        state.withLock { state in
            switch request.method {
            case "PUT": put(request, &state)
            case "GET", "HEAD": get(request, state)
            case "DELETE": delete(request, &state)
            case "MKCOL" where traits.contains(.collections): makeCollection(request, &state)
            case "MOVE" where traits.contains(.move): move(request, &state)
            case "PROPFIND" where traits.contains(.propfind): list(request, state)
            default: .respond(405)
            }
        }
    }

    private static func parent(_ path: String) -> String {
        let trimmed = path.hasSuffix("/") ? path.dropLast() : path[...]
        return trimmed.lastIndex(of: "/").map { String(trimmed[...$0]) } ?? ""
    }

    private func lacksParent(_ path: String, _ state: State) -> Bool {
        traits.contains(.collections) && !state.collections.contains(FaultStore.parent(path))
    }

    private func put(_ request: FaultServer.Request, _ state: inout State) -> FaultServer.Reply {
        if lacksParent(request.path, state) { return .respond(409) }
        let isThere = state.objects[request.path] != nil
        if traits.contains(.conditions), request.header("if-none-match") == "*", isThere { return .respond(412) }
        if traits.contains(.checksums), let sum = request.header("content-md5"), sum != HTTPStore.contentMD5(request.body).value {
            return .respond(400)
        }
        if !traits.contains(.forgets) { state.objects[request.path] = request.body }
        return .respond(isThere ? 204 : 201)
    }

    private func get(_ request: FaultServer.Request, _ state: State) -> FaultServer.Reply {
        guard let bytes = state.objects[request.path] else { return .respond(404) }
        guard traits.contains(.ranges) || traits.contains(.wrongRanges), let range = request.header("range"),
            range.hasPrefix("bytes="),
            case let ends = range.dropFirst(6).split(separator: "-"), ends.count == 2, let first = Int(ends[0]),
            let last = Int(ends[1])
        else { return .respond(200, body: bytes) }
        guard first < bytes.count else { return .respond(416, headers: [("Content-Range", "bytes */\(bytes.count)")]) }
        let part = Array(bytes[first...min(last, bytes.count - 1)])
        if traits.contains(.wrongRanges) { return .respond(200, body: part) }
        return .respond(206, headers: [("Content-Range", "bytes \(first)-\(first + part.count - 1)/\(bytes.count)")], body: part)
    }

    private func delete(_ request: FaultServer.Request, _ state: inout State) -> FaultServer.Reply {
        if state.collections.contains(request.path) {
            state.collections = state.collections.filter { !$0.hasPrefix(request.path) }
            state.objects = state.objects.filter { !$0.key.hasPrefix(request.path) }
            return .respond(204)
        }
        return .respond(state.objects.removeValue(forKey: request.path) == nil ? 404 : 204)
    }

    private func makeCollection(_ request: FaultServer.Request, _ state: inout State) -> FaultServer.Reply {
        if state.collections.contains(request.path) { return .respond(405) }
        if lacksParent(request.path, state) { return .respond(409) }
        state.collections.insert(request.path)
        return .respond(201)
    }

    private func move(_ request: FaultServer.Request, _ state: inout State) -> FaultServer.Reply {
        guard let bytes = state.objects[request.path] else { return .respond(404) }
        guard let destination = request.header("destination"), let mark = destination.firstRange(of: "://"),
            let slash = destination[mark.upperBound...].firstIndex(of: "/")
        else { return .respond(400) }
        let target = String(destination[slash...])
        if lacksParent(target, state) { return .respond(409) }
        let isThere = state.objects[target] != nil
        if isThere, request.header("overwrite") == "F" { return .respond(412) }
        state.objects[request.path] = nil
        state.objects[target] = bytes
        return .respond(isThere ? 204 : 201)
    }

    private func list(_ request: FaultServer.Request, _ state: State) -> FaultServer.Reply {
        guard state.collections.contains(request.path) else { return .respond(404) }
        var members = [request.path]
        if request.header("depth") == "1" {
            members += (Array(state.objects.keys) + Array(state.collections)).filter {
                $0 != request.path && FaultStore.parent($0) == request.path
            }
        }
        let responses = members.sorted().map { path in
            "<D:response><D:href>\(path)</D:href><D:propstat><D:prop><D:resourcetype>\(path.hasSuffix("/") ? "<D:collection/>" : "")"
                + "</D:resourcetype></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>"
        }
        let document = "<?xml version=\"1.0\"?><D:multistatus xmlns:D=\"DAV:\">\(responses.joined())</D:multistatus>"
        return .respond(207, headers: [("Content-Type", "application/xml")], body: Array(document.utf8))
    }
}
