import Archive
import Foundation
import Synchronization
import WAL

/// What a real server has confirmed to have stored, written down by the `FaultServer` before it, and judged: no intact object of an archive is
/// ever replaced by other content. Any thread.
package final class WriteLedger: Sendable {
    private struct State {
        var contents: [String: [UInt8]] = [:]
        var problems: [String] = []
        var writes = 0
    }
    private let state = Mutex(State())

    static func isWrite(_ method: String) -> Bool { ["PUT", "MOVE", "DELETE", "MKCOL", "POST"].contains(method) }

    /// By path, without the query.
    package var contents: [String: [UInt8]] { state.withLock { $0.contents } }
    /// Sentences about objects that were replaced.
    package var problems: [String] { state.withLock { $0.problems } }
    /// Confirmed PUTs and MOVEs of objects.
    package var writes: Int { state.withLock { $0.writes } }

    /// A request that reached the server, and what it answered; nil: no reply.
    func note(_ request: FaultServer.Request, status: Int?) {
        guard let status, (200..<300).contains(status) else { return }
        state.withLock { state in
            switch request.method {
            case "PUT": WriteLedger.store(request.body, at: request.path, &state)
            case "DELETE": state.contents[request.path] = nil
            case "MOVE":
                guard let destination = request.header("destination"), let mark = destination.firstRange(of: "://"),
                    let slash = destination[mark.upperBound...].firstIndex(of: "/"), let bytes = state.contents.removeValue(forKey: request.path)
                else { return }
                WriteLedger.store(bytes, at: String(destination[slash...]), &state)
            default: break
            }
        }
    }

    private static func store(_ bytes: [UInt8], at path: String, _ state: inout State) {
        if let before = state.contents[path], before != bytes, let intact = object(before, path) {
            let after = object(bytes, path)
            if after?.raw != intact.raw {
                state.problems.append(
                    "\(path): the object up to LSN \(intact.metadata.end) was replaced by \(after.map { "one up to \($0.metadata.end)" } ?? "a damaged one")")
            }
        }
        state.contents[path] = bytes
        if path.hasSuffix(".zst") { state.writes += 1 }
    }

    /// The object that these bytes are under this name; nil where they are none, or a damaged one.
    private static func object(_ bytes: [UInt8], _ path: String) -> ObjectDecoder.Decoded? {
        guard path.hasSuffix(".zst"), let start = path.split(separator: "/").last.flatMap({ UInt64($0.dropLast(4)) }) else { return nil }
        return try? ObjectDecoder.decode(bytes, key: ObjectKey("object"), start: LSN(start))
    }
}
