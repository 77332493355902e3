import Crypto
import NIOCore
import Synchronization
import WAL

/// One body on its way in: a file where no request reaches, written in order, flushed once, then moved or removed.
///
/// Blocking; called on the server's pool, by one request, one call at a time.
final class Upload: Sendable {
    let path: String
    private let file: any File
    private let state: Mutex<State>

    private struct State {
        var size: UInt64 = 0
        var md5: Insecure.MD5?
    }

    /// Creates the file. `verifying` asks for the MD5 of what is written; it costs more than writing does.
    init(path: String, in system: any FileSystem, verifying: Bool) throws(WALError) {
        self.path = path
        file = try system.open(path, .createNew)
        state = Mutex(State(md5: verifying ? Insecure.MD5() : nil))
    }

    var size: UInt64 { state.withLock { $0.size } }

    func append(_ buffer: ByteBuffer) throws(WALError) {
        try state.withLock { state throws(WALError) in
            try file.write(buffer.readableBytesSpan, at: state.size)
            state.md5?.update(data: Array(buffer: buffer))
            state.size += UInt64(buffer.readableBytes)
        }
    }

    /// Flushes the bytes and closes the file. On return they are on stable storage, under a name that no request reaches.
    /// - Returns: the MD5 of the bytes where it was asked for.
    func finish() throws(WALError) -> [UInt8]? {
        defer { file.close() }
        try file.sync()
        return state.withLock { state in state.md5.map { Array($0.finalize()) } }
    }

    func close() { file.close() }
}
