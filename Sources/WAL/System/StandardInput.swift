import CLinux
import Glibc

/// Standard input of the process, read until it ends or the process is asked to stop.
///
/// Owns the handlers of SIGTERM and SIGINT: the first of each ends the reading, so that what was read can be brought to a
/// clean end; a second one of the same kind ends the process at once. One per process; one thread at a time.
package final class StandardInput {
    package enum Arrival: Equatable {
        /// So many bytes, at least one.
        case bytes(Int)
        case end
        /// SIGTERM or SIGINT came. Bytes that were not read yet are left where they are.
        case stopRequested
    }

    /// Bytes. What an unprivileged process may ask for (pipe(7), /proc/sys/fs/pipe-max-size): with the usual 64 KiB a
    /// writer would stall after every 64 KiB until those were synced.
    private static let pipeSize: Int32 = 1 << 20
    private static let name = "standard input"
    /// Readable once a signal has come.
    private let stop: Int32

    package init() throws(WALError) {
        var descriptor: Int32 = -1
        try SystemCall.check("sigaction", on: StandardInput.name) { unsafe walship_catch_stop_signals(&descriptor) }
        stop = descriptor
        // Not a pipe, or at the user's limit: it works as it is, only slower.
        _ = walship_widen_pipe(STDIN_FILENO, StandardInput.pipeSize)
    }

    /// read(2) into `buffer` from `start` on, as much as there is and fits: waits for the first byte. poll(2).
    package func read(into buffer: inout [UInt8], from start: Int) throws(WALError) -> Arrival {
        precondition(start < buffer.count, "there is room to read into")
        while true {
            var polled = [
                pollfd(fd: stop, events: Int16(POLLIN), revents: 0), pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0),
            ]
            if unsafe poll(&polled, 2, -1) < 0 {
                if errno == EINTR { continue }
                throw .io(operation: "poll", path: StandardInput.name, errno: errno)
            }
            // First: endless input does not outrun a signal.
            if polled[0].revents != 0 { return .stopRequested }
            guard polled[1].revents != 0 else { continue }
            let (count, code) = unsafe buffer.withUnsafeMutableBufferPointer { bytes in
                // SAFETY: start < count, so the rest of the array is not empty and lives through the call.
                let rest = unsafe UnsafeMutableBufferPointer(rebasing: bytes[start...])
                let count = unsafe Glibc.read(STDIN_FILENO, rest.baseAddress, rest.count)
                return (count, errno)
            }
            if count > 0 { return .bytes(count) }
            if count == 0 { return .end }
            if code != EINTR && code != EAGAIN { throw .io(operation: "read", path: StandardInput.name, errno: code) }
        }
    }
}
